"""The local launcher as a user meets it: a command line, real processes, exit statuses."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from launch.__main__ import main
from launch.launchers import Job, launchers
from launch.local import translated

SUM_OVER_PROCESSES = """
import os
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
process, count = int(os.environ["JAX_PROCESS_ID"]), int(os.environ["JAX_NUM_PROCESSES"])
jax.distributed.initialize(num_processes=count, process_id=process)
mesh = jax.make_mesh((jax.device_count(),), ("data",))
mine = np.full(jax.local_device_count(), 10.0**process, np.float32)
numbers = jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec("data")), mine)
total = jax.jit(lambda x: x.sum(), out_shardings=NamedSharding(mesh, PartitionSpec()))(numbers)
print("processes", jax.process_count(), "total", float(total))
"""

WRITE_PID_THEN_SLEEP = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
(folder / os.environ["JAX_PROCESS_ID"]).write_text(str(os.getpid()))
"""

SAY_GOODBYE_ON_SIGTERM = (
    """
import os, signal, sys, pathlib, time
def goodbye(number, frame):
    (pathlib.Path(sys.argv[1]) / ("goodbye" + os.environ["JAX_PROCESS_ID"])).touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, goodbye)
"""
    + WRITE_PID_THEN_SLEEP
    + "time.sleep(60)"
)


@pytest.fixture(autouse=True)
def logs_stay_in_the_tests_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def script(folder: Path, text: str) -> str:
    file = folder / "child.py"
    file.write_text(text)
    return str(file)


def launcher(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launch.local", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pids(folder: Path, count: int) -> list[int]:
    """The process ids that the children wrote, once all have."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        written = [file.read_text() for file in folder.glob("[0-9]")]
        if len(written) == count and all(written):
            return [int(text) for text in written]
        time.sleep(0.02)
    raise AssertionError("the children did not start")


def ended(pid: int) -> bool:
    """Whether a process is gone, or a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_two_processes_are_one_jax_program(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    child = launcher("--processes=2", script(tmp_path, SUM_OVER_PROCESSES))
    output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, errors
    # Two devices hold 1, two hold 10; only process 0 speaks.
    spoken = [line for line in output.splitlines() if not line.startswith("[Gloo]")]
    assert spoken == ["processes 2 total 22.0"]


def test_a_failing_process_gives_its_status_and_ends_the_others(tmp_path: Path) -> None:
    fail_second = WRITE_PID_THEN_SLEEP + (
        "if os.environ['JAX_PROCESS_ID'] == '1':\n"
        "    while len(list(folder.glob('[0-9]'))) < 3: time.sleep(0.01)\n"
        "    print('the disk is full.')\n"
        "    sys.exit(7)\n"
        "time.sleep(60)"
    )
    child = launcher("--processes=3", script(tmp_path, fail_second), str(tmp_path))
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 7
    assert all(ended(pid) for pid in pids(tmp_path, 3))
    line = errors.strip()
    assert line.startswith("Process 1 of 3 failed (exit status 7): the disk is full. Output")
    assert "the disk is full." in (Path(line.split()[-1]) / "process_1.log").read_text()


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WRITE_PID_THEN_SLEEP
    wait_for_peer = (
        "if os.environ['JAX_PROCESS_ID'] == '0':\n"
        "    time.sleep(60)\n"
        "while not (folder / '0').exists(): time.sleep(0.01)\n"
        "os.kill(os.getpid(), 6)"
    )
    child = launcher("--grace=0.2", script(tmp_path, deaf + wait_for_peer), str(tmp_path))
    assert child.wait(timeout=30) == 128 + signal.SIGABRT
    assert all(ended(pid) for pid in pids(tmp_path, 2))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_every_process_and_all_are_waited_for(tmp_path: Path, number) -> None:
    text = SAY_GOODBYE_ON_SIGTERM.replace("SIGTERM", signal.Signals(number).name)
    child = launcher("--processes", "2", script(tmp_path, text), str(tmp_path))
    started = pids(tmp_path, 2)
    child.send_signal(number)
    assert child.wait(timeout=30) == 0
    assert {file.name for file in tmp_path.glob("goodbye*")} == {"goodbye0", "goodbye1"}
    assert all(ended(pid) for pid in started)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_launcher_leaves_no_process_behind(tmp_path: Path) -> None:
    child = launcher(script(tmp_path, WRITE_PID_THEN_SLEEP + "time.sleep(60)"), str(tmp_path))
    started = pids(tmp_path, 2)
    child.kill()
    child.wait()
    give_up = time.monotonic() + 10
    while not all(ended(pid) for pid in started) and time.monotonic() < give_up:
        time.sleep(0.02)
    assert all(ended(pid) for pid in started)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--processes=2"], "A job needs a command"),
        (["--processes=0", "-m", "experiments.train"], "at least 1 process, not 0"),
        (["--processes=two", "-m", "experiments.train"], "processes must be a whole number"),
        (["--proceses=2", "-m", "experiments.train"], "unrecognized arguments: --proceses=2"),
    ],
)
def test_bad_usage_is_one_clear_line(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        main(translated(words))
    assert "\n" not in str(raised.value)


def test_a_mistake_that_every_process_makes_is_told_in_one_line() -> None:
    child = launcher("--processes=2", "-m", "experiments.train", "--config=configs/nowhere.py")
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 1
    assert (output + errors).count("\n") == 1
    assert "configs/nowhere.py" in errors


def test_bad_usage_ends_the_program_with_status_1() -> None:
    child = launcher("--processes=2")
    _, errors = child.communicate(timeout=30)
    assert child.returncode == 1
    assert errors.count("\n") == 1


def test_the_environment_of_a_child_adds_to_ours(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "kept")
    text = "import os; print(os.environ['FROM_OUTSIDE'])"
    output, _ = launcher("--processes=1", script(tmp_path, text)).communicate(timeout=30)
    assert output == "kept\n"


def test_the_script_of_a_dry_run_does_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    job = Job((script(tmp_path, SUM_OVER_PROCESSES),))
    text = launchers.make("local(processes=2)").text(job)
    command = ["sh", "-c", text]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "processes 2 total 11.0" in done.stdout
    assert "processes 2 total 11.0" in (tmp_path / "process_1.log").read_text()
    failing = launchers.make("local(processes=3)").text(Job(("-c", "raise SystemExit(7)")))
    assert subprocess.run(["sh", "-c", failing], cwd=tmp_path, timeout=60).returncode == 7
