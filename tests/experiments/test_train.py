"""The train command: one line for every mistake, and help that helps."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.config_files import load_config
from tests.training.commands import ROOT, TRAIN, run

COMMAND = ("-m", "experiments.train", "--config=configs/base.py")


def mistake(*words: str) -> str:
    """Runs a command that must fail; returns the one line that it says."""
    status, out, err = run(*words)
    assert status == 1 and out == "", err
    (line,) = err.splitlines()
    return line


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--config.trainng.steps=3", "Did you mean 'training.steps'?"),
        ("--config.steps.training=3", "Unknown config field --config.steps.training"),
        ("--config.batch_size=3", "Did you mean 'training.batch_size'?"),
        ("--config.training.steps=many", "is not of type int; its value here is 1000."),
        ("--config.training=3", "is not of type dict"),
        ("--config.sampling.steps=few", "sampling.steps must be a tuple (a whole number, …)"),
        ("--config.=3", "Unknown config field --config."),
        ("--confg.seed=3", "Unknown command line flag 'confg.seed'"),
        ("seed=3", "Unexpected word 'seed=3'"),
        ("--config=configs/bas.py", "Did you mean 'configs/base.py'?"),
        ("--config=configs/__init__.py", "does not define get_config()"),
        ("--config=", "--config needs a config file"),
    ],
)
def test_mistakes_on_the_command_line_are_one_line(word: str, said: str) -> None:
    assert said in mistake(*COMMAND, word)


def test_a_field_that_no_arm_would_notice_is_refused() -> None:
    line = mistake("-m", "experiments.train", "--config.schedule=edm")
    assert "Every arm has its own 'schedule'" in line and "--config.arms.cosine.schedule" in line


def test_a_mistake_in_a_spec_is_one_line_and_leaves_no_folder(tmp_path: Path) -> None:
    # The arm takes its weighting from the base config, and may override it all the same.
    folder = tmp_path / "run"
    line = mistake(*TRAIN, f"--config.run_dir={folder}", "--config.arms.edm.weighting=minsnr")
    assert line.startswith("Unknown weighting 'minsnr'.") and "Known: " in line
    assert not folder.exists()


def test_an_arm_is_added_by_a_field_of_it_unless_its_name_is_a_slip(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    field = "--config.arms.{}.fewstep=shortcut(finest=4)"
    short = ("--config.conditioner=none", "--config.training.steps=2", f"--config.run_dir={folder}")
    line = mistake(*TRAIN, *short, field.format("cosin"))
    assert line.startswith("Unknown config field --config.arms.cosin.fewstep")
    status, _, err = run(*TRAIN, *short, field.format("short"))
    assert status == 0, err
    arms = load_config(str(folder)).arms
    assert set(arms) == {"cosine", "edm", "short"}
    assert arms.short.fewstep == "shortcut(finest=4)"


def test_help_lists_every_field_without_starting_jax() -> None:
    status, out, imported = run("-X", "importtime", *COMMAND, "--help")
    assert status == 0 and out.startswith("Trains the arms")
    assert "--config.training.steps=1000" in out and "--config.schedule='cosine'" in out
    modules = {line.rpartition("|")[2].strip() for line in imported.splitlines()}
    assert "absl.flags" in modules and "jax" not in modules


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_where_nothing_is_to_be_saved_it_says_so(signum: int) -> None:
    # Whatever started the tests may ignore SIGINT, which children inherit.
    listen = "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    work = f"cli.run(lambda config: os.kill(os.getpid(), {int(signum)}))"
    status, _, err = run("-c", f"{listen}from experiments import cli; {work}")
    assert (status, err) == (128 + signum, "Interrupted.\n")


def test_help_is_given_where_there_is_no_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.sample"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for words, status, said in (
        (["--help"], 0, "--config.training.steps=1000"),
        ([], 1, "No config file or run folder runs/quickstart. A run folder is made by"),
        (["--prompt=!?", f"--config={ROOT}/configs/base.py"], 1, "a prompt is made of words"),
    ):
        done = subprocess.run(
            [*command, *words], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == status and said in done.stdout + done.stderr, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["experiments.train", "experiments.catalog", "launch.local"])
def test_a_current_folder_that_is_gone_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    here = tmp_path / "gone"
    here.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'rmdir "$0" && exec "$@"', here, sys.executable, "-m", command],
        cwd=here,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    told = "The current folder has been removed: change to another (cd).\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_a_name_that_no_file_can_have_is_told_in_one_line() -> None:
    line = mistake("-m", "experiments.train", f"--config={'x' * 300}")
    assert "has a name of more than 255 bytes in it" in line and len(line) < 200


def test_a_fault_of_the_program_keeps_its_trace() -> None:
    status, _, err = run("-c", "from experiments import cli; cli.run(lambda config: 1 / 0)")
    assert status == 1 and "Traceback" in err and "ZeroDivisionError" in err


def test_it_trains_and_a_run_folder_serves_as_its_config(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    short = ("--config.training.steps=2", "--config.conditioner=none")
    status, out, err = run(*TRAIN, f"--config.run_dir={folder}", *short)
    assert status == 0 and out == f"Trained 2 steps: {folder}\n"
    assert "Traceback" not in err and "2/2 steps" in err
    # The folder stands for its config, wherever it has been moved.
    moved = load_config(str(folder.rename(tmp_path / "moved")))
    assert moved.training.steps == 2 and moved.run_dir == str(tmp_path / "moved")
