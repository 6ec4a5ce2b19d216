"""Checks follow the settings of a case, also those that no committed case varies.

The numbers of each case here are made in numpy from the paper's formula, not by the library.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import special

from tests.golden.check import Outcome
from tests.golden.synthetic import Arrays, found, mixture, write

pytestmark = pytest.mark.usefixtures("x64")


U = (np.arange(9) + 0.5) / 9


class TestSigmaDensities:
    """Of k-diffusion, whose bounds are none by default."""

    @staticmethod
    def drawn(folder: Path, name: str, kwargs: dict[str, Any], sigma: np.ndarray) -> Outcome:
        entry = {"id": name, "family": "sigma_density", "kwargs": kwargs}
        return found(folder, "k_diffusion", entry, {"u": U, "sigma": sigma})

    def test_log_logistic_without_bounds(self, tmp_path: Path) -> None:
        sigma = np.exp(-0.5 + 1.6 * special.logit(U))
        kwargs = {"loc": -0.5, "scale": 1.6}
        assert self.drawn(tmp_path, "log_logistic_wide", kwargs, sigma) == Outcome("agree")
        assert self.drawn(tmp_path, "log_normal_wide", kwargs, sigma).status == "differ"

    def test_log_logistic_with_nothing_but_a_lower_bound(self, tmp_path: Path) -> None:
        low = special.expit(np.log(0.1))
        sigma = np.exp(special.logit(low + U * (1 - low)))
        kwargs = {"min_value": 0.1, "max_value": "inf"}
        assert self.drawn(tmp_path, "log_logistic", kwargs, sigma) == Outcome("agree")

    def test_v_diffusion_without_settings(self, tmp_path: Path) -> None:
        assert self.drawn(tmp_path, "v_diffusion", {}, np.tan(U * np.pi / 2)) == Outcome("agree")

    def test_cosine_interpolated_has_bounds_of_its_own(self, tmp_path: Path) -> None:
        def log_snr(size: float) -> np.ndarray:
            shift = 2 * np.log(size / 32)
            ends = np.arctan(np.exp((-2 * np.log([1e3, 1e-3]) - shift) / -2))
            return -2 * np.log(np.tan(ends[0] + U * (ends[1] - ends[0]))) + shift

        sigma = np.exp(-((1 - U) * log_snr(16) + U * log_snr(64)) / 2)
        kwargs = {"image_d": 32, "noise_d_low": 16, "noise_d_high": 64}
        assert self.drawn(tmp_path, "cosine_interpolated", kwargs, sigma) == Outcome("agree")

    def test_a_density_that_nothing_names(self, tmp_path: Path) -> None:
        kwargs = {"loc": -0.5, "scale": 1.6}
        told = self.drawn(tmp_path, "a", kwargs, U)
        assert told.status == "uncovered"
        assert "'a'" in told.why


def k_diffusion_grid(**kwargs: Any) -> dict[str, Any]:
    return {"id": "grid", "family": "schedules", "kwargs": kwargs}


class TestSigmaGrids:
    def test_defaults_of_karras(self, tmp_path: Path) -> None:
        root = np.linspace(5.0 ** (1 / 7), 0.1 ** (1 / 7), 4)
        entry = k_diffusion_grid(name="karras", n=4, sigma_min=0.1, sigma_max=5.0)
        grid = {"sigmas": np.append(root**7, 0)}
        assert found(tmp_path, "k_diffusion", entry, grid) == Outcome("agree")

    def test_defaults_of_vp(self, tmp_path: Path) -> None:
        t = np.linspace(1, 1e-3, 4)
        grid = {"sigmas": np.append(np.sqrt(np.expm1(19.9 * t**2 / 2 + 0.1 * t)), 0)}
        entry = k_diffusion_grid(name="vp", n=4)
        assert found(tmp_path, "k_diffusion", entry, grid) == Outcome("agree")

    def test_a_grid_of_another_name(self, tmp_path: Path) -> None:
        entry = k_diffusion_grid(name="laplace", n=1, sigma_min=0.1, sigma_max=5.0)
        told = found(tmp_path, "k_diffusion", entry, {"sigmas": [1, 0]})
        assert told.status == "uncovered"
        assert "'laplace'" in told.why and "karras" in told.why


Steps = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def linear(least: float, most: float) -> Steps:
    def levels(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        alpha = np.exp(-(least * t + (most - least) * t**2 / 2) / 2)
        return alpha, np.sqrt(1 - alpha**2)

    return levels


def between(betas: np.ndarray) -> Steps:
    """log alpha is linear in t between the entries of a table; so are queries at its entries."""
    log_alpha = np.cumsum(np.log(1 - betas)) / 2
    t = np.arange(1, len(betas) + 1) / len(betas)

    def levels(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        alpha = np.exp(np.interp(at, t, log_alpha))
        return alpha, np.sqrt(1 - alpha**2)

    return levels


def first_order(levels: Steps, t: np.ndarray, corrects: bool) -> tuple[Arrays, int]:
    """DDIM in its exponential form, as UniPC-1 is; `corrects` averages x_0 at both ends."""
    alpha, sigma = levels(t)
    lam = np.log(alpha / sigma)
    traj = [np.random.default_rng(0).normal(size=(2, 2))]
    asked, estimates, steps = [traj[0]], [], len(t) - 1

    def step(i: int, x0: np.ndarray) -> np.ndarray:
        share = -np.expm1(lam[i] - lam[i + 1])
        return sigma[i + 1] / sigma[i] * traj[i] + alpha[i + 1] * share * x0

    for i in range(steps):
        estimates.append(mixture(asked[i], alpha[i], sigma[i]))
        if corrects and i > 0:
            traj[i] = step(i - 1, (estimates[i - 1] + estimates[i]) / 2)
        asked.append(step(i, estimates[i]))
        traj.append(asked[-1])
    told = [(asked[i] - alpha[i] * estimates[i]) / sigma[i] for i in range(steps)]
    grid = {"grid_t": t, "grid_alpha": alpha, "grid_sigma": sigma, "grid_lambda": lam}
    evals = {"eval_x": asked[:-1], "eval_out": told, "eval_t": t[:-1]}
    evals |= {"eval_alpha": alpha[:-1], "eval_sigma": sigma[:-1]}
    return {"x_init": traj[0], "traj": traj, "final": traj[-1], **grid, **evals}, steps


BETAS = np.linspace(0.002, 0.3, 40)
SCHEDULES = {
    ("linear_cont", "continuous VP-linear beta(t)=0.2+7.8t"): (linear(0.2, 8.0), 1000),
    ("linear_disc40", "discrete: betas = linspace(0.002,0.3,40)"): (between(BETAS), 40),
    ("sd_disc50", "discrete: scaled_linear 0.01..0.04"): (
        between(np.linspace(0.1, 0.2, 50) ** 2),
        50,
    ),
}


LINEAR = next(iter(SCHEDULES))


class TestNamedSchedules:
    @pytest.mark.parametrize("named", SCHEDULES)
    @pytest.mark.parametrize("reference", ["dpm_solver", "unipc"])
    def test_a_run_on_another_schedule(self, tmp_path: Path, reference, named) -> None:
        levels, count = SCHEDULES[named]
        corrects = reference == "unipc"
        arrays, steps = first_order(levels, np.linspace(1, 1 / count, 4), corrects)
        assert outcome_of_run(tmp_path, reference, named, arrays, steps) == Outcome("agree")

    def test_a_schedule_that_another_case_records(self, tmp_path: Path) -> None:
        betas = np.linspace(0.01, 0.2, 30) ** 1.5
        knots = np.cumsum(np.log(1 - betas)) / 2
        entry = {"id": "bent", "family": "schedules", "kwargs": {"schedule": "discrete"}}
        write(tmp_path, "dpm_solver", entry, {"log_alpha_array": knots})
        arrays, steps = first_order(between(betas), np.linspace(1, 1 / 30, 4), True)
        assert outcome_of_run(tmp_path, "unipc", ("bent", ""), arrays, steps) == Outcome("agree")

    @pytest.mark.parametrize("kwargs", [{}, {"schedule": "linear", "continuous_beta_1": 8.0}])
    def test_a_schedule_itself(self, tmp_path: Path, kwargs: dict[str, Any]) -> None:
        least = 0.1 if kwargs else 0.2
        t = np.linspace(0.1, 1, 4)
        alpha, sigma = linear(least, 8.0)(t)
        lam = np.log(alpha / sigma)
        levels = {"alpha": alpha, "sigma": sigma, "log_alpha": np.log(alpha), "lam": lam}
        arrays = {"T": 1.0, "t": t, "lam_query": lam, "t_of_lam": t} | levels
        entry = {"id": LINEAR[0], "family": "schedules", "kwargs": kwargs}
        entry |= {"description": LINEAR[1]}
        assert found(tmp_path, "unipc", entry, arrays) == Outcome("agree")

    def test_a_schedule_that_nothing_tells(self, tmp_path: Path) -> None:
        told = outcome_of_run(tmp_path, "unipc", ("bent", ""), {"x_init": [0.0]}, 3)
        assert told.status == "uncovered"
        assert "'bent'" in told.why


def outcome_of_run(
    folder: Path, reference: str, named: tuple[str, str], arrays: Arrays, steps: int, **more: Any
) -> Outcome:
    """What comes of a run of first order."""
    entry = {
        "id": "run",
        "family": "sampler",
        "problem": "gmm2",
        "kwargs": {"steps": steps, "order": 1} | more.pop("kwargs", {}),
        "schedule": named[0],
        "schedule_description": named[1],
        "algorithm_type": "data_prediction" if reference == "unipc" else "dpmsolver++",
        "model_type": "noise",
        "variant": "bh2",
        "ctor": {},
        "nfe": steps,
    }
    return found(folder, reference, entry | more, arrays)


UNKNOWN: dict[str, dict[str, Any]] = {
    "'spiral'": {"kwargs": {"skip_type": "spiral"}},
    "'leaps'": {"kwargs": {"method": "leaps"}},
    "'dpmsolver--'": {"algorithm_type": "dpmsolver--"},
    "'logits'": {"model_type": "logits"},
    "a function of its own": {"ctor": {"correcting_xt_fn": "mine"}},
    "ctor.momentum": {"ctor": {"momentum": 0.9}},
    "momentum": {"kwargs": {"momentum": 0.9}},
    "guidance 'oracle'": {"guidance": {"type": "oracle", "scale": 2.0, "cls": 1}},
    "class 7": {"guidance": {"type": "cfg", "scale": 2.0, "cls": 7}},
}


@pytest.mark.parametrize("told", UNKNOWN)
def test_a_setting_that_is_not_known_is_uncovered(tmp_path: Path, told: str) -> None:
    arrays, steps = first_order(SCHEDULES[LINEAR][0], np.linspace(1, 1e-3, 4), False)
    came = outcome_of_run(tmp_path, "dpm_solver", LINEAR, arrays, steps, **UNKNOWN[told])
    assert came.status == "uncovered"
    assert told in came.why and "\n" not in came.why


def test_a_setting_that_the_library_refuses_is_uncovered(tmp_path: Path) -> None:
    arrays, steps = first_order(SCHEDULES[LINEAR][0], np.linspace(1, 1e-3, 4), False)
    more = {"kwargs": {"order": 9}}
    came = outcome_of_run(tmp_path, "unipc", LINEAR, arrays, steps, **more)
    assert came.status == "uncovered"
    assert "refuses" in came.why
