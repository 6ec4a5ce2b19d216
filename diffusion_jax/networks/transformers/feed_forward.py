"""The layer after attention, in each of the ways that diffusers has it."""

import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.networks.transformers.layers import Dense, Tokens

Activated = Float[Array, "batch tokens hidden"]


def _gated(h: Float[Array, "batch tokens twice"], gate: str) -> Activated:
    value, steer = jnp.split(h, 2, axis=-1)
    by: dict[str, Callable[[Array], Array]] = {
        "geglu": functools.partial(nn.gelu, approximate=False),
        "swiglu": nn.silu,
    }
    return value * by[gate](steer)


def _quick_gelu(h: Activated) -> Activated:
    return h * jax.nn.sigmoid(1.702 * h)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "geglu": functools.partial(_gated, gate="geglu"),
    "geglu-approximate": _quick_gelu,  # which diffusers calls so, and which has no gate
    "gelu": functools.partial(nn.gelu, approximate=False),
    "gelu-approximate": functools.partial(nn.gelu, approximate=True),
    "linear-silu": nn.silu,
    "swiglu": functools.partial(_gated, gate="swiglu"),
}
GATED = ("geglu", "swiglu")


def check_activation(owner: str, activation: str) -> None:
    """Raises UserError unless there is such a layer."""
    one_of(activation, ACTIVATIONS, f"activation_fn of a {owner}")


class FeedForward(nn.Module):
    """Dense(activation(Dense(h))), with names as in diffusers: `net.0.proj`, `net.2`.

    Attributes:
        activation: a name in `ACTIVATIONS`.
        dtype: of the computation.
        dropout: fraction of what is within dropped while training.
        ratio: features within for each of a token.
    """

    activation: str
    dtype: str
    dropout: float = 0.0
    ratio: float = 4.0

    @nn.compact
    def __call__(self, h: Tokens, deterministic: bool = True) -> Tokens:
        """The result, of the width of h."""
        width = h.shape[-1]
        hidden = int(width * self.ratio) * (2 if self.activation in GATED else 1)
        h = ACTIVATIONS[self.activation](Dense(hidden, dtype=self.dtype, name="net.0.proj")(h))
        h = nn.Dropout(self.dropout)(h, deterministic=deterministic)
        result: Array = Dense(width, dtype=self.dtype, name="net.2")(h)
        return result
