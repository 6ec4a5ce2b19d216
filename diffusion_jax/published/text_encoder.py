"""A released text encoder before a network: it stays as it is, and reads every caption."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
)
from diffusion_jax.published.encoder import read_encoder
from diffusion_jax.published.text_features import MASK, POOLED, TOKENS, TextFeatures

ENCODER, SHAPE = "text_encoder", "shape"  # the first is also its name


@conditioners.register(ENCODER)
class ReleasedText(Conditioner):
    """CLIP, T5 or BERT as others have released it, which no step trains.

    Captions are read by it in batches before they reach the device, and its features are rounded to
    half precision. With a `folder` that is done once, before training, for all captions of a data
    set, and kept there by the hash of weights, tokenizer and caption; without one, whenever a
    caption is shown. Both give the same numbers. What is empty says nothing: zeros.

    Two of them with different prefixes are parts of `several`.

    Attributes:
        path: of the encoder's folder, with its tokenizer in or beside it.
        folder: where features are kept; "" keeps none.
        length: of all captions in tokens; 0 is what the tokenizer says.
        batch_size: captions at once.
        prefix: of the names of its entries of the condition.
        dtype: dtype of what the network is given.
        shapes: of the entries, by name; learnt.
        fingerprint: of the encoder that a network was trained with; learnt.

    Raises:
        UserError: there is no path, or a number is too small.
    """

    path: str = ""
    folder: str = ""
    length: int = 0
    batch_size: int = 32
    prefix: str = "text_"
    dtype: str = "float32"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    fingerprint: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path or self.batch_size < 1 or self.length < 0:
            raise UserError(
                f"conditioner {ENCODER!r}: path={self.path!r}, length={self.length}, batch_size="
                f"{self.batch_size}; give the folder of an encoder, and 1 or more at once."
            )

    @property
    def answers(self) -> tuple[str, ...]:
        return ("prompt",)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.prefix + name for name in self._names)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.shapes) or (TOKENS, MASK)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."] | None = None) -> Context:
        """Takes the encoder's features as they are."""
        found = {name: jnp.asarray(condition[self.prefix + name]) for name in self._names}
        tokens = found[TOKENS].astype(self.dtype)
        pooled = found.get(POOLED, jnp.zeros((len(tokens), 0))).astype(self.dtype)
        return Context(tokens, found[MASK] != 0, pooled)

    @nn.nowrap
    def features(self) -> TextFeatures:
        """The encoder, read once in a process.

        Raises:
            UserError: there is none, or another than the network was trained with.
        """
        found = _features(self.path, self.folder, self.length, self.batch_size)
        if self.fingerprint not in ("", found.fingerprint):
            raise UserError(
                f"conditioner {ENCODER!r}: {self.path} has other weights, another tokenizer or "
                "another length than in training."
            )
        return found

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """Zeros, none of which is padding."""
        silent = {key: jnp.zeros_like(condition[key]) for key in self.keys}
        mask = self.prefix + MASK
        return condition | silent | {mask: jnp.ones_like(condition[mask])}

    @nn.nowrap
    def fit(self, data: Corpus) -> "ReleasedText":
        """Learns the shapes of features, and keeps those of all captions if there is a folder."""
        features = self.features()
        features.prepare(data.captions)
        shapes = {name: row.shape[1:] for name, row in features.of(["a"]).items()}
        return self.clone(shapes=tuple(sorted(shapes.items())), fingerprint=features.fingerprint)

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """The shapes of features, and whose they are."""
        return {
            self.prefix + name: {SHAPE: list(shape), ENCODER: self.fingerprint}
            for name, shape in self.shapes
        }

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "ReleasedText":
        """With what was saved.

        Raises:
            UserError: nothing was, or something else.
        """
        names = (TOKENS, MASK, POOLED)
        found = {n: states[self.prefix + n] for n in names if self.prefix + n in states}
        try:
            shapes = sorted((name, tuple(map(int, own[SHAPE]))) for name, own in found.items())
            fingerprint = str(found[TOKENS][ENCODER])
        except (KeyError, TypeError, ValueError):
            raise UserError(f"conditioner {ENCODER!r} was not fit to a data set.") from None
        return self.clone(shapes=tuple(shapes), fingerprint=fingerprint)

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """What the encoder makes of the first caption of each."""
        return self._of([str((each.get("captions") or ("",))[0]) for each in examples])

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """What the encoder makes of prompts."""
        return self._of(prompts)

    @nn.nowrap
    def texts(self, data: Corpus) -> dict[str, Iterable[str]]:
        """Captions."""
        return {"captions": data.captions}

    @nn.nowrap
    def _of(self, texts: Sequence[str]) -> Rows:
        fill = {MASK: 1.0}
        rows = {
            name: np.full((len(texts), *shape), fill.get(name, 0.0), np.float32)
            for name, shape in self.shapes
        }
        said = [row for row, text in enumerate(texts) if text]
        if said:
            for name, found in self.features().of([texts[row] for row in said]).items():
                rows[name][said] = found
        return {self.prefix + name: each for name, each in rows.items()}


@functools.cache
def _features(path: str, folder: str, length: int, batch_size: int) -> TextFeatures:
    place = user_path(folder) if folder else None
    encoder = read_encoder(path)
    if encoder.part.module.reads == "both":
        encoder = read_encoder(path, half="text")
    return TextFeatures(encoder, place, length or None, batch_size)
