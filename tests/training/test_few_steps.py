"""Every few-step objective trains from a config, beside others, and is sampled in few steps."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import fewstep
from diffusion_jax.inference.generate import Sampler, generate
from diffusion_jax.inference.measure import SamplingPlan
from diffusion_jax.metrics.heldout import LogSNRBins, held_out
from diffusion_jax.runs.stopped import Stopped
from diffusion_jax.sampling.grids import UniformGrid
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers
from diffusion_jax.training.arms import arm_settings, objectives
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import TrainedArm, load_arms
from tests.training import points_config
from tests.training.at_step import AtStep
from tests.training.conftest import on_one_device

# Settings that make a step cheap.
SPECS = {
    "reflow": "reflow(steps=2)",
    "consistency_distillation": "consistency_distillation(intervals=6)",
}
OBJECTIVES = {name: SPECS.get(name, f"{name}()") for name in fewstep}


@pytest.fixture(autouse=True, scope="module")
def _one_device() -> Iterator[None]:
    """Also for what is trained once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        on_one_device(patch)
        yield


def config(folder: Path, **arms: dict[str, str]) -> ConfigDict:
    made = points_config.get_config()
    made.run_dir, made.conditioner = str(folder), "none"
    made.arms = ConfigDict(arms)
    made.training.checkpoint_every = made.training.steps
    return made


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("teacher") / "run"
    train(config(folder, edm={"schedule": "edm"}, noise={"prediction": "epsilon"}))
    return str(folder)


def taught(folder: Path, teacher: str, **arms: dict[str, str]) -> ConfigDict:
    made = config(folder, **arms)
    made.teacher = f"{teacher}:edm"
    return made


def all_arms(folder: Path, teacher: str) -> ConfigDict:
    arms = {name: {"fewstep": spec} for name, spec in OBJECTIVES.items()}
    return taught(folder, teacher, **arms, plain={"schedule": "cosine"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, teacher: str) -> Path:
    folder = tmp_path_factory.mktemp("few") / "run"
    return train(all_arms(folder, teacher)).folder


@pytest.fixture(scope="module")
def arms(run: Path) -> dict[str, TrainedArm]:
    return load_arms(run)


def numbers(arm: TrainedArm) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(arm.params)]


def parameters(folder: Path) -> dict[str, list[np.ndarray]]:
    return {name: numbers(arm) for name, arm in load_arms(folder).items()}


def samples(arm: TrainedArm, solver: str, steps: int, scale: float = 1.0) -> np.ndarray:
    guide = guidance.make(f"classifier_free(scale={scale})")
    sampler = Sampler(arm.arm.network, solvers.make(solver), guide, (6,))
    nodes = UniformGrid()(arm.objective.schedule, steps).pad(4)
    return generate(sampler, arm.params, arm.objective.prediction, nodes, {}, 4, 0, 4)[0]


def test_all_objectives_train_beside_each_other_and_are_sampled_in_few_steps(
    arms: dict[str, TrainedArm],
) -> None:
    assert set(arms) == {*fewstep, "plain"}
    drawn = {}
    for name, arm in arms.items():
        assert arm.denoiser().knows_end == (name != "plain")
        for steps in (1, 2, 4):
            drawn[name, steps] = samples(arm, "jump", steps)
            assert np.isfinite(drawn[name, steps]).all()
        assert not np.allclose(drawn[name, 1], drawn[name, 4])
    # Networks of different objectives are different networks.
    assert len({found.tobytes() for found in drawn.values()}) == len(drawn)


def test_what_is_no_denoiser_is_refused_by_solvers_that_want_one(
    arms: dict[str, TrainedArm],
) -> None:
    for name, arm in arms.items():
        denoises = name == "plain" or fewstep.make(OBJECTIVES[name]).denoises
        if denoises:
            assert np.isfinite(samples(arm, "ddim", 2)).all()
        else:
            with pytest.raises(UserError, match="use the solver 'jump'"):
                samples(arm, "ddim", 2)


def test_cut_off_and_continued_they_end_with_the_same_bits(
    arms: dict[str, TrainedArm], teacher: str, tmp_path: Path
) -> None:
    asked = all_arms(tmp_path / "run", teacher)
    with pytest.raises(Stopped, match="after step 7 of 12"):
        train(asked, AtStep(6, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    train(asked)
    found = parameters(tmp_path / "run")
    for name, arm in arms.items():
        for one, two in zip(numbers(arm), found[name], strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_student_starts_from_a_teacher_that_means_the_same(teacher: str, tmp_path: Path) -> None:
    still = {"optimizer": "sgd(learning_rate=1e-30)"}
    names = ("progressive", "easy_consistency", "shortcut")
    arms = {name: {"fewstep": OBJECTIVES[name], **still} for name in names}
    own = load_arms(teacher, ("edm",))["edm"].params
    found = load_arms(train(taught(tmp_path / "run", teacher, **arms)).folder)
    for name, arm in found.items():
        same = jax.tree.map(
            lambda a, b: a.shape == b.shape and bool(jnp.allclose(a, b)), own, arm.params
        )
        assert all(jax.tree.leaves(same)) == fewstep.make(name).inherits, name


def test_an_arm_beside_others_is_the_arm_alone(
    arms: dict[str, TrainedArm], teacher: str, tmp_path: Path
) -> None:
    for name in ("mean_flow", "reflow"):
        asked = taught(tmp_path / name, teacher, **{name: {"fewstep": OBJECTIVES[name]}})
        if name == "mean_flow":  # which alone has no use for a teacher
            asked.teacher = ""
        alone = parameters(train(asked).folder)[name]
        for one, two in zip(alone, numbers(arms[name]), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_arms_that_differ_in_numbers_train_together(teacher: str, tmp_path: Path) -> None:
    arms = {
        f"flow{i}": {"fewstep": f"consistency_distillation(intervals={n})"}
        for i, n in enumerate((4, 9))
    }
    apart, together = (taught(tmp_path / name, teacher, **arms) for name in ("a", "b"))
    together.training.execution = "together"
    found = [parameters(train(each).folder) for each in (apart, together)]
    for name in arms:
        for one, two in zip(found[0][name], found[1][name], strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[0]["flow0"][-1], found[0]["flow1"][-1])


def test_a_guided_teacher_teaches_something_else(teacher: str, tmp_path: Path) -> None:
    arms = {"few": {"fewstep": "reflow(steps=2)"}}
    plain, guided = (taught(tmp_path / name, teacher, **arms) for name in ("a", "b"))
    guided.teacher_guidance = "classifier_free(scale=3.0)"
    # The teacher above reads no captions.
    for each in (plain, guided):
        each.conditioner = "label(width=8)"
    reader = config(tmp_path / "reader", edm={"schedule": "edm"})
    reader.conditioner, reader.optimizer = "label(width=8)", "adam(learning_rate=3e-2)"
    where = str(train(reader).folder)
    plain.teacher = guided.teacher = where
    one, two = (parameters(train(each).folder)["few"] for each in (plain, guided))
    assert not all(np.allclose(a, b, atol=1e-4) for a, b in zip(one, two, strict=True))


def test_those_that_denoise_are_asked_for_the_noise_in_held_out_pictures(
    arms: dict[str, TrainedArm],
) -> None:
    data, bins = datasets.make("points()"), LogSNRBins((-4.0, 0.0, 4.0))
    assert np.isfinite(held_out(arms["mean_flow"], data, 4, batch_size=4, bins=bins).mean).all()
    with pytest.raises(UserError, match="a consistency function"):
        held_out(arms["easy_consistency"], data, 4, batch_size=4, bins=bins)


class TestRefusals:
    def refused(self, config: ConfigDict, message: str) -> None:
        with pytest.raises(UserError, match=message):
            train(config)
        assert not Path(config.run_dir).exists()

    @pytest.mark.parametrize(
        ("arm", "message"),
        [
            ({"fewstep": "shortcat"}, "Did you mean 'shortcut'"),
            ({"fewstep": "progressive"}, "learns from a teacher, and none is named"),
            ({"fewstep": "reflow", "teacher": "nowhere"}, "No run folder nowhere"),
            ({"teacher": "nowhere"}, "no use for a teacher"),
            ({"fewstep": "shortcut", "teacher": "nowhere"}, "no use for a teacher"),
            (
                {"fewstep": "shortcut", "time_sampler": "log_normal"},
                "has a time_sampler of its own",
            ),
            ({"fewstep": "shortcut", "schedule": "cosine"}, "has a schedule of its own"),
        ],
    )
    def test_of_arms(self, tmp_path: Path, arm: dict[str, str], message: str) -> None:
        self.refused(config(tmp_path / "run", few=arm), message)

    def test_the_objectives_own_path_may_be_said(self, tmp_path: Path) -> None:
        asked = config(tmp_path, few={"fewstep": "shortcut", "schedule": "rectified_flow"})
        assert arm_settings(asked)["few"]["schedule"] == "its own"

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ("", "it has arms|name one"),
            (":ebm", "Did you mean 'edm'"),
            (":noise", "prediction Epsilon"),
        ],
    )
    def test_of_teachers(self, tmp_path: Path, teacher: str, where: str, message: str) -> None:
        asked = config(tmp_path / "run", few={"fewstep": "progressive"})
        asked.teacher = teacher + where
        self.refused(asked, message)

    def test_of_guidance_that_needs_a_course(self, tmp_path: Path, teacher: str) -> None:
        asked = taught(tmp_path / "run", teacher, few={"fewstep": "progressive"})
        asked.teacher_guidance = "apg"
        self.refused(asked, "cannot steer the teacher")

    def test_of_consistency_functions_as_teachers(self, tmp_path: Path, run: Path) -> None:
        asked = config(tmp_path / "run", few={"fewstep": "reflow"})
        asked.teacher = f"{run}:easy_consistency"
        self.refused(asked, "no denoiser to follow")

    def test_of_solvers_before_training(self, tmp_path: Path) -> None:
        asked = config(tmp_path / "run", few={"fewstep": "consistency_training"})
        with pytest.raises(UserError, match="a consistency function: use the solver 'jump'"):
            SamplingPlan.make(asked).check(objectives(asked))
        asked.sampling.solvers = ("jump", "consistency")
        SamplingPlan.make(asked).check(objectives(asked))
