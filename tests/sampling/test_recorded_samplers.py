"""Whole runs of the authors' samplers, replayed on their levels with their draws of noise.

Left out because these references differ on purpose: the last step of EDM's ablation sampler on the
variance-preserving process and of SiT's ODE on GVP and with Heun (they take their own step to
t = 0, here the last one returns the denoised estimate).
"""

import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import Nodes, grids
from diffusion_jax.sampling.solvers import Solver, solvers
from tests.golden.load import Case, case, cases
from tests.golden.problems import problem
from tests.golden.replay import at_times, with_clean
from tests.golden.replay import replay as replay_states
from tests.sampling.exact import compiled

pytestmark = pytest.mark.usefixtures("x64")

TOLERANCE = 1e-9


def replay(solver: Solver, nodes: Nodes, recorded: Case, x: np.ndarray) -> np.ndarray:
    steps = len(nodes.time) - 1
    noise = np.zeros((steps, *x.shape))
    drawn = recorded.get("noise", noise)[:steps]
    noise[: len(drawn)] = drawn
    return replay_states(solver, nodes, problem(recorded.problem), x, noise).x


def agree(found: np.ndarray, recorded: np.ndarray) -> None:
    np.testing.assert_allclose(found, recorded, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("recorded", cases("edm", "edm_sampler"), ids=repr)
def test_edm_sampler(recorded: Case) -> None:
    kwargs = {key: float(value) for key, value in recorded.kwargs.items()}
    low, high = kwargs.get("sigma_min", 0.002), kwargs.get("sigma_max", 80.0)
    ends = f"sigma_min={low}, sigma_max={high}"
    grid = grids.make(f"karras(rho={kwargs.get('rho', 7.0)}, {ends})")
    nodes = compiled(grid, schedules.make(f"edm({ends})"), int(kwargs["num_steps"]))
    np.testing.assert_allclose(nodes.level.sigma, recorded["t_steps"], rtol=1e-12)

    solver = solvers.make(
        f"edm(churn={kwargs.get('S_churn', 0)}, s_tmin={kwargs.get('S_min', 0)}, "
        f"s_tmax={kwargs.get('S_max', 'inf')}, s_noise={kwargs.get('S_noise', 1)})"
    )
    agree(replay(solver, nodes, recorded, high * recorded["x_init"])[-1], recorded["final"])
    assert solver.evaluations(int(kwargs["num_steps"])) == len(recorded["eval_sigma"])
    if "S_churn" not in kwargs:
        heun = replay(solvers.make("heun"), nodes, recorded, high * recorded["x_init"])
        agree(heun[-1], recorded["final"])


@pytest.mark.parametrize(
    ("name", "schedule", "solver"),
    [
        ("vp_euler", "vp_linear", "euler"),
        ("vp_heun", "vp_linear", "heun"),
        ("edm_heun_linear", "edm", "heun"),
    ],
)
def test_edm_ablation_sampler(name: str, schedule: str, solver: str) -> None:
    recorded = case("edm", "ablation_sampler", name)
    time = jnp.asarray(recorded["t_steps"][:-1])
    nodes = with_clean(at_times(schedules.make(schedule), time))
    sigma, scale = recorded["sigma_steps"], recorded["s_steps"]
    np.testing.assert_allclose(nodes.level.alpha, scale, rtol=1e-10)
    ratio = np.asarray(nodes.level.sigma) / np.asarray(nodes.level.alpha)
    np.testing.assert_allclose(ratio, sigma, rtol=1e-10)
    found = replay(solvers.make(solver), nodes, recorded, scale[0] * sigma[0] * recorded["x_init"])
    agree(found[:-1], recorded["state"][1:])
    if schedule == "edm":
        agree(found[-1], recorded["final"])


def ddpm_nodes(schedule: str, labels: np.ndarray):  # type: ignore[no-untyped-def]
    time = jnp.asarray((np.asarray(labels) + 1) / 1000)
    return with_clean(at_times(schedules.make(schedule), time))


@pytest.mark.parametrize("recorded", cases("k_diffusion", "sampler"), ids=repr)
def test_k_diffusion(recorded: Case) -> None:
    nodes = with_clean(at_times(schedules.make("edm"), jnp.asarray(recorded["sigmas"][:-1])))
    method = recorded.name.split("_n")[0]
    settings = ", ".join(
        f"{key.replace('s_churn', 'churn')}={value}" for key, value in recorded.kwargs.items()
    )
    solver = solvers.make(f"edm({settings})" if settings else method)
    agree(replay(solver, nodes, recorded, recorded["x_init"])[-1], recorded["final"])
