"""Calls from Python that cannot be meant: each is refused in one line that names its argument."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import diffusion_jax as dj
from tests.annotations import unchecked

NETWORK = (
    lambda key, x0, condition: jnp.zeros(x0.shape[1:]),
    lambda params, x, c_noise, condition, key: params + 0 * x,
)


def arm(**parts: Any) -> Any:
    objective = dj.Objective(dj.schedules.Cosine(), dj.predictions.V())
    given = {"objective": objective, "network": NETWORK, "optimizer": optax.sgd(0.1), **parts}
    return dj.Arm("a", **given)


def train(**options: Any) -> Any:
    given = {"arms": arm(), "data": np.ones((32, 2), np.float32), "steps": 1, "batch_size": 8}
    return dj.train(**{**given, **options})


def own(apply: Any) -> Any:
    return train(arms=arm(network=(NETWORK[0], apply)))


CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "no average": (lambda: arm(ema=None), "ema must be a member"),
    "a number as average": (lambda: arm(ema=0.999), "ema must be a member"),
    "few_steps as text": (lambda: arm(few_steps="shortcut()"), "dj.fewstep.Shortcut"),
    "half a step": (lambda: train(steps=1.5), "^steps must be a whole number, got 1.5"),
    "steps as text": (lambda: train(steps="10"), "^steps must be a whole number, got '10'"),
    "no steps": (lambda: train(steps=None), "^steps must be a whole number"),
    "fewer than no steps": (lambda: train(steps=-1), "^steps must be at least 1"),
    "a batch of floats": (lambda: train(batch_size=8.0), "^batch_size must be a whole number"),
    "a seed as text": (lambda: train(seed="a"), "^seed must be a whole number"),
    "workers below none": (lambda: train(workers=-1), "^workers must be at least 0"),
    "dropout as text": (lambda: train(condition_dropout="0.1"), "^condition_dropout is a share"),
    "all of it and more": (lambda: train(condition_dropout=2.0), "^condition_dropout is a share"),
    "one step kept": (lambda: train(keep_steps=5), "^keep_steps must be a tuple"),
    "no such execution": (lambda: train(execution="fast"), "execution 'fast'"),
    "a folder as number": (lambda: train(run_dir=3), "^run_dir must name a folder"),
    "an empty folder": (lambda: train(run_dir=""), "^run_dir must name a folder"),
    "progress as a flag": (lambda: train(progress=True), r"^progress must be a Progress\(\)"),
    "watch as text": (lambda: train(watch="x"), "^watch must be a function"),
    "arms as a number": (lambda: train(arms=3), "arms must be one or more of dj.Arm"),
    "data by name": (lambda: train(data="shapes()"), "str is no data to train on"),
    "a list as data": (lambda: train(data=[[0.0, 1.0]] * 8), "list is no data to train on"),
    "no rows": (lambda: train(data=np.zeros((0, 2), np.float32)), "is empty"),
    "no dict beside x0": (lambda: train(data=(np.ones((8, 2)), None)), "tuple is no data"),
    "words as numbers": (
        lambda: train(data=(np.ones((8, 2)), {"word": np.array(["x"] * 8)})),
        "Condition 'word' must be an array of numbers",
    ),
    "one number for all": (lambda: train(data=(np.ones((8, 2)), {"a": 3.0})), "a row per example"),
    "an apply without key": (
        lambda: own(lambda params, x, c_noise, condition: params + 0 * x),
        r"^The network of arm 'a' cannot be called with x \(1, 2\), c_noise \(1,\) and a cond",
    ),
    "a condition that is not there": (
        lambda: own(lambda params, x, c_noise, condition, key: params + condition["wind"]),
        "a condition of nothing: KeyError: 'wind'",
    ),
    "no parameters": (
        lambda: train(arms=arm(network=(lambda key, x0, condition: None, NETWORK[1]))),
        "^The network of arm 'a' has no parameters to train",
    ),
    "a module of one input": (
        lambda: train(arms=arm(network=nn.Dense(2))),
        "^The network of arm 'a' cannot be called with x",
    ),
    "a run as number": (lambda: dj.load_run(3), "^folder must name a run folder"),
    "names as text": (lambda: dj.load_run("x", "edm"), r"^names must be a tuple"),
    "a step as text": (lambda: dj.load_run("x", step="last"), "^step must be that of"),
}


@pytest.mark.parametrize("case", CALLS)
def test_it_is_refused_in_one_line(case: str) -> None:
    call, says = CALLS[case]
    with unchecked(), pytest.raises(dj.UserError, match=says) as refused:
        call()
    assert "\n" not in str(refused.value)
