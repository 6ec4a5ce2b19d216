"""Pictures from a trained run: the sheet, its rows, and prompts that cannot be read."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from ml_collections import ConfigDict
from PIL import Image

from configs import base
from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.inference import generate
from diffusion_jax.inference.masks import load_mask
from diffusion_jax.training import trained
from diffusion_jax.training.loop import train
from diffusion_jax.training.trained import load_arms
from experiments import explain, sample
from experiments.config_files import load_config
from tests.training.conftest import on_one_device

PROMPTS = ["a large green circle", "a small red square in the centre"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ConfigDict:
    config = base.get_config()
    config.run_dir = str(tmp_path_factory.mktemp("sample") / "run")
    config.data = "shapes(level='one', size=12)"
    config.network = "dit(patch=4, width=16, depth=1, heads=1)"
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.arms = ConfigDict({"cosine": {}, "flow": {"schedule": "rectified_flow"}})
    config.training.steps, config.training.batch_size = 2, 8
    config.training.checkpoint_every = 1
    config.sampling.steps = (2,)
    with pytest.MonkeyPatch.context() as patch:
        on_one_device(patch)
        train(config)
    return config


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "sheet.png"), count=3):
        yield tmp_path / "sheet.png"


def sheet(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_sheet_with_a_row_per_prompt_and_arm(
    run: ConfigDict, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with flagsaver.flagsaver(prompt=PROMPTS):
        sample.main(run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == str(out)
    assert [line.split(":")[0] for line in lines[:-1]] == ["cosine", "flow"]
    both = sheet(out)
    with flagsaver.flagsaver(prompt=PROMPTS, arm="flow"):
        sample.main(run)
    one = sheet(out)
    assert one.shape[1] == both.shape[1] and 1.7 < both.shape[0] / one.shape[0] < 2.3
    # Where one arm shows its first row, two arms show that of the other.
    assert (both[12:108, 12:300] != one[12:108, 12:300]).any()


def test_another_arm_and_an_earlier_checkpoint_may_guide(run: ConfigDict, out: Path) -> None:
    sheets = []
    for guide in ("arm=flow", "step=1", "arm=cosine"):
        config = run.copy_and_resolve_references()
        config.sampling.guidance = f"autoguidance(scale=5.0, {guide})"
        with flagsaver.flagsaver(prompt=PROMPTS, arm="cosine"):
            sample.main(config)
        sheets.append(sheet(out))
    assert (sheets[0] != sheets[1]).any() and (sheets[1] != sheets[2]).any()


def test_what_a_mask_shows_of_a_picture_is_kept(
    run: ConfigDict, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask, drawn = tmp_path / "mask.png", []
    half = np.zeros((12, 12), np.uint8)
    half[:, 6:] = 255  # painted anew; the left half is kept
    Image.fromarray(half).save(mask)
    monkeypatch.setattr(sample, "_write_sheet", lambda path, rows, *more: drawn.extend(rows))
    single = run.copy_and_resolve_references()
    single.sampling.solvers, single.sampling.posterior = ("ddim",), "repaint"
    named = single.copy_and_resolve_references()
    named.sampling.operator = "half(side=left)"
    with flagsaver.flagsaver(arm="flow", picture=2):
        with flagsaver.flagsaver(mask=str(mask)):
            sample.main(run)
            sample.main(single)
            single.sampling.solvers = ("dpmpp_2m",)
            with pytest.raises(UserError, match="remembers earlier steps"):
                sample.main(single)
        sample.main(named)
        with pytest.raises(UserError, match="needs sampling.operator"):
            sample.main(single)
    picture = datasets.make(run.data).test[2]["image"].astype(float)
    for pictures, least in zip(drawn, (8, 1, 1), strict=True):
        assert pictures.shape == (3, 12, 12, 3)  # its own caption is the prompt
        off = np.abs(pictures - picture).mean(axis=(0, 1, 3))
        assert off[:6].max() < least < off[6:].min()
    with flagsaver.flagsaver(mask=str(tmp_path / "none.png")):
        with pytest.raises(UserError, match="Cannot read the picture"):
            sample.main(run)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((12, 12)), "is all black, so that nothing would be painted anew: white is"),
        (np.full((24, 24), 255), "is all white, so that nothing would be kept: white is painted"),
        (np.full((12, 12), 127), "is all black"),
        (np.eye(12, 14) * 255, "has 14×12 pixels, and pictures have 12×12"),
    ],
)
def test_masks_that_cannot_be_meant(
    run: ConfigDict, out: Path, tmp_path: Path, pixels: np.ndarray, message: str
) -> None:
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "mask.png")
    with flagsaver.flagsaver(mask=str(tmp_path / "mask.png"), arm="flow"):
        with pytest.raises(UserError, match=message):
            sample.main(run)
    assert not out.exists()


def test_a_mask_of_another_size_and_of_greys_is_what_it_looks_like(tmp_path: Path) -> None:
    greys = np.repeat(np.repeat(np.array([[0, 127], [128, 255]], np.uint8), 12, 0), 12, 1)
    Image.fromarray(greys).save(tmp_path / "mask.png")
    kept = load_mask(tmp_path / "mask.png", (12, 12, 3))[..., 0]
    np.testing.assert_array_equal(kept, np.repeat([[True], [False]], 6, 0).repeat(12, 1))


def test_samples_that_are_not_finite_are_no_pictures(
    run: ConfigDict, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*asked: Any) -> Any:
        samples, path = plain(*asked)
        return np.where(np.arange(len(samples)) < 2, np.nan, samples.T).T, path

    plain = generate.generate
    with monkeypatch.context() as patch:
        patch.setattr(generate, "generate", broken)
        with flagsaver.flagsaver(prompt=PROMPTS[:1], arm="flow"):
            with pytest.raises(UserError, match="2 of 3 samples of arm 'flow' are not finite: use"):
                sample.main(run)
    assert not out.exists()


def test_an_arm_that_diverged_is_not_drawn(
    run: ConfigDict, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load(folder: str, names: tuple[str, ...] = (), step: int | None = None) -> Any:
        arms = load_arms(folder, names, step)
        return {n: replace(a, diverged=2 if n == "cosine" else None) for n, a in arms.items()}

    monkeypatch.setattr(trained, "load_arms", load)
    for command in (sample.main, explain.explain):
        with flagsaver.flagsaver(arm="cosine"):
            with pytest.raises(UserError, match="'cosine' diverged at step 2 of its training"):
                command(run)
    guided = run.copy_and_resolve_references()
    guided.sampling.guidance = "autoguidance(arm=cosine)"
    with flagsaver.flagsaver(prompt=PROMPTS[:1]):
        with pytest.raises(UserError, match="guide 'cosine' diverged at step 2"):
            sample.main(guided)
        assert not out.exists()
        sample.main(run)
    lines = capsys.readouterr().out.splitlines()
    assert "cosine: left out, it diverged at step 2 of its training" in lines
    assert [line.split(":")[0] for line in lines].count("flow") == 1 and out.exists()


def test_a_run_that_is_older_than_a_field_of_sampling_has_its_default(run: ConfigDict) -> None:
    path = Path(run.run_dir) / "config.json"
    written = path.read_text()
    old = json.loads(written)
    del old["sampling"]["threshold"], old["sealed"], old["checksum"]
    path.write_text(json.dumps(old))
    assert load_config(run.run_dir).sampling == run.sampling
    path.write_text(written)


def test_other_noise_other_pictures_same_noise_same_pictures(run: ConfigDict, out: Path) -> None:
    sheets = []
    for seed in (0, 1, 0):
        with flagsaver.flagsaver(prompt=PROMPTS, arm="flow", seed=seed):
            sample.main(run)
        sheets.append(sheet(out))
    assert (sheets[0] != sheets[1]).any()
    np.testing.assert_array_equal(sheets[0], sheets[2])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ({"prompt": ["a large grene circle"]}, "Unknown word 'grene'.*Did you mean 'green'"),
        ({"arm": "flaw"}, "Did you mean 'flow'"),
    ],
)
def test_what_cannot_be_drawn(
    run: ConfigDict, out: Path, flag: dict[str, object], message: str
) -> None:
    with flagsaver.flagsaver(**flag), pytest.raises(UserError, match=message):
        sample.main(run)
    assert not out.exists()


@pytest.mark.parametrize(
    ("place", "message"),
    [("", "it is a folder"), ("a_file/sheet.png", "a_file is a file, not a folder")],
)
def test_where_nothing_can_be_written_is_said_before_anything_is_drawn(
    run: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, message: str
) -> None:
    (tmp_path / "a_file").touch()
    monkeypatch.setattr("diffusion_jax.training.trained.load_arms", lambda *_: pytest.fail("drew"))
    with flagsaver.flagsaver(out=str(tmp_path / place)), pytest.raises(UserError, match=message):
        sample.main(run)


def test_no_run(run: ConfigDict, out: Path, tmp_path: Path) -> None:
    config = run.copy_and_resolve_references()
    config.run_dir = str(tmp_path / "nothing")
    with pytest.raises(UserError, match="No run folder"):
        sample.main(config)
    other = run.copy_and_resolve_references()
    other.schedule = "edm"
    with pytest.raises(UserError, match="holds a run with schedule"):
        sample.main(other)
