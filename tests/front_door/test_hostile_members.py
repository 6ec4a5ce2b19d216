"""What cannot be meant as a setting, as data or as an argument is refused in one line."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffusion_jax as dj
from tests.annotations import unchecked

SCHEDULE = dj.schedules.Cosine()
OBJECTIVE = dj.Objective(SCHEDULE, dj.predictions.V())
KEY, X0, PLANE = jax.random.key(0), jnp.ones((3, 2)), np.zeros((10, 2))


def network(x: Any, c_noise: Any, condition: Any) -> Any:
    return 0 * x


DENOISER = OBJECTIVE.denoiser(network)
NODES = dj.grids.Karras()(SCHEDULE, 4)


def edit(strength: Any) -> Any:
    return dj.edit(DENOISER, dj.solvers.DDIM(), NODES, KEY, X0, strength=strength)


NUMBERS = {
    "EDM: sigma_max": lambda value: dj.schedules.EDM(sigma_max=value),
    "RectifiedFlow: shift": lambda value: dj.schedules.RectifiedFlow(shift=value),
    "LogNormal: std": lambda value: dj.time_samplers.LogNormal(std=value),
    "MinSNR: gamma": lambda value: dj.weightings.MinSNR(gamma=value),
    "ClassifierFree: scale": lambda value: dj.guidance.ClassifierFree(scale=value),
    "DDIM: eta": lambda value: dj.solvers.DDIM(eta=value),
    "Karras: rho": lambda value: dj.grids.Karras(rho=value),
}
CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "labels as words": (lambda: dj.data.arrays(PLANE, labels=["a"] * 10), "^labels are <U1"),
    "half a class": (lambda: dj.data.arrays(PLANE, labels=np.full(10, 0.5)), "whole numbers"),
    "a negative class": (lambda: dj.data.arrays(PLANE, labels=np.full(10, -5)), "from -5 to -5"),
    "very many classes": (lambda: dj.data.arrays(PLANE, labels=np.full(10, 10**9)), "less than"),
    "a share as text": (lambda: dj.data.arrays(PLANE, held_out="a"), "held_out='a' is not"),
    "numbers as captions": (
        lambda: dj.data.arrays(PLANE, captions=[1] * 10),
        r"captions\[0\] is 1",
    ),
    "letters as captions": (lambda: dj.data.arrays(PLANE, captions="abcdefghij"), "must be a list"),
    "no examples": (lambda: dj.data.arrays(np.zeros((0, 2))), "there are no examples"),
    "vectors of nothing": (lambda: dj.data.arrays(np.zeros((5, 0))), "there are no examples"),
    "not finite": (lambda: dj.data.arrays(PLANE + np.nan), "10 of the 10 examples"),
    "objects": (lambda: dj.data.arrays(PLANE, w=np.array([{}] * 10)), "array of numbers"),
    "one number for all": (lambda: dj.data.arrays(PLANE, w=3), "array of numbers"),
    "strength as text": (lambda: edit("a"), "strength='a' leaves none"),
    "strength that is no number": (lambda: edit(float("nan")), "strength=nan leaves none"),
    "probes as text": (
        lambda: dj.likelihood(DENOISER, SCHEDULE, X0, KEY, probes="2"),  # type: ignore[arg-type]
        "^probes must be a whole number",
    ),
    "fewer than no probes": (
        lambda: dj.likelihood(DENOISER, SCHEDULE, X0, KEY, probes=-1),
        "^probes must be a whole number",
    ),
    "a number as condition": (
        lambda: OBJECTIVE.loss(network, X0, KEY, {"a": 1.0}),  # type: ignore[dict-item]
        "a row for each of the 3 samples",
    ),
    "edited lists": (
        lambda: dj.edit(DENOISER, dj.solvers.DDIM(), NODES, KEY, [[1.0]]),  # type: ignore[type-var]
        "^x0 must be an array",
    ),
    "edited integers": (
        lambda: dj.edit(DENOISER, dj.solvers.DDIM(), NODES, KEY, jnp.ones((3, 2), int)),
        "^x0 must be floats",
    ),
    "edited NaN": (
        lambda: dj.edit(DENOISER, dj.solvers.DDIM(), NODES, KEY, X0 * jnp.nan),
        "not finite, in 3 of 3 samples",
    ),
    "an inverted number": (
        lambda: dj.invert(DENOISER, dj.solvers.DDIM(), NODES, jnp.array(1.0)),
        "^x0 must be floats",
    ),
    "an inverted NaN": (
        lambda: dj.invert(DENOISER, dj.solvers.DDIM(), NODES, X0.at[0].set(jnp.nan)),
        "not finite, in 1 of 3 samples",
    ),
    "a likelihood of lists": (
        lambda: dj.likelihood(DENOISER, SCHEDULE, [[1.0]]),  # type: ignore[arg-type]
        "^x0 must be an array",
    ),
    "a likelihood of NaN": (
        lambda: dj.likelihood(DENOISER, SCHEDULE, X0 * jnp.nan),
        "not finite, in 3 of 3 samples",
    ),
    "a schedule as text": (
        lambda: dj.likelihood(DENOISER, "cosine", X0),  # type: ignore[arg-type]
        "^schedule must be an object",
    ),
    "a denoiser of nothing": (
        lambda: dj.Denoiser(None),  # type: ignore[arg-type]
        "^A Denoiser's estimate is a function",
    ),
    "a level as text": (
        lambda: dj.Level("a", "b"),  # type: ignore[arg-type]
        "^Level: alpha must be a number",
    ),
    "a number to read": (
        lambda: dj.tokenizers.Words().encode(3),  # type: ignore[arg-type]
        "^a text must be a string",
    ),
    "a dtype of whole numbers": (
        lambda: dj.released("nowhere", dtype="int8"),
        "dtype of a released model",
    ),
    "a list as condition": (
        lambda: OBJECTIVE.loss(network, X0, KEY, [1]),  # type: ignore[arg-type]
        "^condition must be a dict of arrays",
    ),
}


@pytest.mark.parametrize("value", ["3", None, [1.0], {}], ids=repr)
@pytest.mark.parametrize("setting", NUMBERS)
def test_a_setting_that_is_no_number_is_refused(setting: str, value: Any) -> None:
    with unchecked(), pytest.raises(dj.UserError, match=f"^{setting} must be a number, not"):
        NUMBERS[setting](value)


@pytest.mark.parametrize("case", CALLS)
def test_it_is_refused_in_one_line(case: str) -> None:
    call, says = CALLS[case]
    with unchecked(), pytest.raises(dj.UserError, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)


def test_settings_may_be_arrays_and_be_traced() -> None:
    for value in (3.0, jnp.float32(3), 3):
        assert float(dj.schedules.RectifiedFlow(shift=value).shift) == 3
    levels = jax.vmap(lambda s: dj.schedules.RectifiedFlow(shift=s).level(jnp.array(0.5)).sigma)
    assert levels(jnp.array([1.0, 3.0])).tolist() == pytest.approx([0.5, 0.75])
