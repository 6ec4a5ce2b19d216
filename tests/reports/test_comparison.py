"""The curves of an objective: densities that integrate to one, weights that mean what they say."""

import numpy as np
import pytest

from diffusion_jax.process.objective import Objective
from diffusion_jax.reports.comparison import common_axis, schedule_curves

AXIS = np.linspace(-20.0, 20.0, 2001)


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        ("cosine", "uniform"),
        ("edm", "log_normal(mean=-0.3, std=1.3)"),
        ("rectified_flow(shift=3.0)", "logit_normal"),
        ("ddpm_linear", "low_discrepancy"),
    ],
)
def test_density_is_one_in_all(schedule: str, times: str) -> None:
    curves = schedule_curves(Objective.make(schedule, "v", times, "simple"), AXIS)
    assert np.trapezoid(curves.density, AXIS) == pytest.approx(1, abs=0.02)
    assert np.isfinite(curves.weight).all() and (np.diff(curves.log_snr) < 0).all()


def test_edm_density_is_the_normal_that_it_names() -> None:
    """log(sigma) ~ N(-0.3, 1.3²), so log-SNR = -2 log(sigma) ~ N(0.6, 2.6²)."""
    curves = schedule_curves(
        Objective.make("edm", "edm", "log_normal(mean=-0.3, std=1.3)", "simple"), AXIS
    )
    normal = np.exp(-(((AXIS - 0.6) / 2.6) ** 2) / 2) / (2.6 * np.sqrt(2 * np.pi))
    inside = np.abs(AXIS - 0.6) < 6
    np.testing.assert_allclose(curves.density[inside], normal[inside], rtol=0.01)


@pytest.mark.parametrize("times", ["uniform", "logit_normal(mean=0.5)"])
def test_the_bound_has_weight_one(times: str) -> None:
    curves = schedule_curves(Objective.make("vp_linear", "epsilon", times, "elbo"), AXIS)
    inside = np.abs(AXIS) < 3  # within the outermost of the quantiles that draw the curve
    np.testing.assert_allclose(curves.weight[inside], 1, rtol=1e-3)


def test_axis_holds_nearly_all_levels_of_all() -> None:
    narrow = Objective.make("edm", "edm", "log_normal(mean=0.0, std=0.5)", "simple")
    wide = Objective.make("cosine", "v", "uniform", "simple")
    axis = common_axis([narrow, wide])
    assert axis[0] < -12 and axis[-1] > 12
    only = common_axis([narrow])
    assert -3.5 < only[0] < -2.5 and 2.5 < only[-1] < 3.5
