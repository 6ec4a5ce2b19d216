"""score_sde's losses: of its three processes in continuous time, and of their discrete tables."""

import numpy as np

from diffusion_jax.process.objective import Objective
from tests.golden.check import Comparisons, checks, same
from tests.golden.load import Case
from tests.golden.losses import loss_of

FIRST = 1e-5  # where their continuous times start
SCHEDULES = {"vp": "vp_linear", "subvp": "sub_vp", "ve": "ve"}
STEPS = 1000


@checks("score_sde", "losses")
def score_sde_losses(case: Case) -> Comparisons:
    kwargs, process, kind = case.kwargs, case.extra["sde"], case.kwargs["kind"]
    x0, eps = case["x"], case["z"]
    if kind == "sde":
        schedule, u = SCHEDULES[process], FIRST + case["u"] * (1 - FIRST)
    else:
        schedule, u = _discrete(process, case["labels"])
    weighting = "likelihood" if kwargs.get("likelihood_weighting") else "error_of"
    # The network of a variance-exploding process gives the score, that of others the noise.
    prediction = "score" if process == "ve" else "epsilon"
    objective = Objective.make(schedule, prediction, "uniform", weighting)
    found = loss_of(objective, u, x0, eps, case["score_or_out"]).mean()
    scale = 1 if kwargs.get("reduce_mean", True) else x0.shape[1] / 2
    yield same("loss", scale * found, case["loss"], rtol=1e-9)


def _discrete(process: str, labels: np.ndarray) -> tuple[str, np.ndarray]:
    """The schedule of a table, and where in it the labels are."""
    labels = labels.astype(int)
    if process == "ve":  # noisiest first
        return "ve", 1 - labels / (STEPS - 1)
    first = 1 / STEPS
    return "ddpm_linear", ((labels + 1) / STEPS - first) / (1 - first)
