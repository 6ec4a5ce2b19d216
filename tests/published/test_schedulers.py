"""Configs of diffusers' schedulers, beside what diffusers did with them.

The recorded runs are those of tests/golden; here each is made from its config alone.
"""

import collections

import jax
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.schedulers import Scheduler, translate
from diffusion_jax.published.schedulers.refused import REASONS
from diffusion_jax.published.schedulers.scheduler import THRESHOLDS
from diffusion_jax.published.schedulers.settings import TAKEN
from tests.golden.diffusers import data
from tests.golden.load import DATA, Case, read
from tests.golden.problems import problem
from tests.golden.references.diffusers_sigma import draws_of
from tests.golden.replay import replay

DEFAULT_TAU = "tau=tau1"  # as recordings call it
PIPELINES = {"eta": 0.0}  # what they tell each step
EACH = 3  # runs of each scheduler; all of them are run by tests/golden


def recorded(folder=DATA) -> list[Case]:
    """Runs of schedulers that are read, with nothing set but their configs and steps."""
    found = []
    for case in read(folder):
        if case.family not in TAKEN or dict(case.kwargs["step"]) not in ({}, PIPELINES):
            continue
        learned = "learned" in str(case.kwargs["config"])  # which a network would have to tell
        told = set(case.kwargs["set_timesteps"]) - {"original_inference_steps"}
        other = case.kwargs["config"].get("tau_func", DEFAULT_TAU) != DEFAULT_TAU
        if told == {"num_inference_steps"} and not learned and not other:
            found.append(case)
    return found


def scheduler_of(case: Case) -> Scheduler:
    config = {k: v for k, v in case.kwargs["config"].items() if k != "tau_func"}
    told = {k: v for k, v in case.kwargs["set_timesteps"].items() if k.startswith("original")}
    return translate({"_class_name": case.family, **config, **told})


def _refused(case: Case) -> bool:
    try:
        scheduler_of(case).nodes(case.kwargs["set_timesteps"]["num_inference_steps"])
    except UserError:
        return True
    return False


RECORDED = recorded()
HONOURED = [case for case in RECORDED if not _refused(case)]


def some(cases: list[Case]) -> list[Case]:
    counts: collections.Counter[str] = collections.Counter()
    return [c for c in cases if counts.update([c.family]) or counts[c.family] <= EACH]


def test_what_is_refused_is_what_diffusers_does_otherwise_than_it_says() -> None:
    """See tests/golden, where each of these is shown to be a fault of the original."""
    refused = {case.name for case in RECORDED if case not in HONOURED}
    assert refused <= {
        *("trailing_v", "n10_log_linear", "spacing_linspace", "n10_karras", "n20_karras"),
        "n10_sigma_min",
    }
    assert {case.family for case in HONOURED} == set(TAKEN)


@pytest.mark.parametrize("case", some(HONOURED), ids=lambda case: f"{case.family}-{case.name}")
def test_a_run_is_that_of_diffusers(case: Case) -> None:
    with jax.enable_x64(True):
        check(case)


def check(case: Case) -> None:
    steps = case.kwargs["set_timesteps"]["num_inference_steps"]
    scheduler = scheduler_of(case)
    nodes, solver = scheduler.nodes(steps), scheduler.solver(steps)
    assert solver.evaluations(len(nodes.time) - 1) == case.nfe
    labels = case.get("eval_t", case.get("timesteps"))
    if labels is not None and case.nfe == len(nodes.time) - 1:
        told = np.asarray(scheduler.preconditioning.c_noise(nodes.level))[:-1]
        np.testing.assert_allclose(told, np.ravel(labels)[: case.nfe], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        scheduler.start_scale(nodes), case.get("init_noise_sigma", 1.0), rtol=1e-6
    )
    noise = case.get("noise")
    if case.family == "DPMSolverSDEScheduler":  # whose draws belong to one path
        noise = draws_of(case, solver, np.asarray(nodes.level.sigma))
    elif noise is not None and len(noise) < len(nodes.time) - 1:
        missing = len(nodes.time) - 1 - len(noise)
        noise = np.concatenate([noise, np.zeros((missing, *noise.shape[1:]))])
    own = case.family in THRESHOLDS
    exact = problem(case.problem) if own else data(case)
    found = replay(solver, nodes, exact, case["x_init"], noise)
    scale = max(1.0, float(np.abs(case["traj"]).max()))
    np.testing.assert_allclose(found.x[-1], case["final"], atol=1e-6 * scale)


SD = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}


def test_the_published_config_of_stable_diffusion() -> None:
    """50 steps of PNDM from label 981 down to 1, in 51 evaluations."""
    scheduler = translate(SD)
    nodes = scheduler.nodes(50)
    told = np.asarray(scheduler.preconditioning.c_noise(nodes.level))
    assert told[:-1].tolist() == list(range(981, 0, -20))
    assert scheduler.solver(50).evaluations(50) == 51
    assert float(nodes.level.alpha[-1]) < 1  # where its table begins


def test_a_shift_that_grows_with_the_picture() -> None:
    """FLUX: mu is 0.5 for 256 tokens and 1.15 for 4096, and the first sigma after 1 follows."""
    flux = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    scheduler = translate(flux, even_times=True)
    for tokens, mu in ((256, 0.5), (4096, 1.15)):
        sigma = np.asarray(scheduler.nodes(4, tokens).level.sigma)
        expected = np.exp(mu) / (np.exp(mu) + (1 / 0.75 - 1))
        np.testing.assert_allclose(sigma[[0, 1, -1]], [1, expected, 0], rtol=1e-5)
    with pytest.raises(UserError, match="depends on the size"):
        scheduler.nodes(4)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"_class_name": "VQDiffusionScheduler"}, "VQDiffusionScheduler .* draws discrete tokens"),
        ({"_class_name": "PNDMSheduler"}, "Did you mean 'PNDMScheduler'"),
        ({"_class_name": None}, "names no class"),
        ({"beta_schedule": "laplace"}, "beta_schedule='laplace' cannot be honoured"),
        ({"prediction_type": "v_prediction"}, "DDIMScheduler has the same settings"),
        ({"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr=True cannot be honoured"),
        ({"beta_strat": 0.1}, "beta_strat=0.1 cannot be honoured. Did you mean 'beta_start'"),
        ({"timestep_spacing": "odd"}, "timestep_spacing='odd' cannot be honoured"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(changed, line) -> None:
    with pytest.raises(UserError, match=line):
        translate(SD | changed).nodes(10)


def test_a_scheduler_is_taken_or_refused_for_a_reason() -> None:
    assert not set(TAKEN) & set(REASONS)
    for name in REASONS:
        with pytest.raises(UserError, match=f"{name} cannot be honoured: "):
            translate({"_class_name": name})


def test_a_scheduler_for_many_steps_at_once_is_the_plain_one() -> None:
    plain, parallel = (
        translate({"_class_name": f"DDIM{kind}Scheduler"}) for kind in ("", "Parallel")
    )
    assert parallel.solver(5) == plain.solver(5)
    np.testing.assert_array_equal(parallel.nodes(5).time, plain.nodes(5).time)


def test_latent_consistency_takes_no_more_steps_than_it_was_distilled_on() -> None:
    scheduler = translate({"_class_name": "LCMScheduler", "original_inference_steps": 50})
    told = scheduler.preconditioning.c_noise(scheduler.nodes(4).level)
    assert np.asarray(told)[:-1].tolist() == [999, 759, 499, 259]
    with pytest.raises(UserError, match="take 50 or fewer"):
        scheduler.nodes(51)


@pytest.mark.parametrize(
    ("told", "steps", "line"),
    [
        ({"final_sigmas_type": "sigma_min"}, 4, "last step has no length"),
        ({"sigma_schedule": "exponential"}, 1, "would begin at sigma_min"),
        ({"sigma_schedule": "linear"}, 4, "sigma_schedule='linear' cannot be honoured"),
        ({"prediction_type": "sample"}, 4, "prediction_type='sample' cannot be honoured"),
    ],
)
def test_what_edm_s_schedulers_do_not_do_as_they_say_is_refused(told, steps, line) -> None:
    with pytest.raises(UserError, match=line):
        translate({"_class_name": "EDMEulerScheduler", **told}).nodes(steps)


def test_a_large_variance_that_is_left_in_the_end_is_refused() -> None:
    """`diffusers_labels.LEFT_OVER` in tests/golden shows what the original does."""
    told = {"_class_name": "DDPMScheduler", "variance_type": "fixed_large"}
    assert translate(told).nodes(8).time.shape == (9,)
    with pytest.raises(UserError, match="where the last label is 1 and not 0"):
        translate(told | {"steps_offset": 1}).nodes(8)


def test_ddim_s_last_step_of_no_length_is_refused_where_it_clips() -> None:
    told = {"_class_name": "DDIMScheduler", "set_alpha_to_one": False, "steps_offset": 0}
    assert translate(told | {"clip_sample": False}).nodes(10).time.shape == (11,)
    assert translate(told | {"steps_offset": 1}).nodes(10).time.shape == (11,)
    for kept in ({"clip_sample": True}, {"clip_sample": False, "thresholding": True}):
        with pytest.raises(UserError, match="last step has no length"):
            translate(told | kept).nodes(10)


def test_a_last_step_of_no_length_is_refused() -> None:
    config = {
        "_class_name": "UniPCMultistepScheduler",
        "use_karras_sigmas": True,
        "final_sigmas_type": "sigma_min",
    }
    with pytest.raises(UserError, match="its last step has no length"):
        translate(config).nodes(10)


def test_a_blind_start_is_refused() -> None:
    config = {"_class_name": "DDIMScheduler", "rescale_betas_zero_snr": True}
    with pytest.raises(UserError, match="needs 'v_prediction'"):
        translate(config)
    with pytest.raises(UserError, match="a whole number"):
        translate({"_class_name": "DDIMScheduler"}).nodes(0)
