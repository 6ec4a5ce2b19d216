"""How the first values of our own networks are distributed.

Each is an initialiser as flax takes it, (key, shape, dtype) -> array, and compiled under a name by
which `initialise` finds where a network has used it, so as to draw the same distribution on the
host at once.
"""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32, PRNGKeyArray

# On the host: shape, what draws -> values.
Draw = Callable[[tuple[int, ...], np.random.Generator], Float32[np.ndarray, "..."]]


def unit_normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
    """N(0, 1), for vectors that stand for words and classes."""
    return _unit_normal(key, shape=tuple(shape), dtype=dtype)


def fan_in_normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
    """N(0, 1/n), n the number of inputs of each output: what keeps variances.

    Source: LeCun et al. 1998, Efficient BackProp, section 4.6; normal, and not truncated.
    """
    return _fan_in_normal(key, shape=tuple(shape), dtype=dtype)


@functools.partial(jax.jit, static_argnames=("shape", "dtype"))
def _unit_normal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return jax.random.normal(key, shape, dtype)


@functools.partial(jax.jit, static_argnames=("shape", "dtype"))
def _fan_in_normal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    return jax.random.normal(key, shape, dtype) / math.sqrt(math.prod(shape[:-1]))


def _draw_unit(
    shape: tuple[int, ...], generator: np.random.Generator
) -> Float32[np.ndarray, "..."]:
    return generator.standard_normal(shape, np.float32)


def _draw_fan_in(
    shape: tuple[int, ...], generator: np.random.Generator
) -> Float32[np.ndarray, "..."]:
    fan_in = math.prod(shape[:-1])
    return generator.standard_normal(shape, np.float32) / np.float32(math.sqrt(fan_in))


ON_HOST: dict[str, Draw] = {"_unit_normal": _draw_unit, "_fan_in_normal": _draw_fan_in}
"""Name of a compiled function above -> the same on the host."""

Dense = functools.partial(nn.Dense, kernel_init=fan_in_normal)
"""`flax.linen.Dense` whose kernel is `fan_in_normal` and whose bias is 0."""
