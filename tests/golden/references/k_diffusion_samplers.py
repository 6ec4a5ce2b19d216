"""k-diffusion's samplers, which all work in the noise sigma of x_0 + sigma eps."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.ancestral_sigma import DPM2Ancestral, TwoEvaluations
from diffusion_jax.sampling.solvers.dpm.singlestep_sde import shared_part
from diffusion_jax.sampling.solvers.rescaled import down_and_up
from tests.golden.check import Comparisons, Deliberate, Fault, Known, checks, same
from tests.golden.diffusers import exploding, outputs
from tests.golden.load import Case
from tests.golden.problems import problem
from tests.golden.replay import replay
from tests.golden.spec import spec
from tests.sampling.exact import compiled

STATES = 1e-9


def churned(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "churn": kwargs.get("s_churn", 0.0),
        "s_tmin": kwargs.get("s_tmin", 0.0),
        "s_tmax": kwargs.get("s_tmax", float("inf")),
        "s_noise": kwargs.get("s_noise", 1.0),
    }


def noisy(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"eta": kwargs.get("eta", 1.0), "s_noise": kwargs.get("s_noise", 1.0)}


VARIANTS = Known("solver_type", {"midpoint": "midpoint", "heun": "taylor"})

# What each sampler with its settings is called here.
SPECS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "sample_euler": lambda k: spec("edm", order=1, **churned(k)),
    "sample_heun": lambda k: spec("edm", **churned(k)),
    "sample_dpm_2": lambda k: spec("dpm_2", **churned(k)),
    "sample_lms": lambda k: spec("lms", points=k.get("order", 4), start="euler", last="full"),
    "sample_dpmpp_2m": lambda k: "dpmpp_2m",
    "sample_euler_ancestral": lambda k: spec("euler_ancestral", **noisy(k)),
    "sample_dpm_2_ancestral": lambda k: spec("dpm_2_ancestral", **noisy(k)),
    "sample_dpmpp_2s_ancestral": lambda k: spec("dpmpp_2s_ancestral", **noisy(k)),
    "sample_dpmpp_sde": lambda k: spec("dpmpp_sde", r=k.get("r", 0.5), **noisy(k)),
    "sample_dpmpp_2m_sde": lambda k: spec(
        "dpmpp_2m_sde", variant=VARIANTS[k.get("solver_type", "midpoint")], **noisy(k)
    ),
    "sample_dpmpp_3m_sde": lambda k: spec(
        "dpmpp_3m_sde", variant="taylor", released=True, **noisy(k)
    ),
}
SAMPLERS = Known("sampler", SPECS)


GRIDS = Known(
    "grid",
    {
        "karras": lambda k, ends: spec("karras", rho=k.get("rho", 7.0), **ends),
        "exponential": lambda k, ends: spec("log_snr", **ends),
        "polyexponential": lambda k, ends: spec("polyexponential", rho=k.get("rho", 1.0), **ends),
    },
)


def noise_grid(name: str, n: int, given: Mapping[str, Any]) -> np.ndarray:
    """sigma/alpha at the nodes of our grid that is one of the reference's, (n + 1,)."""
    if name == "vp":
        slope, least = given.get("beta_d", 19.9), given.get("beta_min", 0.1)
        schedule = spec("vp_linear", beta_min=least, beta_max=slope + least)
        grid = spec("uniform", t_end=given.get("eps_s", 1e-3))
    else:
        ends = {"sigma_min": given["sigma_min"], "sigma_max": given["sigma_max"]}
        schedule = spec("edm", **ends)
        grid = GRIDS[name](given, ends)
    level = compiled(grids.make(grid), schedules.make(schedule), n).level
    return np.asarray(level.sigma) / np.asarray(level.alpha)


def replayed_draws(case: Case, solver: Solver, sigma: np.ndarray) -> np.ndarray | None:
    """The recorded draws, as ours are asked for: (steps, draws of a step, batch, dim)."""
    if "noise" not in case:
        return None
    drawn, steps = case["noise"], len(sigma) - 1
    per_step = 2 if case.extra["sampler"] == "sample_dpmpp_sde" else 1
    draws = np.zeros((steps, per_step, *drawn.shape[1:]))
    draws.reshape(-1, *drawn.shape[1:])[: len(drawn)] = drawn
    if per_step == 2:
        middle = sigma[:-2] ** (1 - solver.r) * sigma[1:-1] ** solver.r
        draws[:-1] = on_one_path(draws[:-1], sigma[:-2], middle, sigma[1:-1])
    return draws


def on_one_path(draws: np.ndarray, s: Any, s_middle: Any, s_next: Any) -> np.ndarray:
    """The draws with which a step whose two kinds of noise belong to one path has those recorded.

    The recorded ones are independent. With n = rho n_m + sqrt(1 - rho²) n' for the second, it takes
    n' = (n - rho n_m)/sqrt(1 - rho²) to have any n.
    """
    rho = np.asarray(shared_part(*(jnp.asarray(v) for v in (s, s_middle, s_next))))[:, None, None]
    first, second = draws[:, 0], draws[:, 1]
    return np.stack([first, (second - rho * first) / np.sqrt(1 - rho**2)], axis=1)


def spared(solver: Solver, sigma: np.ndarray) -> np.ndarray:
    """Steps without a second evaluation, as their noise is all fresh: the flow goes to 0."""
    if not isinstance(solver, TwoEvaluations) or len(sigma) < 3:
        return np.zeros(1, bool)
    down, _ = down_and_up(jnp.asarray(sigma[:-2]), jnp.asarray(sigma[1:-1]), solver.eta)
    return np.asarray(down) == 0


@checks("k_diffusion", "sampler")
def sampler(case: Case) -> Comparisons:
    grid = case.extra["grid"]
    sigma = noise_grid(grid["name"], grid["n"], grid)
    yield same("grid", sigma, case["sigmas"], rtol=1e-10)
    yield from outputs(case, predictions.make("x0"))

    solver = solvers.make(SAMPLERS[case.extra["sampler"]](case.kwargs))
    steps = len(sigma) - 1
    spares = spared(solver, sigma)
    yield same("evaluations", solver.evaluations(steps) - spares.sum(), case.nfe)
    # Where a range of sigma has an end on the grid, its last digit decides.
    sigma = case["sigmas"]
    if isinstance(solver, DPM2Ancestral) and spares.any():
        yield from noiseless(case, solver, sigma, int(np.argmax(spares)))
        return
    if "noise_sigma" in case and case.extra["sampler"] != "sample_dpmpp_sde":
        pairs = np.stack([sigma[:-2], sigma[1:-1]], axis=1)
        yield same("where noise is drawn", pairs, case["noise_sigma"], rtol=1e-12)

    draws = replayed_draws(case, solver, sigma)
    states = replay(solver, exploding(sigma), problem(case.problem), case["x_init"], draws).x
    before = np.concatenate([case["x_init"][None], states[:-1]])
    if case.kwargs.get("s_churn", 0) > 0:
        added = np.sqrt(np.maximum(case["cb_sigma_hat"] ** 2 - case["cb_sigma"] ** 2, 0))
        s_noise = case.kwargs.get("s_noise", 1.0)
        before = before + s_noise * added[:, None, None] * case["noise"][: len(added)]
    # On x_0 + sigma eps digits count from the largest.
    atol = STATES * max(1.0, float(np.abs(before).max()))
    yield same("states", before, case["cb_x"], atol=atol)
    yield same("final", states[-1], case["final"], atol=atol)


def noiseless(case: Case, solver: Solver, sigma: np.ndarray, first: int) -> Comparisons:
    """A run up to its first step whose noise is all fresh, which the reference leaves out."""
    x, draws = case["x_init"], np.zeros((len(sigma) - 1, *case["x_init"].shape))
    draws[:first] = case.get("noise", draws)[:first]
    states = replay(solver, exploding(sigma), problem(case.problem), x, draws)
    before = np.concatenate([x[None], states.x[:first]])
    atol = STATES * max(1.0, float(np.abs(before).max()))
    yield same("states", before, case["cb_x"][: first + 1], atol=atol)
    yield same("estimate", states.denoised[first], case["cb_denoised"][first], atol=atol)
    raise Deliberate(Fault(NOISELESS, functools.partial(_shown_noiseless, case, first)))


NOISELESS = "a step of dpm_2_ancestral whose noise is all fresh, as eta > 1 has, gets no noise"


def _shown_noiseless(case: Case, step: int) -> None:
    """What follows is the estimate itself, at a sigma above 0."""
    assert case["sigmas"][step + 1] > 0, "it ends on clean data"
    np.testing.assert_allclose(case["cb_x"][step + 1], case["cb_denoised"][step], atol=1e-9)


def ends_of(case: Case) -> tuple[float, float]:
    """The sigmas that a run of DPM-Solver in sigma starts from and ends at."""
    return case.kwargs["sigma_max"], case.kwargs["sigma_min"]


@checks("k_diffusion", "dpm_fast_adaptive")
def dpm_fast_adaptive(case: Case) -> Comparisons:
    yield from outputs(case, predictions.make("x0"))
    yield from Known("sampler", DPM_SOLVERS)[case.extra["sampler"]](case)


def dpm_fast(case: Case) -> Comparisons:
    """Single steps of third order, those at the end of what order is left."""
    count, eta = case.kwargs["n"], case.kwargs.get("eta", 0.0)
    s_noise = case.kwargs.get("s_noise", 1.0)
    rest = [2, 1] if count % 3 == 0 else [count % 3]
    orders = [3] * ((count - sum(rest)) // 3) + rest
    sigma = np.geomspace(*ends_of(case), len(orders) + 1)
    yield same("steps", sigma[:-1], case["cb_sigma"], rtol=1e-10)
    pairs = np.stack([sigma[:-1], sigma[1:]], axis=1)
    yield same("where noise is drawn", pairs, case["noise_sigma"], rtol=1e-10)

    data, x, states = problem(case.problem), case["x_init"], []
    for i, order in enumerate(orders):
        settings = {"eta": eta, "s_noise": s_noise, "s_end": float(sigma[-1])}
        settings |= {"order": order, "estimate": "epsilon"}
        solver = solvers.make(spec("dpm_solver_ancestral", **settings))
        states.append(x)
        x = replay(solver, exploding(sigma[i : i + 2]), data, x, case["noise"][i : i + 1]).x[-1]
    yield same("states", states, case["cb_x"], atol=STATES)
    yield same("final", x, case["final"], atol=STATES)
    if eta == 0:
        # The same as one run over all levels where it evaluates.
        places = [np.geomspace(*sigma[i : i + 2], k + 1)[:-1] for i, k in enumerate(orders)]
        nodes = exploding(np.append(np.concatenate(places), sigma[-1]))
        whole = solvers.make("dpm_solver_fast(size=3, last=falling)")
        yield same("evaluations", whole.evaluations(count), case.nfe)
        yield same("run", replay(whole, nodes, data, case["x_init"]).x[-1], x, atol=STATES)


def dpm_adaptive(case: Case) -> Comparisons:
    """Steps whose length follows their errors, one for the whole batch."""
    k = case.kwargs
    settings = {
        "order": k.get("order", 3),
        "rtol": k.get("rtol", 0.05),
        "atol": k.get("atol", 0.0078),
        "h_init": k.get("h_init", 0.05),
        "proportional": k.get("pcoeff", 0.0),
        "integral": k.get("icoeff", 1.0),
        "derivative": k.get("dcoeff", 0.0),
        "safety": 1.0,
        "accept": k.get("accept_safety", 0.81),
        "limited": True,
        "norm": "rms",
        "scale": "exploding",
        "eta": k.get("eta", 0.0),
        "s_noise": k.get("s_noise", 1.0),
    }
    solver = solvers.make(spec("dpm_solver_adaptive", **settings))
    trials, asked, accepted, _ = (int(value) for value in case["info"])
    # A trial that was accepted moved x, and drew noise.
    visited = np.concatenate([case["x_init"][None], case["cb_x"]])
    moved = (visited[1:] != visited[:-1]).any(axis=(1, 2))
    yield same("accepted trials", moved.sum(), accepted)
    draws = np.zeros((1, solver.max_trials, *case["x_init"].shape))
    draws[0, :trials][moved] = case["noise"]
    nodes = exploding(np.array(ends_of(case)))
    state = replay(solver, nodes, problem(case.problem), case["x_init"], draws)
    yield same("evaluations", state.evaluations[-1].max(), asked)
    yield same("final", state.x[-1], case["final"], atol=1e-6)


DPM_SOLVERS = {"sample_dpm_fast": dpm_fast, "sample_dpm_adaptive": dpm_adaptive}
