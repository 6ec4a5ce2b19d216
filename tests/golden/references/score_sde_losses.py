"""score_sde's losses: of its three processes in continuous time, and of their discrete tables."""

from diffusion_jax.process.objective import Objective
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from tests.golden.check import Comparisons, Uncovered, checks, known, same
from tests.golden.load import Case
from tests.golden.losses import loss_of
from tests.golden.references.score_sde_pc import process


@checks("score_sde", "losses")
def score_sde_losses(case: Case) -> Comparisons:
    kwargs, kind = case.kwargs, known("kind", case.kwargs["kind"], "sde", "smld", "ddpm")
    name, schedule, settings = process(case)
    x0, eps, count = case["x"], case["z"], int(kwargs.get("N", 1000))
    _ = kwargs.get("train")
    if kind == "sde" and name == "vp" and not kwargs.get("continuous", True):
        raise Uncovered("a loss in continuous time of a score that a table's sigma makes of eps")
    likelihood = kwargs.get("likelihood_weighting", kind == "sde")
    if kind == "sde":
        first = kwargs.get("eps", 1e-5)  # where their times start
        u = first + case["u"] * (1 - first)
    else:
        u = case["labels"].astype(int) / (count - 1)
        if name == "ve":  # noisiest first
            u = 1 - u
        else:
            first, last = settings["beta_min"] / 1000, settings["beta_max"] / 1000
            schedule = schedules.make(
                f"ddpm_linear(steps={count}, beta_min={first}, beta_max={last})"
            )
    prediction = predictions.make("score" if name == "ve" else "epsilon")
    weighting = weightings.make("likelihood" if likelihood else "error_of", schedule=schedule)
    objective = Objective(schedule, prediction, time_samplers.make("uniform"), weighting)
    found = loss_of(objective, u, x0, eps, case["score_or_out"]).mean()
    scale = 1 if kwargs.get("reduce_mean", True) else x0.shape[1] / 2
    yield same("loss", scale * found, case["loss"], rtol=1e-9)
