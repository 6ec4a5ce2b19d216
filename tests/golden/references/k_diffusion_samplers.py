"""k-diffusion's samplers, which all work in the noise sigma of x_0 + sigma eps."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.solvers import Solver, solvers
from diffusion_jax.sampling.solvers.dpmpp_sde import shared_part
from tests.golden.check import Comparisons, checks, same
from tests.golden.diffusers import exploding, outputs
from tests.golden.load import Case
from tests.golden.problems import problem
from tests.golden.replay import at_times, replay
from tests.sampling.exact import compiled

STATES = 1e-9


def spec(name: str, **settings: Any) -> str:
    """A spec with settings."""
    written = ", ".join(f"{key}={value!r}".replace("'", "") for key, value in settings.items())
    return f"{name}({written})"


def churned(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "churn": kwargs.get("s_churn", 0.0),
        "s_tmin": kwargs.get("s_tmin", 0.0),
        "s_tmax": kwargs.get("s_tmax", float("inf")),
        "s_noise": kwargs.get("s_noise", 1.0),
    }


def noisy(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {"eta": kwargs.get("eta", 1.0), "s_noise": kwargs.get("s_noise", 1.0)}


VARIANTS = {"midpoint": "midpoint", "heun": "taylor"}

# What each sampler with its settings is called here.
SAMPLERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "sample_euler": lambda k: spec("edm", order=1, **churned(k)),
    "sample_heun": lambda k: spec("edm", **churned(k)),
    "sample_dpm_2": lambda k: spec("dpm_2", **churned(k)),
    "sample_lms": lambda k: spec("lms", points=k.get("order", 4), start="euler"),
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


def noise_grid(name: str, n: int, settings: Mapping[str, Any]) -> np.ndarray:
    """sigma/alpha at the nodes of our grid that is one of the reference's, (n + 1,)."""
    low, high = settings.get("sigma_min", 0.002), settings.get("sigma_max", 80.0)
    ends = {"sigma_min": low, "sigma_max": high}
    if name == "vp":
        slope, least = settings.get("beta_d", 19.9), settings.get("beta_min", 0.1)
        schedule = schedules.make(f"vp_linear(beta_min={least}, beta_max={slope + least})")
        times = jnp.linspace(1, settings.get("eps_s", 1e-3), n)
        return np.append(at_times(schedule, times).level.noise_to_signal, 0)
    if name == "polyexponential":
        part = np.linspace(1, 0, n) ** settings.get("rho", 1.0)
        return np.append(low * (high / low) ** part, 0)
    kind = spec("karras", rho=settings.get("rho", 7.0), **ends) if name == "karras" else ""
    grid = grids.make(kind or spec("log_snr", **ends))
    nodes = compiled(grid, schedules.make(spec("edm", **ends)), n)
    return np.asarray(nodes.level.noise_to_signal)


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


@checks("k_diffusion", "sampler")
def sampler(case: Case) -> Comparisons:
    grid = case.extra["grid"]
    sigma = noise_grid(grid["name"], grid["n"], grid)
    yield same("grid", sigma, case["sigmas"], rtol=1e-10)
    yield from outputs(case, predictions.make("x0"))

    solver = solvers.make(SAMPLERS[case.extra["sampler"]](case.kwargs))
    steps = len(sigma) - 1
    yield same("evaluations", solver.evaluations(steps), case.nfe)
    if "noise_sigma" in case and case.extra["sampler"] != "sample_dpmpp_sde":
        pairs = np.stack([sigma[:-2], sigma[1:-1]], axis=1)
        yield same("where noise is drawn", pairs, case["noise_sigma"], rtol=1e-12)

    draws = replayed_draws(case, solver, sigma)
    states = replay(solver, exploding(sigma), problem(case.problem), case["x_init"], draws).x
    before = np.concatenate([case["x_init"][None], states[:-1]])
    if "s_churn" in case.kwargs:
        added = np.sqrt(case["cb_sigma_hat"] ** 2 - case["cb_sigma"] ** 2)
        before = before + case.kwargs["s_noise"] * added[:, None, None] * case["noise"]
    yield same("states", before, case["cb_x"], atol=STATES)
    yield same("final", states[-1], case["final"], atol=STATES)
