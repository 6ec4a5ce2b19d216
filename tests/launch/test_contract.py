"""What every launcher must do; it is here by being registered."""

import dataclasses
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_jax.describe import describe
from diffusion_jax.errors import UserError
from launch.__main__ import main, places
from launch.launchers import Job, Launcher, launchers
from tests.training.commands import ROOT

WORDS = ("-m", "experiments.train", "--config.schedule=edm(sigma_max=50.0)", "a b", "it's")
each_launcher = pytest.mark.parametrize("name", list(launchers))


def made(name: str) -> Launcher:
    """As its example says, which may have settings that it cannot do without."""
    return launchers.make(launchers[name].example)  # type: ignore[attr-defined]


@each_launcher
def test_it_is_a_frozen_description_made_from_a_spec(name: str) -> None:
    launcher = made(name)
    assert isinstance(launcher, Launcher) and dataclasses.is_dataclass(launcher)
    assert launcher == made(name) and hash(launcher) == hash(made(name))
    for field in dataclasses.fields(launcher):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(launcher, field.name, None)


@each_launcher
def test_its_text_depends_on_the_job_alone_and_has_the_whole_command(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    launcher, job = made(name), Job(WORDS)
    text = launcher.text(job)
    # Each word is there as the shell, or YAML, reads it.
    for word in WORDS:
        assert shlex.quote(word) in text or repr(word) in text or f'"{word}"' in text
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {"PATH": ""})
    assert launcher.text(job) == text and not any(tmp_path.iterdir())
    assert launcher.text(Job(("other.py",))) != text


@each_launcher
def test_a_dry_run_prints_the_text_and_does_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def submit(self: Launcher, job: Job) -> int:
        raise AssertionError("submitted")

    monkeypatch.setattr(launchers[name], "submit", submit)
    assert main([launchers[name].example, "--dry-run", "--", *WORDS]) == 0  # type: ignore[attr-defined]
    assert capsys.readouterr().out == made(name).text(Job(WORDS)) + "\n"


@each_launcher
@pytest.mark.parametrize("status", [0, 3])
def test_it_does_the_job_or_says_in_a_line_what_is_missing_here(name: str, status: int) -> None:
    """Without `sbatch`, `kubectl` and the like, a job can at most be done here."""
    code = f"raise SystemExit({status})"
    done = subprocess.run(
        [sys.executable, "-m", "launch", launchers[name].example, "--", "-c", code],  # type: ignore[attr-defined]
        cwd=ROOT,
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    done_here = done.returncode == status and not done.stderr
    refused = done.returncode == 1 and done.stderr.count("\n") == 1 and not done.stdout
    assert done_here or refused, done.stderr


@each_launcher
def test_help_lists_it_with_its_settings_and_what_it_is(name: str) -> None:
    (entry,) = (each for each in describe(launchers) if each.name == name)
    assert f"  {name}({entry.settings})\n      {entry.summary}" in places() and entry.summary
    documented = inspect.getdoc(launchers[name]) or ""
    for field in dataclasses.fields(made(name)):  # type: ignore[arg-type]
        assert re.search(rf"^ +{field.name}: ", documented, re.MULTILINE), field.name


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: WHERE"),
        (["local"], "A job needs a command"),
        (["lokal", "--", "-m", "experiments.train"], "Unknown launcher 'lokal'. Did you mean"),
        (["local(hosts=2)", "--", "-m", "experiments.train"], "no setting 'hosts'"),
        (["local(grace=-1)", "--", "a.py"], "grace must be 0 or more"),
        (["local", "-m", "experiments.train"], "unrecognized arguments: .*Write: python -m launch"),
        (["local", "--dry", "--", "a.py"], "unrecognized arguments: --dry"),
    ],
)
def test_bad_usage_is_one_clear_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        main(words)
    assert "\n" not in str(raised.value)
