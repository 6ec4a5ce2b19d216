"""The audit of a trained run: prompts of both kinds, none, and what it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.errors import UserError
from diffusion_jax.training.loop import train
from experiments import audit
from tests.training.conftest import on_one_device


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ConfigDict:
    config = base.get_config()
    config.run_dir = str(tmp_path_factory.mktemp("audit") / "run")
    config.data = "repeated(data='shapes(level=two, size=12, count=120, test_count=80)', first=1)"
    config.network = "dit(patch=4, width=16, depth=1, heads=1)"
    config.conditioner = "transformer(width=8, layers=1, heads=1)"
    config.arms = ConfigDict({"words": {}, "free": {"conditioner": "none"}})
    config.training.steps, config.training.batch_size = 2, 8
    config.sampling.steps, config.sampling.batch_size = (2,), 12
    with pytest.MonkeyPatch.context() as patch:
        on_one_device(patch)
        train(config)
    return config


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(out=str(tmp_path / "out"), drawn=12, alarm=0.05):
        yield tmp_path / "out"


def test_prompts_of_both_kinds_and_none(
    run: ConfigDict, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit.main(run)
    *_, verdict, path = capsys.readouterr().out.splitlines()
    assert path == str(out / "audit.html")
    said = json.loads((out / "results.json").read_text())
    assert said["verdict"] == verdict and "arm words of" in said["model"]
    names = [(each["prompts"], each["judged_by"], each["count"]) for each in said["prompts"]]
    assert names == [
        ("prompts of training pictures", "training pictures left out in turn", 12),
        ("prompts of held-out pictures", "real pictures never seen", 12),
    ]
    assert said["training_pictures"] == 169 and said["different_training_pictures"] == 120
    (repeated,) = said["duplicates"]
    assert (repeated["picture"], repeated["times"]) == (0, 50)
    with flagsaver.flagsaver(arm="free"):
        audit.main(run)
    said = json.loads((out / "results.json").read_text())
    assert [each["prompts"] for each in said["prompts"]] == ["no prompt"]
    assert said["sampling"].endswith("guidance none")


@pytest.mark.parametrize(
    ("given", "data", "message"),
    [
        ({"alarm": 0.001}, None, "takes 1999 held-out pictures, and there are 80"),
        ({"alarm": 2.0}, None, "above 0, at most 0.5, not 2.0"),
        ({"features": "pixel"}, None, "Did you mean 'pixels'"),
        ({"arm": "word"}, None, "Did you mean 'words'"),
        ({"prompt": ["a circle"]}, None, "--prompt would change nothing here"),
        ({}, "shapes(level=two, size=12, count=99)", "holds a run with data"),
    ],
)
def test_mistakes_are_answered_and_leave_nothing(
    run: ConfigDict, out: Path, given: dict[str, object], data: str | None, message: str
) -> None:
    config = run.copy_and_resolve_references()
    config.data = data or config.data
    if "prompt" in given:
        flags.FLAGS["prompt"].present = 1
    try:
        with flagsaver.flagsaver(**given), pytest.raises(UserError, match=message) as caught:
            audit.main(config)
    finally:
        flags.FLAGS["prompt"].present = 0
    assert "\n" not in str(caught.value) and not out.exists()


def test_other_pictures_than_were_trained_on_are_refused(
    run: ConfigDict, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The config is the same, and what it names has changed: copies would not be found."""
    from diffusion_jax.runs import run as runs

    facts = runs.Run.of(run).facts
    assert facts.fingerprint == ""  # pictures that are drawn have none
    monkeypatch.setattr(runs, "_read_facts", lambda _: runs.DataFacts((12, 12, 1), facts.states))
    with pytest.raises(UserError, match="was trained on other pictures"):
        audit.main(run)
