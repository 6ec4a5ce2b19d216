"""Memory that a pass through a network takes at least, known without compiling it."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from diffusion_jax.networks.score_network import Condition, ScoreNetwork

# A condition of one row, by key.
Rows = tuple[tuple[str, jax.ShapeDtypeStruct], ...]
# Results that are written to memory whatever the compiler fuses.
WRITTEN = ("conv_general_dilated", "dot_general")


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

    def run(x: Any, c_noise: Any, condition: Any) -> Any:
        return network.init_with_output(jax.random.key(0), x, c_noise, condition)[0]

    row = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    c_noise = jax.ShapeDtypeStruct(network.noise_shape(1), jnp.float32)
    traced = jax.make_jaxpr(run)(row, c_noise, dict(rows))
    return max(_written(traced.jaxpr), default=0)


def _written(jaxpr: Any) -> Iterator[int]:
    """Bytes of each result that is written, in whatever function it is made."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in WRITTEN:
            yield from (each.aval.size * each.aval.dtype.itemsize for each in equation.outvars)
        for inner in jax.tree.leaves(equation.params, is_leaf=_is_jaxpr):
            if _is_jaxpr(inner):
                yield from _written(getattr(inner, "jaxpr", inner))


def _is_jaxpr(value: Any) -> bool:
    """Whether a parameter of an equation is a function in its turn, closed or not."""
    return hasattr(getattr(value, "jaxpr", value), "eqns")
