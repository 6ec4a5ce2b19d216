"""Several conditioners at once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.conditioners import base
from diffusion_jax.networks.conditioners.base import (
    Condition,
    Conditioner,
    Context,
    Corpus,
    Example,
    Rows,
    conditioners,
)
from diffusion_jax.networks.initializers import Dense


@conditioners.register("several")
class Several(Conditioner):
    """The tokens of all parts one after the other, and the sum of their pooled vectors.

    Each part's tokens and pooled vector are first mapped linearly to one width, as in SD3; the
    channels of pictures stand side by side. `training.caption_dropout` drops all parts of a row
    together, so that one guidance scale leads towards all of them.

    Source: Esser et al. 2024 (SD3), section 4.

    Attributes:
        parts: conditioners that read different keys.
        width: features of a token for the network.
        dtype: dtype of the computation.

    Raises:
        UserError: there are no parts, or two read the same key.
    """

    parts: tuple[Conditioner, ...] = ()
    width: int = 64
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("several", width=self.width)
        if not self.parts:
            raise UserError("conditioner 'several' needs parts, as in (label, transformer).")
        keys = [key for part in self.parts for key in part.keys]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise UserError(f"conditioner 'several': two of its parts read {twice[0]!r}.")

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for part in self.parts for key in part.keys)

    @property
    def answers(self) -> tuple[str, ...]:
        return tuple({answer: None for part in self.parts for answer in part.answers})

    @property
    def mirrors(self) -> bool:
        return all(part.mirrors for part in self.parts)

    @nn.compact
    def __call__(self, condition: Condition, x: Float[Array, "batch ..."]) -> Context:
        """Encodes what all parts read."""
        contexts = [part(condition, x) for part in self.parts]

        def mapped(rows: Float[Array, "batch ..."], name: str) -> Float[Array, "batch ..."]:
            return Dense(self.width, dtype=self.dtype, name=name)(rows)

        tokens = [mapped(each.tokens, f"tokens_{i}") for i, each in enumerate(contexts)]
        pooled = [mapped(each.pooled, f"pooled_{i}") for i, each in enumerate(contexts)]
        channels = [each.channels for each in contexts if each.channels is not None]
        numbers = [each.numbers for each in contexts if each.numbers is not None]
        return Context(
            jnp.concatenate(tokens, axis=1),
            jnp.concatenate([each.mask for each in contexts], axis=1),
            jnp.stack(pooled).sum(axis=0),
            jnp.concatenate(channels, axis=-1) if channels else None,
            jnp.concatenate(numbers, axis=-1) if numbers else None,
        )

    @nn.nowrap
    def null(self, condition: Condition) -> Condition:
        """All parts say nothing."""
        for part in self.parts:
            condition = part.null(condition)
        return condition

    @nn.nowrap
    def fit(self, data: Corpus) -> "Several":
        """All parts learn."""
        return self.clone(parts=tuple(part.fit(data) for part in self.parts))

    @nn.nowrap
    def state(self) -> dict[str, Any]:
        """Those of all parts."""
        return base.states(self.parts)

    @nn.nowrap
    def restored(self, states: Mapping[str, Any]) -> "Several":
        """With what was saved of all parts."""
        return self.clone(parts=tuple(part.restored(states) for part in self.parts))

    @nn.nowrap
    def encode(self, examples: Sequence[Example]) -> Rows:
        """What all parts read of examples."""
        return base.encode(self.parts, examples)

    @nn.nowrap
    def ask(self, prompts: Sequence[str], class_name: str = "") -> Rows:
        """Asks all parts."""
        return base.ask(self.parts, prompts, class_name)

    @nn.nowrap
    def texts(self, data: Corpus) -> dict[str, Iterable[str]]:
        """Those of all parts."""
        return {name: texts for part in self.parts for name, texts in part.texts(data).items()}
