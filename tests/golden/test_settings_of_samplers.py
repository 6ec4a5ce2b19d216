"""Checks of other samplers follow the settings of a case; as in `test_settings`."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.check import Outcome
from tests.golden.synthetic import Arrays, found, mixture

pytestmark = pytest.mark.usefixtures("x64")
X = np.random.default_rng(1).normal(size=(2, 2))


def euler_in_sigma(sigma: np.ndarray, x: np.ndarray) -> Arrays:
    """Euler's method on x_0 + sigma eps, and what its denoiser was asked and said."""
    states, told = [x], []
    for s, s_next in itertools.pairwise(sigma):
        told.append(mixture(states[-1], 1.0, s))
        states.append(told[-1] + s_next / s * (states[-1] - told[-1]))
    asked = {"eval_x": states[:-1], "eval_out": told, "eval_sigma": sigma[:-1]}
    return {"final": states[-1], "states": states, **asked}


class TestKDiffusion:
    @staticmethod
    def euler(folder: Path, grid: dict[str, Any], sigma: np.ndarray, **more: Any) -> Outcome:
        run = euler_in_sigma(sigma, sigma[0] * X)
        arrays = run | {"sigmas": sigma, "x_init": sigma[0] * X, "cb_x": run["states"][:-1]}
        entry = {"id": "run", "family": "sampler", "sampler": "sample_euler", "problem": "gmm2"}
        entry |= {"grid": grid, "nfe": len(sigma) - 1}
        del arrays["states"]
        return found(folder, "k_diffusion", entry | more, arrays)

    def test_defaults_of_a_grid(self, tmp_path: Path) -> None:
        sigma = np.append(np.geomspace(9.0, 0.2, 4), 0)
        grid = {"name": "polyexponential", "n": 4, "sigma_min": 0.2, "sigma_max": 9.0}
        assert self.euler(tmp_path, grid, sigma) == Outcome("agree")
        bent = self.euler(tmp_path / "bent", grid | {"rho": 2.0}, sigma)
        assert bent.status == "differ"

    def test_what_a_grid_does_not_have(self, tmp_path: Path) -> None:
        sigma = np.append(np.geomspace(9.0, 0.2, 4), 0)
        grid = {"name": "exponential", "n": 4, "sigma_min": 0.2, "sigma_max": 9.0}
        came = self.euler(tmp_path, grid | {"rho": 2.0}, sigma)
        assert came == Outcome("uncovered", "settings that no check looks at: grid.rho")


def test_edm_on_a_network_that_knows_few_levels(tmp_path: Path) -> None:
    root = np.linspace(3.0 ** (1 / 4), 0.05 ** (1 / 4), 4)
    sigma = np.append(root**4, 0)
    run = euler_in_sigma(sigma, 3.0 * X)
    arrays = run | {"x_init": X, "state": run["states"][:-1], "t_steps": sigma}
    arrays |= {"sigma_steps": sigma, "s_steps": np.ones(5), "eval_alpha": np.ones(4)}
    del arrays["states"]
    kwargs = {"num_steps": 4, "solver": "euler", "rho": 4, "sigma_min": 0.001, "sigma_max": 50}
    entry = {"id": "a", "family": "ablation_sampler", "problem": "gmm2", "nfe": 4}
    entry |= {"kwargs": kwargs, "net_sigma_min": 0.05, "net_sigma_max": 3.0}
    entry |= {"round_sigma": "identity"}
    assert found(tmp_path, "edm", entry, arrays) == Outcome("agree")
    other = found(tmp_path / "other", "edm", entry | {"round_sigma": "up"}, arrays)
    assert other.status == "uncovered"


@pytest.mark.parametrize("prediction", ["velocity", "score"])
def test_sit_between_other_ends(tmp_path: Path, prediction: str) -> None:
    """Euler's method along (t x_0 + (1 - t) eps), whose velocity has no trouble with either end."""
    ends = (0.0, 1.0) if prediction == "velocity" else (0.05, 0.95)
    t = np.linspace(*ends, 5)
    states, told = [X], []
    for i in range(4):
        x, alpha, sigma = states[i], t[i], 1 - t[i]
        x0 = mixture(x, alpha, sigma)
        velocity = x0 - (x - alpha * x0) / sigma
        told.append(velocity if prediction == "velocity" else -(x - alpha * x0) / sigma**2)
        states.append(x + (t[i + 1] - t[i]) * velocity)
    kwargs = {"path_type": "Linear", "prediction": prediction, "sampling_method": "euler"}
    kwargs |= {"num_steps": 5, "sample_eps": 0.05, "train_eps": 0.01}
    arrays = {"t_grid": t, "x_init": X, "traj": states, "final": states[-1], "eval_t": t[:-1]}
    arrays |= {"eval_x": states[:-1], "eval_out": told}
    arrays |= {"eval_alpha": t[:-1], "eval_sigma": 1 - t[:-1]}
    entry = {"id": "run", "family": "ode", "problem": "gmm2", "kwargs": kwargs, "nfe": 4}
    assert found(tmp_path, "sit", entry, arrays) == Outcome("agree")


def test_an_ode_method_that_the_library_does_not_have(tmp_path: Path) -> None:
    t = np.linspace(0, 1, 5)
    kwargs = {"path_type": "Linear", "sampling_method": "implicit_adams", "num_steps": 5}
    arrays = {"t_grid": t, "x_init": X, "eval_x": X[None], "eval_t": [0.5], "eval_alpha": [0.5]}
    arrays |= {"eval_sigma": [0.5], "eval_out": [(mixture(X, 0.5, 0.5) - X) / 0.5]}
    entry = {"id": "run", "family": "ode", "problem": "gmm2", "kwargs": kwargs, "nfe": 1}
    came = found(tmp_path, "sit", entry, arrays)
    assert came.status == "uncovered" and "implicit_adams" in came.why
