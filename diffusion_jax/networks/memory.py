"""Memory that a pass through a network takes at least, known without compiling it."""

import functools
from collections.abc import Iterator
from typing import cast

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array, PyTree

from diffusion_jax.networks.score_network import Condition, ScoreNetwork

# A condition of one row, by key.
Rows = tuple[tuple[str, jax.ShapeDtypeStruct], ...]
# Results that are written to memory whatever the compiler fuses.
WRITTEN = ("conv_general_dilated", "dot_general")
FUNCTIONS = (Jaxpr, ClosedJaxpr)


def pass_bytes(network: ScoreNetwork, shape: tuple[int, ...], condition: Condition) -> int:
    """Bytes of the largest result of a convolution or matrix product in a pass of one sample.

    What a pass really takes is some times as much: what is refused by this cannot work.

    Args:
        network: the score network.
        shape: of a sample.
        condition: a row of it, or {}.

    >>> from diffusion_jax.networks.score_network import build
    >>> pass_bytes(build("mlp(width=1000, depth=1)"), (2,), {})
    8000
    """
    rows = tuple(
        (key, jax.ShapeDtypeStruct((1, *values.shape[1:]), values.dtype))
        for key, values in condition.items()
    )
    return _pass_bytes(network, shape, rows)


@functools.lru_cache(maxsize=64)
def _pass_bytes(network: ScoreNetwork, shape: tuple[int, ...], rows: Rows) -> int:
    """Kept, as tracing a network takes a second."""

    def run(x: Array, c_noise: Array, condition: Condition) -> PyTree:
        return network.init_with_output(jax.random.key(0), x, c_noise, condition)[0]

    row = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    c_noise = jax.ShapeDtypeStruct(network.noise_shape(1), jnp.float32)
    traced = jax.make_jaxpr(run)(row, c_noise, dict(rows))
    return max(_written(traced.jaxpr), default=0)


def _written(jaxpr: Jaxpr | ClosedJaxpr) -> Iterator[int]:
    """Bytes of each result that is written, in whatever function it is made."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in WRITTEN:
            results = [cast(ShapedArray, each.aval) for each in equation.outvars]
            yield from (each.size * each.dtype.itemsize for each in results)
        for inner in jax.tree.leaves(equation.params, is_leaf=_is_function):
            if isinstance(inner, FUNCTIONS):
                yield from _written(inner)


def _is_function(value: object) -> bool:
    """Whether a parameter of an equation is a function in its turn, closed or not."""
    return isinstance(value, FUNCTIONS)
