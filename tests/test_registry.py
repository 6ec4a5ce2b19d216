"""Specs: one string per part, and one clear line when it is wrong."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

from diffusion_jax.errors import UserError, finite, nearest, one_of, ordered, positive, within
from diffusion_jax.fewstep import fewstep
from diffusion_jax.process.losses import losses
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.preconditionings import preconditionings
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.process.time_samplers import time_samplers
from diffusion_jax.process.weightings import weightings
from diffusion_jax.registry import Registry
from diffusion_jax.sampling.grids import grids
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.sampling.thresholds import thresholds
from diffusion_jax.struct import Scalar, pytree, static
from tests.annotations import unchecked

FAMILIES = (
    schedules,
    predictions,
    preconditionings,
    time_samplers,
    losses,
    weightings,
    grids,
    guidance,
    thresholds,
    solvers,
    fewstep,
)


def refused(registry: Registry, spec: str, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.make(spec)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1000  # with all members listed
    for word in words:
        assert word in message


class TestMake:
    def test_an_unknown_name_brings_the_list_and_the_nearest(self) -> None:
        refused(schedules, "cosin", "'cosine'", "vp_linear", "Unknown schedule")
        refused(solvers, "anncestral", "Did you mean 'ancestral'?")

    def test_an_unknown_setting_brings_the_list_and_the_nearest(self) -> None:
        refused(schedules, "edm(sigma_maxx=3)", "Did you mean 'sigma_max'?", "sigma_min")
        refused(solvers, "heun(order=2)", "Its settings: none")

    def test_a_missing_setting_is_named(self) -> None:
        refused(schedules, "log_snr_shift(shift=1)", "needs the setting 'schedule'")

    def test_errors_in_nested_specs_are_found(self) -> None:
        refused(schedules, "log_snr_shift(schedule=cosin)", "Did you mean 'cosine'?")
        refused(schedules, "log_snr_shift(schedule=edm(sigma_max=-1))", "sigma_max", "-1")

    def test_a_setting_may_be_of_another_family(self) -> None:
        clipped = solvers.make("ddim(eta=0.5, threshold=clip(bound=2))")
        assert clipped.threshold == thresholds.make("clip(bound=2.0)")
        clock = solvers.make("gamma_sampling(clock=rectified_flow(shift=3))").clock
        assert clock == schedules.make("rectified_flow(shift=3.0)")
        refused(solvers, "ddim(threshold=clop)", "Unknown threshold 'clop'", "'clip'")
        refused(solvers, "ddim(threshold=1)", "threshold must be a threshold, not 1")
        refused(solvers, "edm(clock=cosin)", "Unknown schedule", "Did you mean 'cosine'?")

    def test_context_goes_only_where_it_is_asked_for(self) -> None:
        cosine = schedules.make("cosine", sigma_data=0.5, schedule=None)
        assert dataclasses.asdict(cosine) == {"log_snr_min": -15.0, "log_snr_max": 15.0}
        assert weightings.make("edm", sigma_data=0.7).sigma_data == 0.7
        assert weightings.make("edm(sigma_data=0.2)", sigma_data=0.7).sigma_data == 0.2

    def test_whole_numbers_do_for_numbers_and_bare_words_for_words(self) -> None:
        assert schedules.make("edm(sigma_max=50)") == schedules.make("edm(sigma_max=50.0)")
        assert solvers.make("ancestral(variance=large)").variance == "large"

    def test_a_name_is_given_only_once(self) -> None:
        family: Registry = Registry("thing")
        family.register("a")(dict)
        with pytest.raises(ValueError, match="registered twice"):
            family.register("a")(dict)

    @pytest.mark.parametrize("registry", FAMILIES, ids=lambda registry: registry.family)
    def test_a_family_lists_its_members(self, registry: Registry) -> None:
        names = list(registry)
        assert names == sorted(set(names))
        for name in names:
            assert callable(registry[name])


WRONG = [
    (schedules, "edm(sigma_max='big')", "a number", "'big'"),
    (schedules, "edm(sigma_max=big)", "a number", "'big'"),
    (schedules, "edm(sigma_max=None)", "a number", "None"),
    (schedules, "edm(sigma_max=True)", "a number", "True"),
    (schedules, "edm(sigma_max=(1, 2))", "a number", "(1, 2)"),
    (schedules, "edm(sigma_max=nan)", "a number", "nan"),
    (schedules, "edm(sigma_max=2j)", "a number", "2j"),
    (schedules, "edm(sigma_min=-1)", "sigma_min", "positive", "-1"),
    (schedules, "edm(sigma_max=inf)", "sigma_max", "finite", "inf"),
    (schedules, "edm(sigma_min=5, sigma_max=2)", "sigma_min=5.0", "sigma_max=2.0"),
    (schedules, "ve(sigma_min=0)", "sigma_min", "positive"),
    (schedules, "ve(sigma_min=2, sigma_max=2)", "less than"),
    (schedules, "rectified_flow(shift=0)", "shift", "positive"),
    (schedules, "rectified_flow(shift=-3)", "shift", "positive"),
    (schedules, "vp_linear(beta_min=0)", "beta_min", "positive"),
    (schedules, "cosine(log_snr_min=3, log_snr_max=-3)", "log_snr_min=3.0", "less than"),
    (schedules, "cosine(log_snr_min=-inf)", "log_snr_min", "finite"),
    (schedules, "sigmoid(tau=0)", "tau", "positive"),
    (schedules, "sigmoid(start=3, end=-3)", "start=3.0", "less than"),
    (schedules, "ddpm_linear(steps=0)", "20", "0"),
    (schedules, "ddpm_linear(steps=20)", "more than 20"),
    (schedules, "ddpm_linear(steps=10.5)", "a whole number"),
    (schedules, "ddpm_cosine(steps=1)", "2 or more"),
    (schedules, "ddpm_cosine(largest_beta=1.0)", "largest_beta"),
    (schedules, "ddpm_linear(beta_max=1.5, steps=1200)", "more than 1500"),
    (schedules, "scaled_linear(beta_min=0.1, beta_max=0.01)", "beta_min < beta_max"),
    (schedules, "sigmoid_beta(steps=1)", "2 or more"),
    (schedules, "betas(values=(0.1, 1.0))", "within (0, 1)"),
    (schedules, "alphas_cumprod(values=(0.5, 0.9))", "that fall"),
    (schedules, "iddpm_cosine(t_max=1.5)", "t_max", "from 0 to 1"),
    (schedules, "polynomial(power=0.5)", "power", "1 or more"),
    (schedules, "laplace(scale=0.1)", "within 12 scales"),
    (schedules, "cauchy(scale=0)", "scale", "positive"),
    (schedules, "linear_log_snr(log_snr_min=20)", "less than"),
    (schedules, "learned_log_snr(units=0)", "1 or more"),
    (schedules, "interpolated_shift(schedule=cosine, clean=-3, noisy=-1)", "must not be more"),
    (schedules, "rescaled(schedule=edm, curve=round)", "Unknown curve", "exploding"),
    (schedules, "ve_sqrt(sigma_min=-1)", "sigma_min", "positive"),
    (schedules, "log_snr_shift(schedule=3)", "a schedule", "3"),
    (schedules, "log_snr_shift(schedule=cosine, shift=inf)", "shift", "finite"),
    (time_samplers, "log_normal(std=0)", "std", "positive"),
    (time_samplers, "log_normal(mean=inf)", "mean", "finite"),
    (time_samplers, "logit_normal(std=-1)", "std", "positive"),
    (time_samplers, "low_discrepancy(time_sampler=0.5)", "time_sampler", "0.5"),
    (weightings, "min_snr(gamma=0)", "gamma", "positive"),
    (weightings, "edm(sigma_data=0)", "sigma_data", "positive"),
    (weightings, "sigmoid(bias='x')", "bias", "a number"),
    (predictions, "edm(sigma_data=-0.5)", "sigma_data", "positive"),
    (grids, "karras(rho=0)", "rho", "positive"),
    (grids, "karras(sigma_min=90)", "sigma_min=90.0", "less than"),
    (grids, "log_snr(sigma_max=-2)", "sigma_max", "positive"),
    (grids, "power(power=0)", "power", "positive"),
    (grids, "polyexponential(rho=-1)", "rho", "positive"),
    (grids, "beta(along=sigma)", "Unknown axis", "noise"),
    (grids, "align_your_steps(model=sd3)", "Unknown model", "sdxl"),
    (grids, "noise_table(sigmas=(1.0, 2.0))", "falling"),
    (grids, "leading(extra=-1)", "extra", "0 or more"),
    (grids, "quadratic(reach=2)", "reach", "from 0 to 1"),
    (grids, "sections(shares=())", "shares", "not all 0"),
    (grids, "iddpm(skipped=1000)", "skipped", "from 0 to 999"),
    (grids, "shifted(shift=0)", "shift", "positive"),
    (grids, "dynamic_shift(tokens=0)", "tokens", "positive"),
    (grids, "trailing(train_steps=0)", "train_steps", "1 or more"),
    (grids, "trailing(train_steps=99.5)", "a whole number"),
    (guidance, "classifier_free(scale=inf)", "scale", "finite"),
    (guidance, "classifier_free(sigma_low=-1)", "sigma_low", "0 or more"),
    (guidance, "classifier_free(sigma_low=3, sigma_high=2)", "less than"),
    (guidance, "classifier_free(channels=0)", "channels", "1 or more"),
    (thresholds, "clip(bound=0)", "bound", "positive"),
    (thresholds, "dynamic(ratio=95)", "ratio", "from 0 to 1"),
    (thresholds, "dynamic(lowest=2, highest=1)", "at most"),
    (solvers, "ddim(eta=1.5)", "eta", "from 0 to 1"),
    (solvers, "ddim(eta='all')", "eta", "a number"),
    (solvers, "ancestral(variance='larg')", "Did you mean 'large'?"),
    (solvers, "ancestral(variance=1)", "a word"),
    (solvers, "edm(churn=-1)", "churn", "0 or more"),
    (solvers, "edm(s_tmin=2, s_tmax=1)", "less than"),
]


@pytest.mark.parametrize(("registry", "spec", "words"), [(r, s, w) for r, s, *w in WRONG])
def test_a_wrong_value_is_refused_in_one_line(
    registry: Registry, spec: str, words: list[str]
) -> None:
    refused(registry, spec, *words)


@pytest.mark.parametrize("sigma_data", [0.0, -1.0, float("nan"), float("inf")])
def test_sigma_data_must_be_positive(sigma_data: float) -> None:
    with pytest.raises(UserError, match="sigma_data"):
        Objective.make("cosine", "v", "uniform", "simple", sigma_data)


class TestChecks:
    @dataclasses.dataclass
    class Part:
        low: object = 1.0
        high: object = 2.0

    @pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
    def test_positive(self, value: float) -> None:
        with pytest.raises(UserError, match="Part: low must be positive and finite"):
            positive(self.Part(value), "low", "high")

    def test_the_rest(self) -> None:
        part = self.Part(float("inf"), 0.5)
        for check in (finite, lambda p, name: within(p, 0, 1, name)):
            with pytest.raises(UserError, match="low must be"):
                check(part, "low")
            check(part, "high")
        with pytest.raises(UserError, match=r"low=inf must be less than high=0\.5"):
            ordered(part, "low", "high")

    def test_arrays_and_tracers_pass(self) -> None:
        part = self.Part(jnp.array(-1.0), 0.5)
        positive(part, "low")
        ordered(part, "low", "high")
        jax.jit(lambda value: positive(self.Part(value), "low") or value)(-1.0)


class TestPytree:
    def test_a_member_rebuilt_by_jax_is_not_checked(self) -> None:
        edm = schedules.make("edm")
        axes = jax.tree.map(lambda leaf: 0, edm)
        assert (axes.sigma_min, axes.sigma_max) == (0, 0)
        stacked = jax.tree.map(lambda leaf: jnp.array([leaf, 2 * leaf]), edm)
        ends = jax.vmap(lambda schedule: schedule.t_max, in_axes=(axes,))(stacked)
        assert ends.tolist() == [80.0, 160.0]
        assert jax.tree.unflatten(jax.tree.structure(edm), jax.tree.leaves(edm)) == edm

    def test_static_fields_are_no_leaves(self) -> None:
        @pytree
        class Part:
            name: str = static("a")
            size: Scalar = 1.0

        assert jax.tree.leaves(Part()) == [1.0]
        assert jax.tree.structure(Part()) != jax.tree.structure(Part("b"))
        assert jax.tree.map(lambda leaf: leaf + 1, Part("b")) == Part("b", 2.0)
        (path, _), *_ = jax.tree_util.tree_leaves_with_path(Part())
        assert jax.tree_util.keystr(path) == ".size"


def test_hints() -> None:
    assert nearest("cosin", ["cosine", "sigmoid"]) == " Did you mean 'cosine'?"
    assert nearest("zzz", ["cosine"]) == ""
    with pytest.raises(UserError, match="Known: a, b"):
        one_of("c", {"b", "a"}, "thing")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (3, "Cannot read schedule 3"),
        (None, "Cannot read schedule None"),
        (("edm",), "Cannot read schedule ('edm',)"),
        ("-" * 100_000, "Cannot read schedule '---"),
        ("(" * 100_000, "Cannot read schedule '((("),
        ("edm(sigma_max=" + "-" * 5000 + "1)", "Cannot read schedule 'edm("),
        ("edm(sigma_max=" + "9" * 5000 + ")", "Cannot read schedule 'edm("),
        ("a" * 100_001, "is longer than 100,000 letters"),
        ("edm(sigma_max=1e300)", "sigma_max is 1e+300; float32 holds"),
        ("edm(sigma_min=1e-320)", "sigma_min is 1e-320; float32 holds"),
        ("ddpm_linear(steps=10000001)", "steps must be at most 10,000,000"),
        ("ddpm_linear(beta_max=inf)", "needs 0 < beta_min < beta_max"),
        (
            "interpolated_shift(schedule=rescaled(schedule=interpolated_shift(schedule=cosine)))",
            "cannot be within another",
        ),
    ],
    ids=lambda text: str(text)[:30],
)
def test_what_nobody_can_mean_is_refused_in_a_line(spec: object, said: str) -> None:
    with unchecked(), pytest.raises(UserError) as caught:
        schedules.make(spec)  # type: ignore[arg-type]
    line = str(caught.value)
    assert said in line and "\n" not in line and len(line) < 400


def test_specs_are_within_one_another_four_deep() -> None:
    spec = "cosine"
    for _ in range(3):
        spec = f"log_snr_shift(schedule={spec}, shift=-0.5)"
    time = jnp.float32(0.5)  # where cosine's log-SNR is 0
    assert float(schedules.make(spec).level(time).log_snr) == pytest.approx(-1.5, abs=1e-4)
    with pytest.raises(UserError, match="more than 4 specs within one another"):
        schedules.make(f"log_snr_shift(schedule=log_snr_shift(schedule={spec}))")
