"""Networks with recorded parameters, held against what the original made of them.

Theirs are (batch, channels, height, width), with tensors by the original's names under "sd/".
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.published.names import names_of, to_params
from tests.golden.check import Comparison, Comparisons, same
from tests.golden.load import Case

TENSORS = "sd/"
CLOSE = {"float64": 1e-9, "float32": 1e-4}  # of the root mean square of what is recorded

# What goes into a network besides x: the label of the noise level, and the context.
Inputs = tuple[jnp.ndarray, Context | None]


def channels_last(x: np.ndarray) -> jnp.ndarray:
    """(batch, channels, …) as (batch, …, channels)."""
    return jnp.asarray(np.moveaxis(x, 1, -1))


def context(
    pooled: Any = None,
    tokens: Any = None,
    mask: Any = None,
    numbers: Any = None,
    channels: Any = None,
) -> Context:
    """A context of which only some is known; vectors alone are a token each."""
    batch = next(len(each) for each in (pooled, tokens, numbers, channels) if each is not None)
    pooled = np.zeros((batch, 0)) if pooled is None else pooled
    tokens = pooled[:, None] if tokens is None else tokens
    mask = np.ones(tokens.shape[:2], bool) if mask is None else mask
    arrays = (tokens, mask, pooled, channels, numbers)
    return Context(*(None if each is None else jnp.asarray(each) for each in arrays))


def parameters(
    case: Case, network: nn.Module, *given: Any, prefix: str = "", only: str = ""
) -> Any:
    """The case's tensors whose names begin with `prefix` as parameters of a network.

    Args:
        case: whose tensors are stored under `TENSORS`.
        network: whose parameters they are, all of them.
        given: inputs of a call, of the dtype that the parameters are to have.
        prefix: of the names, which the network's do not have; what has another is of another.
        only: how the names begin that are wanted, after the prefix.
    """
    start = TENSORS + prefix
    stored = [name for name in case.stored[2] if name.startswith(start + only)]
    tensors = {name.removeprefix(start): case[name] for name in stored}
    shapes = jax.eval_shape(network.init, jax.random.key(0), *given)["params"]
    return to_params(shapes, tensors, names_of(network), given[0].dtype)


def evaluated(
    case: Case,
    make: Callable[[str], nn.Module],
    dtype: str,
    x: Any,
    c_noise: Any,
    context: Context | None = None,
    prefix: str = "",
) -> np.ndarray:
    """What a network with the case's parameters gives, channels last.

    Args:
        case: whose tensors are stored under `TENSORS`.
        make: dtype of the computation → the network.
        dtype: of the computation and of all inputs.
        x, c_noise, context: of the network; x has channels last.
        prefix: of the names of its tensors.
    """
    network = make(dtype)

    def cast(each: jnp.ndarray) -> jnp.ndarray:
        return each.astype(dtype) if jnp.issubdtype(each.dtype, jnp.floating) else each

    inputs = (x, c_noise) if context is None else (x, c_noise, context)
    given = jax.tree.map(lambda each: cast(jnp.asarray(each)), inputs)
    params = parameters(case, network, *given, prefix=prefix)
    return np.asarray(jax.jit(network.apply)({"params": params}, *given))


def outputs(case: Case, make: Callable[[str], nn.Module], *given: Any) -> Comparisons:
    """A network's outputs in each precision that is recorded; arguments as of `evaluated`."""
    for dtype in precisions(case, "out"):
        found = evaluated(case, make, dtype, *given)
        yield close(case, "out", np.moveaxis(found, -1, 1), dtype)


def precisions(case: Case, name: str) -> list[str]:
    """The dtypes for which an array is recorded."""
    return [dtype for dtype in CLOSE if _recorded(name, dtype) in case]


def _recorded(name: str, dtype: str) -> str:
    return f"{name}_{dtype.replace('loat', '')}"


def close(case: Case, name: str, found: Any, dtype: str) -> Comparison:
    """Compares with the array that is recorded for a dtype under a name."""
    recorded = case[_recorded(name, dtype)]
    rms = float(np.sqrt(np.mean(np.square(recorded, dtype=np.float64))))
    return same(f"{name} in {dtype}", found, recorded, rtol=CLOSE[dtype], atol=CLOSE[dtype] * rms)
