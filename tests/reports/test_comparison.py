"""The curves of an objective: densities that integrate to one, weights that mean what they say."""

import numpy as np
import pytest

from diffusion_jax.fewstep.denoiser import FewStepPrediction
from diffusion_jax.fewstep.shortcut import Shortcut
from diffusion_jax.metrics.distance import distance_difference, features, kernel_distance
from diffusion_jax.metrics.measurement import of_distance
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.time_samplers.uniform import Uniform
from diffusion_jax.process.weightings.plain import Simple
from diffusion_jax.reports import figures
from diffusion_jax.reports.content import ReportArm
from diffusion_jax.reports.long_table import Found, long_table
from diffusion_jax.reports.schedule_curves import common_axis, schedule_curves
from diffusion_jax.reports.study import chosen_baseline
from diffusion_jax.sweeps.outcomes import Number, Outcome

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


def test_a_few_step_objective_has_a_path_and_no_density() -> None:
    objective = Shortcut()
    wrapped = Objective(objective.schedule, FewStepPrediction(objective), Uniform(), Simple())
    curves = schedule_curves(wrapped, AXIS)
    assert np.isnan(curves.density).all() and np.isnan(curves.weight).all()
    assert (np.diff(curves.log_snr) < 0).all()
    other = schedule_curves(Objective.make("cosine", "v", "uniform", "simple"), AXIS)
    few, plain = ReportArm("few", schedule=curves), ReportArm("plain", schedule=other)
    alone, beside = (figures.schedules(arms, AXIS) for arms in ([few], [few, plain]))
    assert [figure.title for figure in alone] == ["Schedule"]
    assert [figure.title for figure in beside][1:] == ["Training density", "Effective weight"]
    assert "few" in beside[0].svg and "few" not in beside[1].svg


def measured_arms(numbers: dict[str, tuple[Number, ...]], lost: str = "") -> tuple[Found, ...]:
    """Of arms of one seed, of which one may have diverged."""
    outcomes = {name: Outcome(3 if name == lost else None, own) for name, own in numbers.items()}
    return tuple(Found(name, 0, one, ("ddim",), (2,)) for name, one in outcomes.items())


@pytest.mark.parametrize(("named", "base"), [("", "zero"), ("also", "also")])
def test_the_first_arm_written_or_the_one_named_is_the_baseline(named: str, base: str) -> None:
    rng = np.random.default_rng(0)
    reference = features(rng.integers(0, 256, (8, 2, 2, 1), np.uint8))
    distances = {
        name: kernel_distance(features(rng.integers(0, 256, (8, 2, 2, 1), np.uint8)), reference)
        for name in ("zero", "more", "also")
    }
    how = {"solver": "ddim", "steps": 2, "nfe": 2.0, "metric": "kernel"}
    measured = {name: of_distance(distance, 8) for name, distance in distances.items()}
    numbers = {name: (Number(*one.parts, one.pairing, **how),) for name, one in measured.items()}
    made = measured_arms(numbers)
    assert chosen_baseline(made, tuple(numbers), named) == (base, "")
    rows, tests = long_table(made, base)
    assert {(test.arm, test.against) for test in tests} == {
        (name, base) for name in distances if name != base
    }
    for test in tests:
        gap = distances[test.arm].value - distances[base].value
        assert test.difference.value == pytest.approx(gap)
        paired = distance_difference(distances[test.arm], distances[base])
        assert (test.difference.low, test.p_value) == (paired.low, paired.p_value)
    # The long table has the same errors of the differences.
    (row,) = (row for row in rows if row.arm == "more")
    paired = distance_difference(distances["more"], distances[base])
    assert row.difference_error == pytest.approx((paired.high - paired.low) / (2 * 1.959964))


@pytest.mark.parametrize(("named", "base"), [("more", "more"), ("zero", "more"), ("", "more")])
def test_an_arm_that_diverged_is_no_baseline(named: str, base: str) -> None:
    made = measured_arms(dict.fromkeys(("zero", "more"), ()), lost="zero")
    found, said = chosen_baseline(made, ("zero", "more"), named)
    assert found == base
    assert said == (
        "" if named == base else "The baseline is more in the place of zero, which diverged."
    )
