"""Conditions and noises on the way from one to another."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from diffusion_jax.networks.conditioners.base import Condition


def between(
    first: Mapping[str, Any], last: Mapping[str, Any], shares: Sequence[float]
) -> Condition:
    """Conditions on the way from one to another, a row for each share; masks are of both.

    Args:
        first, last: of one row each.
        shares: of `last`, from 0 to 1.

    >>> found = between({"pooled": jnp.zeros((1, 1))}, {"pooled": jnp.ones((1, 1))}, [0.0, 0.25])
    >>> found["pooled"].tolist()
    [[0.0], [0.25]]
    """

    def mixed(name: str) -> Array:
        a, b = jnp.asarray(first[name]), jnp.asarray(last[name])
        if a.dtype == bool:
            return jnp.repeat(a | b, len(shares), axis=0)
        weight = jnp.asarray(shares, a.dtype).reshape(-1, *[1] * (a.ndim - 1))
        return a + weight * (b - a)

    return {name: mixed(name) for name in first}


def turned(first: Array, last: Array, share: float) -> Array:
    """Noise on the way from one to another, which stays standard normal: cos(u) a + sin(u) b."""
    angle = share * math.pi / 2
    return math.cos(angle) * first + math.sin(angle) * last
