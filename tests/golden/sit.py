"""What SiT's settings mean, in terms of this library. Its time runs from noise to data."""

from collections.abc import Mapping
from typing import Any

from diffusion_jax.process.schedules import Schedule, schedules
from tests.golden.check import Known, known
from tests.golden.load import Case

PATHS = Known("path_type", {"Linear": "rectified_flow", "GVP": "trig_flow", "VP": "vp_linear"})
PREDICTIONS = ("velocity", "noise", "score")
# Of the interval of times, whose ends a path or what the network predicts may not have.
MARGIN = 1e-3


def path(kwargs: Mapping[str, Any]) -> Schedule:
    """The schedule of a path."""
    return schedules.make(PATHS[kwargs["path_type"]])


def interval(case: Case, sde: bool = False, last_size: float = 0.0) -> tuple[float, float]:
    """Their first and last time of sampling.

    Args:
        case: the recorded run.
        sde: whether it is one of the SDE.
        last_size: how long its last step is, which starts where the others end; 0 if there is none.
    """
    kwargs = case.kwargs
    velocity = known("prediction", kwargs.get("prediction", "velocity"), *PREDICTIONS) == "velocity"
    _ = kwargs.get("train_eps")  # of training
    margin = kwargs.get("sample_eps")
    margin = MARGIN if margin is None else margin
    free = velocity and kwargs["path_type"] != "VP"  # which has both ends, whatever the margin
    start = 0.0 if velocity or kwargs["path_type"] == "VP" else margin
    if sde and last_size:
        return start, 1 - last_size
    return start, 1.0 if free else 1 - margin
