"""SiT's losses. Their time runs from noise to data, so velocities have the other sign."""

from diffusion_jax.process.objective import Objective
from tests.golden.check import Comparisons, Known, checks, known, same
from tests.golden.load import Case
from tests.golden.losses import levels, loss_of, mixed
from tests.golden.problems import predicted, problem
from tests.golden.sit import PATHS

NAMES = Known("prediction", {"velocity": "velocity", "noise": "epsilon", "score": "score"})


@checks("sit", "losses")
def sit_losses(case: Case) -> Comparisons:
    kwargs = case.kwargs
    prediction = NAMES[kwargs.get("prediction", "velocity")]
    weight = known("loss_weight", kwargs.get("loss_weight"), None, "velocity", "likelihood")
    _ = kwargs.get("train_eps"), kwargs.get("sample_eps")  # t0 and t1 are recorded
    schedule = PATHS[kwargs["path_type"]]
    weighting = "error_of" if weight is None else "error_of(prediction=velocity)"
    if prediction == "velocity":
        weighting = "simple"  # they weigh no velocity
    elif weight == "likelihood":
        weighting = "elbo"
    objective = Objective.make(schedule, prediction, "uniform", weighting)

    first, last = case["t0"], case["t1"]
    yield same("time", first + case["u"] * (last - first), case["t"], rtol=1e-12)
    start, length = objective.schedule.t_min, objective.schedule.t_max - objective.schedule.t_min
    u = (1 - case["t"] - start) / length
    data, noise = case["x1"], case["x0"]
    level = levels(objective, u)
    x = mixed(level, data, noise)
    yield same("x", x, case["xt"], rtol=1e-9, atol=1e-12)
    exact = predicted(problem(case.problem), objective.prediction, x, level.alpha, level.sigma)
    output = -case["pred"] if prediction == "velocity" else case["pred"]
    yield same("output", exact, output, rtol=1e-7, atol=1e-9)
    # The bound's weight is per draw, theirs per unit of time.
    scale = 1 / length if weighting == "elbo" else 1
    found = scale * loss_of(objective, u, data, noise, output)
    yield same("loss", found, case["loss"], rtol=1e-7)
