"""UniPC's own code: multistep runs, predicted and corrected."""

import functools

import numpy as np

from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers.unipc import UniPC
from tests.golden.check import Comparisons, Deliberate, Fault, Known, Uncovered, checks, same
from tests.golden.load import Case
from tests.golden.references.dpm_solver import (
    data_of,
    ending,
    ends,
    model_of,
    network,
    spaced,
    unused,
)
from tests.golden.replay import at_times, replay
from tests.golden.vp_schedules import of_run

TOLERANCE = 1e-9
ESTIMATES = Known("algorithm_type", {"data_prediction": "x0", "noise_prediction": "epsilon"})


def times(case: Case, process: Schedule) -> np.ndarray:
    """Our times of the steps."""
    steps, skip = case.kwargs.get("steps", 20), case.kwargs.get("skip_type", "time_uniform")
    return spaced(process, skip, *ends(case, process), steps)


def solver_of(case: Case) -> UniPC:
    """Our solver for a case."""
    last = "falling" if case.kwargs.get("lower_order_final", True) else "full"
    estimate, variant = ESTIMATES[case.extra["algorithm_type"]], case.extra["variant"]
    return UniPC(case.kwargs.get("order", 3), variant, estimate, last=last)


def grid(case: Case, nodes: Nodes) -> Comparisons:
    """Our times and levels beside the recorded ones."""
    alpha, sigma = np.asarray(nodes.level.alpha), np.asarray(nodes.level.sigma)
    yield same("times", nodes.time, case["grid_t"], atol=1e-12)
    yield same("alpha", alpha, case["grid_alpha"], rtol=1e-10)
    yield same("sigma", sigma, case["grid_sigma"], rtol=1e-10)
    yield same("lambda", np.log(alpha / sigma), case["grid_lambda"], rtol=1e-9, atol=1e-10)


@checks("unipc", "sampler", "guided")
def sampler(case: Case) -> Comparisons:
    """A run from noise to data."""
    process, data, solver = of_run(case), data_of(case), solver_of(case)
    if (method := case.kwargs.get("method", "multistep")) != "multistep":
        raise Uncovered(f"method {method!r}, which its authors' code has not either")
    unused(case, "atol", "rtol", "solver_type", "corrector", "return_intermediate")
    nodes = at_times(process, times(case, process))
    yield from grid(case, nodes)
    yield from network(case, data)
    steps, denoises = len(nodes.time) - 1, case.kwargs.get("denoise_to_zero", False)
    # At the end it asks once more there for x_0, and does not correct.
    yield same("evaluations", solver.evaluations(steps) + denoises, case.nfe)
    found = replay(solver, nodes, model_of(case, data), case["x_init"])
    # Without any signal to speak of, x grows a thousandfold where eps is what is extrapolated.
    off = TOLERANCE * max(1.0, np.abs(case["traj"]).max(), np.abs(case["eval_x"]).max())
    # Only a third step is corrected with more values than a line has, if it is not the last.
    at_fault = case.extra["variant"] == "vary_coeff" and solver.degree > 1 and steps > 2
    whole = 2 if at_fault else steps  # the first step has a line to correct with, as order 1 has
    yield same(
        "corrected", found.corrected[:whole], case["traj"][:whole], rtol=TOLERANCE, atol=TOLERANCE
    )
    if at_fault:
        raise Deliberate(Fault(VARY_COEFF, functools.partial(_off_in_first_moment, case)))
    inputs = np.concatenate([case["x_init"][None], found.x[: steps - 1]])
    yield same("predicted", inputs, case["eval_x"][:steps], atol=off)
    yield same("states", found.x[-1], case["traj"][steps], atol=off)
    final = ending(case, data, found.x[-1], nodes)
    yield same("final", final, case["final"], atol=off)


VARY_COEFF = (
    "UniPC's correctors with varying coefficients use the wrong row of the inverse matrix: their "
    "weights do not integrate a line exactly, so the method is of first order"
)


def implied_weights(case: Case, index: int) -> tuple[np.ndarray, np.ndarray, float]:
    """The weights with which a step was corrected, solved for from recorded states and outputs.

    Returns:
        weights, the places v of the values that they belong to, and the step's length h; of the
        integral of exp(-v) from 0 to h, see `diffusion_jax.sampling.solvers.adams`.
    """
    alpha, sigma, lam = case["grid_alpha"], case["grid_sigma"], case["grid_lambda"]
    here, there = index, index + 1
    x, traj = case["eval_x"], case["traj"]
    rows = np.arange(there, max(-1, here - case.kwargs.get("order", 3)), -1)
    if case.extra["algorithm_type"] == "data_prediction":
        kept = sigma[there] / sigma[here]
        integral = (traj[there] - kept * traj[here]) / alpha[there]
        data = model_of(case, data_of(case))
        values = np.stack([data.denoise(x[r], Level(alpha[r], sigma[r])) for r in rows])
        places = lam[there] - lam[rows]
    else:
        kept = alpha[here] / alpha[there]
        integral = (traj[here] - kept * traj[there]) / sigma[here]
        values, places = case["eval_out"][rows], lam[rows] - lam[here]
    matrix = values.reshape(len(rows), -1).T
    weights = np.linalg.lstsq(matrix, integral.ravel(), rcond=None)[0]
    off = 1e-8 * max(1.0, np.abs(integral).max())
    np.testing.assert_allclose(matrix @ weights, integral.ravel(), atol=off)
    return weights, places, lam[there] - lam[here]


def _off_in_first_moment(case: Case) -> None:
    """A constant is integrated exactly, a line is not, by a part that does not shrink with h."""

    def first(h: float) -> float:
        return 1 - (1 + h) * np.exp(-h)

    for index in range(1, len(case["grid_t"]) - 2):
        weights, places, h = implied_weights(case, index)
        np.testing.assert_allclose(weights.sum(), 1 - np.exp(-h), rtol=1e-4)
        off = abs(weights @ places / first(h) - 1)
        assert off > 0.1, f"step {index} integrates a line up to {off:.1e}"
