"""The network of a diffusers pipeline, in whose place stands an exact denoiser."""

from typing import Any

import numpy as np
from jaxtyping import Array

from diffusion_jax.process.level import Level
from diffusion_jax.process.predictions import Prediction, predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.thresholds import Threshold, thresholded, thresholds
from diffusion_jax.struct import pytree
from tests.golden.check import Comparisons, Known, same
from tests.golden.diffusers.settings import Config, pass_over
from tests.golden.load import Case
from tests.golden.problems import Problem, predicted, problem

NAMES = Known("prediction_type", {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"})


def prediction(case: Case) -> Prediction:
    """What the network of a run predicts."""
    kind = Config(case)["prediction_type"]
    if kind == "flow_prediction":
        flow = schedules.make("rectified_flow")
        return predictions.make("velocity", schedule=flow)
    return predictions.make(NAMES[kind])


def outputs(
    case: Case,
    kind: Prediction,
    factor: float = 1.0,
    scale: float | np.ndarray = 1.0,
    data: Problem | None = None,
    recorded: str = "eval_out",
) -> Comparisons:
    """Our denoiser in the run's prediction beside all outputs of its network, and their number.

    Args:
        case: the recorded run.
        kind: what the network predicts.
        factor: which the reference's output is of ours.
        scale: of what the network was given, where it was not on that of its level, (calls,).
        data: whose denoiser the network is; by default that of the run's problem.
        recorded: the array with the network's outputs.
    """
    x = case["eval_x"]
    yield same("number of outputs", len(x), case.nfe)
    # A run that is no number any more asks nothing of a network.
    told = np.isfinite(x).all(axis=(1, 2))
    x = x[told]
    alpha = case.get("eval_alpha", np.ones(len(told)))  # some references have no other process
    level = ((scale * values)[told, None] for values in (alpha, case["eval_sigma"]))
    found = factor * predicted(data or problem(case.problem), kind, x, *level)
    yield same("network's output", found, case[recorded][told], rtol=1e-9, atol=1e-9)


def recorded_prediction(case: Case) -> Comparisons:
    """The network's outputs in the prediction that the scheduler was set to."""
    pass_over(case)
    yield from outputs(case, prediction(case))
    if "prediction_type" in case.extra and not case.family.startswith("FlowMatch"):
        kinds = case.extra["prediction_type"], Config(case)["prediction_type"]
        yield same("prediction", len(set(kinds)), 1)


@pytree
class Thresholded:
    """An exact denoiser whose estimates are kept within range."""

    inner: Problem
    threshold: Threshold

    def denoise(self, x: Array, level: Level, condition: Any = None) -> Array:
        return thresholded(self.inner.denoise, self.threshold)(x, level, condition)


def threshold(case: Case) -> Threshold:
    """How a scheduler keeps estimates of x_0 within range."""
    config = Config(case)
    clip = config["clip_sample"]  # unless the threshold is dynamic
    if config["thresholding"]:
        ratio, highest = config["dynamic_thresholding_ratio"], config["sample_max_value"]
        return thresholds.make(f"dynamic(ratio={ratio}, highest={highest})")
    if clip:
        return thresholds.make(f"clip(bound={config['clip_sample_range']})")
    return thresholds.make("none")


def data(case: Case) -> Problem:
    """What a run denoises with: the exact denoiser, within the scheduler's thresholds."""
    kept = threshold(case)
    exact = problem(case.problem)
    return exact if kept == thresholds.make("none") else Thresholded(exact, kept)
