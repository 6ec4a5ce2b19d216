"""EDM2's magnitude-preserving parts of a network.

Theirs are (batch, channels, height, width) with filters (outputs, inputs, height, width).
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks import magnitude_preserving as mp
from diffusion_jax.networks.resample import resample
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.networks import channels_last

CLOSE = 1e-12


@checks("edm2", "mp_ops")
def mp_ops(case: Case) -> Comparisons:
    if "weight" in case:
        yield from _convolution(case)
    elif "freqs" in case:
        found = jax.jit(mp.mp_fourier)(*(case[name] for name in ("x", "freqs", "phases")))
        yield same("features", found, case["out"], atol=CLOSE)
    else:
        x = channels_last(case["x"])
        yield same("out", jax.jit(_part(case))(x), channels_last(case["out"]), atol=CLOSE)


def _part(case: Case) -> Callable[[jnp.ndarray], jnp.ndarray]:
    """The case's operation; the recording names it only by what it was given."""
    kwargs = case.kwargs
    if "mode" in kwargs:
        taps = tuple(map(float, kwargs.get("f", (1, 1))))
        return functools.partial(resample, mode=kwargs["mode"], taps=taps)
    if "b" in case:
        # Only a concatenation has as many channels as both of its inputs.
        joins = case["out"].shape[1] == case["x"].shape[1] + case["b"].shape[1]
        part = mp.mp_cat if joins else mp.mp_sum
        return lambda x: part(x, channels_last(case["b"]), kwargs.get("t", 0.5))
    if "dim" in kwargs or _only_scales(case):
        axes = _axes(kwargs.get("dim"), case["x"].ndim)
        return lambda x: mp.normalize(x, axes, kwargs.get("eps", 1e-4))
    return mp.mp_silu


def _only_scales(case: Case) -> bool:
    """Whether each picture is multiplied by one number, as no activation function does."""
    factors = (case["out"] / case["x"]).reshape(len(case["x"]), -1)
    return bool(np.allclose(factors, factors[:, :1], rtol=1e-9))


def _axes(dim: int | list[int] | None, ndim: int) -> tuple[int, ...] | None:
    """Their axes as ours."""
    if dim is None:
        return None
    theirs = [0, *range(2, ndim), 1]  # their axis at each of our places
    return tuple(theirs.index(d % ndim) for d in np.atleast_1d(dim))


def _convolution(case: Case) -> Comparisons:
    # (outputs, inputs, …) to (…, inputs, outputs)
    filters = jnp.asarray(np.moveaxis(case["weight"], (0, 1), (-1, -2)))
    found = jax.jit(mp.mp_conv)(channels_last(case["x"]), filters, case.kwargs.get("gain", 1))
    yield same("out", found, channels_last(case["out"]), atol=CLOSE)
    after = np.moveaxis(case["weight_after"], (0, 1), (-1, -2))
    forced = jax.jit(mp.forced)({mp.FILTERS: filters})[mp.FILTERS]
    yield same("forced weights", forced, after, atol=CLOSE)
