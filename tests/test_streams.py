"""Commands whose output goes to a pipe that closes, a full disk, nowhere, or an old terminal."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffusion_jax.runs.progress import Progress
from diffusion_jax.streams import Forgiving
from tests.training.commands import ROOT, TRAIN

TALK = """
import sys
from diffusion_jax.streams import keep_writing
keep_writing()
sys.stdin.readline()  # until nobody listens
for i in range(3):
    print('×' * 3000, flush=i == 1)
    print('σ' * 3000, file=sys.stderr)
open(sys.argv[1], 'w').write('done')
"""


def talk(folder: Path, redirected: str, **environment: str) -> tuple[int, str, str]:
    """Runs TALK to its end with its output redirected by a shell; status, stdout and stderr."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirected}', sys.executable, "-c", TALK, folder / "file"],
        cwd=ROOT,
        env=os.environ | environment,
        input="\n",
        capture_output=True,
        text=True,
    )
    assert (folder / "file").read_text() == "done"
    return done.returncode, done.stdout, done.stderr


def test_closed_output_takes_nothing_with_it(tmp_path: Path) -> None:
    assert talk(tmp_path, ">&- 2>&-") == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_told_once_where_that_can_be(tmp_path: Path) -> None:
    status, _, err = talk(tmp_path, ">/dev/full")
    assert status == 0 and err.count("No space left on device") == 1 and "Trace" not in err
    assert talk(tmp_path, "2>/dev/full")[0] == 0
    assert talk(tmp_path, ">/dev/full 2>&1") == (0, "", "")


def test_characters_that_a_terminal_lacks_are_question_marks(tmp_path: Path) -> None:
    status, out, err = talk(tmp_path, "", PYTHONIOENCODING="ascii")
    assert status == 0 and out == ("?" * 3000 + "\n") * 3 and "Traceback" not in err


def test_a_pipe_that_closes_ends_nothing(tmp_path: Path) -> None:
    words = (
        "--config.conditioner=none",
        "--config.training.steps=3",
        f"--config.run_dir={tmp_path}/run",
    )
    for command, out, err in (
        ([*TRAIN, *words], None, "pipe"),
        (["-m", "experiments.train", "--help"], "pipe", None),
        (["-m", "experiments.catalog", "--help"], "pipe", None),
        (["-m", "launch.local", "--help"], "pipe", None),
    ):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=write if out else subprocess.PIPE,
            stderr=write if err else subprocess.PIPE,
            text=True,
        )
        os.close(write)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
        assert out or done.stdout == f"Trained 3 steps: {tmp_path}/run\n"


def test_progress_outlives_its_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich would end the program."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress().phase("Training", total=2) as advance:
            advance("×")
            advance("×")


def test_a_closed_file_and_none_take_all(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    for stream in (closed, None):
        print("×", file=Forgiving(stream), flush=True)  # type: ignore[call-overload]
    assert capsys.readouterr() == ("", "")
