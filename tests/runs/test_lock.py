"""Two trainings at once in one folder: the second is refused, and nothing locks for ever."""

import subprocess
import sys
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from diffusion_jax.data.dataset import datasets
from diffusion_jax.errors import UserError
from diffusion_jax.runs import lock
from diffusion_jax.runs.lock import LOCK, locked
from diffusion_jax.runs.run import DataFacts, Run
from diffusion_jax.training import loop
from diffusion_jax.training.loop import train

HOLD = (
    "import sys, pathlib\n"
    "from diffusion_jax.runs.lock import locked\n"
    "with locked(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_a_second_training_is_refused_and_changes_nothing(config: ConfigDict) -> None:
    folder = Run.create(config, DataFacts.of(datasets.make("points()"))).folder
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    config.training.steps += 1  # which may change
    with locked(folder):
        with pytest.raises(UserError, match=r"is being trained by process \d+ on .*: wait for it"):
            train(config)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_lock_ends_with_its_process_however_that_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"by process {holder.pid} on "), locked(folder):
        pass
    holder.kill()
    holder.communicate()
    assert (folder / LOCK).exists()
    with locked(folder):
        assert (folder / LOCK).read_text().startswith("process ")
    assert list(folder.iterdir()) == []


def test_a_lock_file_deleted_by_hand_lets_nobody_in(config: ConfigDict) -> None:
    with locked(Path(config.run_dir)):
        (Path(config.run_dir) / LOCK).unlink()
        with pytest.raises(UserError, match="is being trained by another process: wait for it"):
            train(config)
        assert list(Path(config.run_dir).iterdir()) == []
    with locked(Path(config.run_dir)):
        assert (Path(config.run_dir) / LOCK).exists()


def test_where_only_files_can_be_locked_the_file_counts(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock, "_hold_folder", lambda folder, held: None)
    with locked(tmp_path):
        with pytest.raises(UserError, match=r"is being trained by process \d+ on "):
            with locked(tmp_path):
                pass


def test_a_folder_made_for_nothing_is_removed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "run"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/run"])
def test_a_file_in_the_way_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"{name}.*(is a file|Not a directory)"):
        with locked(tmp_path / name):
            pass


def test_no_room_for_a_checkpoint_is_noticed_before_training(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, states: object, count: int) -> None:
        raise UserError(f"No room on disk for {path}")

    monkeypatch.setattr(loop, "check_room", full)
    with pytest.raises(UserError, match="No room on disk for .*run"):
        train(config)
    assert not Path(config.run_dir).exists()


def test_a_start_that_finds_the_disk_full_leaves_no_folder(
    config: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(content: object, path: Path) -> None:
        raise UserError(f"No room on disk for {path}")

    monkeypatch.setattr("diffusion_jax.runs.run.save", full)
    with pytest.raises(UserError, match="No room on disk for .*environment.json"):
        train(config)
    assert not Path(config.run_dir).exists()
