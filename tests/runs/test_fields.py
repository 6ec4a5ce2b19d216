"""Fields of a config: their types, their order, and those that nothing uses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from configs import base
from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.runs.fields import MOST_ARMS, TYPES, check_fields, fields
from diffusion_jax.runs.run import DataFacts, Run
from diffusion_jax.training.arms import arm_settings, baseline_arm
from diffusion_jax.training.idle import refuse_idle
from diffusion_jax.training.loop import train
from experiments.config_files import load_config
from tests.annotations import unchecked

ARMS = {"zero": {"schedule": "edm"}, "more": {}, "also": {"training": {"ema": "none"}}}


def test_every_field_of_a_config_has_a_type() -> None:
    config = base.get_config()
    assert {*fields(config)} - {"arms"} == {*TYPES}
    check_fields(config)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("training.steps", "ten", "training.steps must be a whole number, not 'ten'"),
        ("training.steps", None, "training.steps must be a whole number, not None"),
        ("training.steps", True, "training.steps must be a whole number, not True"),
        ("training.steps", 1e400, "training.steps must be a whole number, not inf"),
        ("training.steps", 10**5000, "training.steps must be finite, not a number of thousands"),
        ("training.steps", 10**30, r"training.steps must be at least 1 \(and < 2\^31\)"),
        ("training.keep_steps", (4, "2"), r"keep_steps must be a tuple .* not \(4, '2'\)"),
        ("training.keep_steps", (10**400,), "training.keep_steps must be finite"),
        ("seed", -1, "seed must be from 0 to 2147483647, got -1"),
        ("sigma_data", float("nan"), "sigma_data must be finite, not nan"),
        ("sampling.steps", ("a",), r"sampling.steps must be a tuple \(a whole number"),
        ("sampling.solvers", "ddim", r"sampling.solvers must be a tuple \(a word"),
        ("data", 3, "data must be a word, not 3"),
        ("run_dir", None, "run_dir must be a word, not None"),
        ("arms", ["edm"], r"arms must be a ConfigDict, not \['edm'\]"),
        ("training", None, "training must be a ConfigDict, not None"),
        ("baseline", "nobody", "Unknown baseline 'nobody'"),
        ("schedule", "a(b=" * 9 + "1" + ")" * 9, "more than 4 specs within one another"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else "",
)
def test_a_wrong_value_is_named_before_anything_is_written(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    config = base.get_config()
    config.run_dir = str(tmp_path / "run")
    config.data = "points()"
    holder: Any = config
    *sections, last = field.split(".")
    for section in sections:
        holder = holder[section]
    with holder.ignore_type():
        holder[last] = value
    with unchecked(), pytest.raises(UserError, match=said) as caught:
        train(config)
    assert len(str(caught.value)) < 400
    assert not (tmp_path / "run").exists()


def test_what_is_no_config_is_named() -> None:
    for other in (None, "runs/base", {"seed": 1}):
        said = f"The config is a {type(other).__name__}; start from"
        with unchecked(), pytest.raises(UserError, match=said):
            train(other)  # type: ignore[arg-type]


def test_missing_unknown_and_too_many() -> None:
    changes: list[tuple[Callable[[ConfigDict], object], str]] = [
        (lambda c: c.training.__delattr__("steps"), "'training.steps' is missing"),
        (lambda c: c.__delattr__("arms"), "'arms' is missing"),
        (lambda c: c.update({"sed": 1}), "unknown config field 'sed'. Did you mean 'seed'?"),
        (lambda c: c.arms.update({f"a{i}": {} for i in range(MOST_ARMS + 1)}), "at most 1,000"),
    ]
    for change, said in changes:
        config = base.get_config()
        change(config)
        with pytest.raises(UserError, match=said):
            check_fields(config)


def test_arms_stay_as_they_were_written(tmp_path: Path) -> None:
    config = base.get_config()
    config.run_dir, config.data, config.arms = str(tmp_path / "run"), "points()", ARMS
    assert [*arm_settings(config)] == [*ARMS]
    facts = DataFacts.of(datasets.make(config.data))
    folder = Run.create(config, facts).folder
    loaded = Run.load(folder).config
    assert [*arm_settings(loaded)] == [*ARMS] and baseline_arm(loaded) == "zero"
    # Which arm is the baseline may change at any time.
    config.baseline = "also"
    assert baseline_arm(Run.create(config, facts).config) == "also"
    assert baseline_arm(Run.load(folder).config) == "also"


def test_runs_older_than_the_baseline_are_read(tmp_path: Path) -> None:
    config = base.get_config()
    config.run_dir, config.data, config.arms = str(tmp_path / "run"), "points()", ARMS
    facts = DataFacts.of(datasets.make(config.data))
    file = Run.create(config, facts).folder / "config.json"
    plain = json.loads(file.read_text())
    plain = {key: plain[key] for key in sorted(plain) if key in (*base.get_config(),)}
    plain["arms"] = dict(sorted(plain["arms"].items()))
    del plain["baseline"], plain["sampling"]["metrics"]
    file.write_text(json.dumps(plain))
    old = Run.load(file.parent).config
    check_fields(old)
    assert baseline_arm(old) == "also" and old.sampling.metrics
    Run.create(config, facts)  # goes on with the order that it is told now
    assert baseline_arm(Run.load(file.parent).config) == "zero"


@pytest.mark.parametrize("depth", [100, 700, 200_000])
@pytest.mark.parametrize("ends", [("[", "1", "]"), ('{"a": ', "1", "}")], ids=["list", "dict"])
def test_a_deep_file_is_told_in_a_line(tmp_path: Path, depth: int, ends: tuple[str, ...]) -> None:
    config = base.get_config()
    config.run_dir, config.data = str(tmp_path / "run"), "points()"
    folder = Run.create(config, DataFacts.of(datasets.make(config.data))).folder
    first, middle, last = ends
    deep = first * depth + middle + last * depth
    (folder / "config.json").write_text(f'{{"seed": {deep}}}')
    with pytest.raises(UserError) as caught:
        load_config(str(folder))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("changes", "written", "said"),
    [
        ({"teacher": "runs/x:edm"}, (), "no arm has a few-step objective"),
        ({"teacher_guidance": "classifier_free(scale=2.0)"}, (), "no arm learns from a teacher"),
        (
            {"fewstep": "shortcut()", "time_sampler": "log_normal"},
            ("time_sampler",),
            "brings its own",
        ),
        ({"conditioner": "none"}, ("training.caption_dropout",), "no arm reads captions"),
    ],
)
def test_a_field_that_no_arm_uses_is_refused(
    changes: dict[str, str], written: tuple[str, ...], said: str
) -> None:
    config = base.get_config()
    refuse_idle((config,), ("times", "training.caption_dropout"))
    config.update(changes)
    with pytest.raises(UserError, match=rf"would change nothing: .*{said}"):
        refuse_idle((config,), written)
    useful = base.get_config()
    if "teacher" not in str(changes):  # another arm uses it
        refuse_idle((config, useful), written)
