"""An encoder of captions or pictures that others released, read alone and asked in words."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import Array, Bool, Float, Int32, PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.networks.encoders import Encoder, Encoding, encoders
from diffusion_jax.published.parts import CONFIG, Part, read_part
from diffusion_jax.published.preprocessing import (
    FILE,
    Picture,
    Preprocessing,
    read_preprocessing,
)
from diffusion_jax.published.readers import open_weights
from diffusion_jax.published.room import check_room
from diffusion_jax.published.tokenizers import PromptTokenizer, read_tokenizer

DTYPES = ("float32", "bfloat16", "float64")
TOKENIZERS = "tokenizer.json", "merges.txt", "vocab.txt", "spiece.model"


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedEncoder:
    """An encoder that others have released.

    Attributes:
        folder: that it was read from.
        part: the module with its parameters.
        tokenizer: that goes with it; None where the folder has none.
        preprocessing: of pictures; None where the folder says none.
    """

    folder: Path
    part: Part
    tokenizer: PromptTokenizer | None = None
    preprocessing: Preprocessing | None = None

    def text(self, prompts: Sequence[str], length: int | None = None) -> Encoding:
        """What it makes of prompts, a row each; no token looks at padding.

        Args:
            prompts: in words.
            length: of all prompts, in tokens; None is what the tokenizer says.

        Raises:
            UserError: it reads no words, or its folder has no tokenizer of its own.
        """
        module = self.part.module
        if module.reads == "pictures":
            raise UserError(f"{self.folder} is a {module.original}, which reads pictures alone.")
        if self.tokenizer is None:
            raise UserError(
                f"{self.folder} has no tokenizer ({', '.join(TOKENIZERS)}) beside the encoder."
            )
        ids, mask = self.tokenizer(prompts, length)
        if ids.max(initial=0) >= module.vocab_size:
            raise UserError(
                f"The tokenizer of {self.folder} gives the id {ids.max()}, and the encoder has "
                f"{module.vocab_size}: they are of two models."
            )
        return encode(module, self.part.params, jnp.asarray(ids), jnp.asarray(mask))

    def pictures(self, pictures: Sequence[Picture]) -> Encoding:
        """What it makes of pictures, a row each, brought to size and normalised first.

        Args:
            pictures: bytes, (height, width, 3) each, of any sizes.

        Raises:
            UserError: it reads no pictures, or its folder does not say how they are prepared.
        """
        module = self.part.module
        if module.reads == "text":
            raise UserError(f"{self.folder} is a {module.original}, which reads words alone.")
        if self.preprocessing is None:
            raise UserError(
                f"{self.folder} has no {FILE}, which says how pictures are prepared: give a "
                "Preprocessing."
            )
        given = jnp.asarray(self.preprocessing(pictures))
        return encode(module, self.part.params, given, None)

    def alike(self, captions: Encoding, pictures: Encoding) -> Float[Array, "pictures captions"]:
        """How alike pictures and captions are, as CLIP says: a softmax over captions chooses one.

        Raises:
            UserError: it does not read both.
        """
        module = self.part.module
        if module.reads != "both":
            raise UserError(f"{self.folder} is a {module.original}, which does not read both.")
        found: Array = module.apply(
            {"params": self.part.params}, captions.pooled, pictures.pooled, method="alike"
        )
        return found


@functools.partial(jax.jit, static_argnums=0)
def encode(
    module: Encoder,
    params: PyTree,
    given: Int32[Array, "batch length"] | Float[Array, "batch height width colours"],
    mask: Bool[Array, "batch length"] | None,
) -> Encoding:
    """What an encoder makes of ids or pictures, compiled."""
    found = module.apply({"params": params}, given, mask)
    assert isinstance(found, Encoding)
    return found


def read_encoder(
    path: str | Path,
    dtype: str = "float32",
    *,
    variant: str = "",
    strict: bool = False,
    sharding: Sharding | None = None,
) -> ReleasedEncoder:
    """Reads an encoder's folder as transformers writes it: CLIP, DINOv2, T5, T5Gemma, BERT.

    A text encoder of a model's folder, such as MODEL/text_encoder_2, finds its tokenizer beside it.

    Args:
        path: of the folder.
        dtype: of the parameters and of the computation.
        variant: which of several files of weights, such as "fp16".
        strict: refuse prompts that are too long, and do not cut them.
        sharding: where the parameters are to live; None is the default device.

    Raises:
        UserError: it is no folder of an encoder, something is missing, damaged or left over, or
            there is no memory for it.
    """
    one_of(dtype, DTYPES, "dtype of a released model")
    folder = user_path(path)
    if not (folder / CONFIG).exists():
        raise UserError(f"{folder} is no folder of an encoder: it has no {CONFIG}.")
    check_room(open_weights(folder, variant).values(), dtype, folder, sharding)
    part = read_part(folder, dtype, variant, sharding)
    if not isinstance(part.module, Encoder):
        raise UserError(
            f"{folder} is a {type(part.module).__name__}, which is no encoder: known are "
            f"{', '.join(encoders)}."
        )
    places = [folder, folder.with_name(folder.name.replace("text_encoder", "tokenizer"))]
    found = [each for each in places if any((each / name).exists() for name in TOKENIZERS)]
    reads = part.module.reads
    tokenizer = read_tokenizer(found[0], strict) if found and reads != "pictures" else None
    has_file = reads != "text" and (folder / FILE).exists()
    return ReleasedEncoder(
        folder, part, tokenizer, read_preprocessing(folder) if has_file else None
    )
