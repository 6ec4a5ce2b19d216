"""The lesson: what its pictures show, and what it refuses."""

import html
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from ml_collections import ConfigDict
from PIL import Image

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.runs.progress import Progress
from diffusion_jax.training.loop import train
from experiments import explain

FILES = ("explain.html", "forward.gif", "forward.png", "reverse.gif", "reverse.png")


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "out"), steps=4):
        yield tmp_path / "out"


def tiny() -> ConfigDict:
    config = base.get_config()
    config.data = "shapes(level='one', size=12)"
    return config


def test_without_a_run_it_writes_a_page_and_four_pictures(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with flagsaver.flagsaver(prompt=["a small red circle at the top left"]):
        explain.main(tiny())
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "explain.html")
    assert sorted(file.name for file in out.iterdir()) == list(FILES)
    page = html.unescape((out / "explain.html").read_text(encoding="utf-8"))
    assert "Nothing is trained here" in page
    assert "a small red circle at the top left" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    with Image.open(out / "forward.gif") as film:
        assert film.n_frames == explain.FRAMES
    with Image.open(out / "reverse.gif") as film:
        assert film.n_frames == 5


def test_prompt_chooses_among_the_known_pictures(out: Path) -> None:
    with flagsaver.flagsaver(prompt=["a small red circle at the top left"]):
        lesson = explain.explain(tiny())
    red, _, blue = lesson.reverse.noisy[-1].reshape(-1, 12, 12, 3)[:, :5, :5].mean((0, 1, 2))
    assert red > blue + 20


def test_with_a_run_its_network_denoises(out: Path, tmp_path: Path) -> None:
    config = tiny()
    config.run_dir = str(tmp_path / "run")
    config.network = "dit(patch=4, width=16, depth=1, heads=1)"
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.arms = ConfigDict({"first": {}, "flow": {"schedule": "rectified_flow"}})
    config.training.steps, config.training.batch_size = 2, 8
    train(config, Progress())
    prompt = "a large green circle at the centre"
    with flagsaver.flagsaver(arm="flow", prompt=[prompt]):
        lesson = explain.explain(config)
    assert lesson.schedule == "rectified_flow"
    assert "after 2 training steps" in lesson.denoiser
    assert lesson.reverse.noisy.shape == (5, explain.PICTURES, 12, 12, 3)
    assert np.ptp(lesson.reverse.noisy[0]) > 0
    assert lesson.sampler.endswith("guidance classifier_free(scale=2.0)")
    config.sampling.guidance = "autoguidance(arm=first)"
    with flagsaver.flagsaver(arm="flow"):
        other = explain.explain(config)
    assert other.sampler.endswith("guidance autoguidance(arm=first)")
    assert (other.reverse.noisy[-1] != lesson.reverse.noisy[-1]).any()
    with flagsaver.flagsaver(prompt=["a large grene circle"]):
        with pytest.raises(UserError, match="'grene'"):
            explain.main(config)
    config.network = "dit(patch=4, width=32, depth=1, heads=1)"
    with pytest.raises(UserError, match="holds a run with network"):
        explain.main(config)
    assert not out.exists()


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ({"prompt": ["a small red circel at the top left"]}, "Did you mean 'a small red circle"),
        ({"prompt": ["a circle", "a square"]}, "one --prompt, not 2"),
        ({"arm": "cosin"}, "Did you mean 'cosine'"),
        ({"picture": 10**9}, "There is no picture"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistakes_are_answered_and_leave_nothing(
    out: Path, flag: dict[str, object], message: str
) -> None:
    with flagsaver.flagsaver(**flag), pytest.raises(UserError, match=message):
        explain.main(tiny())
    assert not out.exists()
