"""Which processes work together: environments of every launcher, and processes that are real."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import jax
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.parallel.placement import placement
from diffusion_jax.parallel.processes import check_joined, start_processes
from launch.launchers.local import environments, free_port
from tests.training.commands import ROOT

THREE = {
    "JAX_COORDINATOR_ADDRESS": "node001:1234",
    "JAX_NUM_PROCESSES": "2",
    "JAX_PROCESS_ID": "1",
}
JOB = {"SLURM_JOB_ID": "12345", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
SLURM = JOB | {"SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[001-002]"}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
TPU_HOST = {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
TPU_POD = {"TPU_WORKER_HOSTNAMES": "a,b,c,d", "TPU_WORKER_ID": "3"}
TWO_SLICES = {"MEGASCALE_NUM_SLICES": "2", "MEGASCALE_SLICE_ID": "1"}
JOB_SET = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": "1"}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `jax.distributed.initialize` is called with, which then does as it is told."""
    made: list[dict[str, Any]] = []

    def initialize(**options: Any) -> None:
        made.append(options)
        monkeypatch.setattr(jax, "process_count", lambda: options["num_processes"] or 8)
        monkeypatch.setattr(jax, "process_index", lambda: options["process_id"] or 0)

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    return made


def start(environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(environment))
    start_processes()


@pytest.mark.parametrize(
    ("environment", "method", "count", "index"),
    [
        (THREE, "deactivate", 2, 1),
        (SLURM | THREE, "deactivate", 2, 1),
        (OPEN_MPI | JOB_SET | TPU_POD | THREE, "deactivate", 2, 1),
        (SLURM, "slurm", 4, 3),
        (SLURM | {"SLURM_STEP_NUM_TASKS": "5"}, "slurm", 5, 3),
        (OPEN_MPI, "ompi", 4, 3),
        (SLURM | OPEN_MPI | {"SLURM_NTASKS": "2", "SLURM_PROCID": "0"}, "ompi", 4, 3),
        (TPU_POD, None, 4, 3),
        (TPU_POD | JOB_SET, None, 4, 3),
        (TPU_POD | TWO_SLICES, None, 8, 7),
        (TPU_HOST | TWO_SLICES, None, 2, 1),
        ({"MEGASCALE_COORDINATOR_ADDRESS": "a:8080"}, None, None, None),
        ({"TPU_ML_PLATFORM": "JAX"}, None, None, None),
    ],
)
def test_several_processes_are_joined(
    environment: dict[str, str],
    method: str | None,
    count: int | None,
    index: int | None,
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(environment, monkeypatch)
    (call,) = calls
    assert call.get("cluster_detection_method") == method
    assert (call["num_processes"], call["process_id"]) == (count, index)
    address = THREE["JAX_COORDINATOR_ADDRESS"] if method == "deactivate" else None
    assert call.get("coordinator_address") == address
    assert call["initialization_timeout"] > 300


@pytest.mark.parametrize(
    "environment",
    [
        {},
        THREE | {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"},
        SLURM | JOB_SET | THREE | {"JAX_NUM_PROCESSES": "1", "JAX_PROCESS_ID": "0"},
        JOB,  # a batch script without srun
        SLURM | {"SLURM_NTASKS": "1"},
        SLURM | {"SLURM_STEP_NUM_TASKS": "1"},  # a shell that salloc gives
        SLURM | {"SLURM_STEP_ID": str(0xFFFFFFFA)},
        OPEN_MPI | {"OMPI_COMM_WORLD_SIZE": "1"},
        TPU_HOST,
        TPU_HOST | JOB_SET,
        {"TPU_ML_PLATFORM": "JAX", "TPU_SKIP_MDS_QUERY": "1"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"WORLD_SIZE": "1", "PMI_SIZE": "1"},
    ],
)
def test_one_process_works_alone(
    environment: dict[str, str], calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    start(environment, monkeypatch)
    assert calls == []
    assert check_joined().startswith("Processes: 1 (")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"JAX_COORDINATOR_ADDRESS": "a:1"}, "set JAX_NUM_PROCESSES, JAX_PROCESS_ID too"),
        (SLURM | {"JAX_PROCESS_ID": "1"}, "set JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES too"),
        (THREE | {"JAX_PROCESS_ID": "2"}, "must be a number below JAX_NUM_PROCESSES, got '2'"),
        (THREE | {"JAX_NUM_PROCESSES": "two"}, "got '1' of 'two'"),
        (THREE | {"JAX_PROCESS_ID": "²"}, "got '²' of '2'"),
        (THREE | {"JAX_COORDINATOR_ADDRESS": "node001"}, "must be host:port .*, got 'node001'"),
        (SLURM | {"SLURM_NTASKS": "many"}, "SLURM_NTASKS is 'many', not a number"),
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}, "SLURM_PROCID is not set"),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, "OMPI_COMM_WORLD_RANK is not set"),
        ({"TPU_WORKER_HOSTNAMES": "a,b"}, "TPU_WORKER_ID is not set"),
        (JOB_SET, "pod 1 of a Kubernetes Job"),
        (JOB | JOB_SET, "pod 1 of a Kubernetes Job"),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, r"an MPI job of 2 \(PMI_SIZE\)"),
        ({"WORLD_SIZE": "8", "RANK": "0"}, "a torchrun job of 8"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    environment: dict[str, str],
    message: str,
    calls: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match=message) as raised:
        start(environment, monkeypatch)
    assert calls == [] and "\n" not in str(raised.value)
    assert "JAX_" in str(raised.value)


def test_a_process_that_has_its_host_for_itself_takes_all_devices() -> None:
    def devices(**more: str) -> Any:
        joining = placement(SLURM | more).joining
        assert joining is not None
        return joining.get("local_device_ids")

    assert devices() is None  # JAX gives the one of this number
    assert devices(SLURM_STEP_TASKS_PER_NODE="2(x2)") is None
    assert devices(SLURM_STEP_TASKS_PER_NODE="1(x4)") == []
    assert devices(CUDA_VISIBLE_DEVICES="0") == []  # as --gpus-per-task=1 does
    assert devices(CUDA_VISIBLE_DEVICES="0,1,2,3") is None
    assert devices(SLURM_STEP_TASKS_PER_NODE="1(x4)", JAX_LOCAL_DEVICE_IDS="0,1") is None


def test_as_many_must_come_as_were_promised(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax.distributed, "initialize", lambda **options: None)
    with pytest.raises(UserError, match=r"3 of 4 \(Slurm step\) has become process 0 of 1"):
        start(SLURM, monkeypatch)


def test_training_is_refused_to_a_process_that_has_not_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "environ", SLURM)
    with pytest.raises(UserError, match=r"Process 3 of 4 \(Slurm step\) has not joined"):
        check_joined()


def test_a_failure_to_join_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(**options: object) -> None:
        raise RuntimeError("DEADLINE_EXCEEDED: timed out\nafter 1800 s.")

    monkeypatch.setattr(jax.distributed, "initialize", late)
    with pytest.raises(UserError, match="cannot find the others .*timed out after") as raised:
        start(SLURM, monkeypatch)
    assert "\n" not in str(raised.value)


def test_a_process_that_waits_for_others_can_be_ended() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, lambda *_: None)\n"
    waiting = subprocess.Popen(
        [sys.executable, "-c", deaf + JOIN],
        cwd=ROOT,
        env=os.environ | environments(2, str(free_port()))[0],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None and waiting.stderr.readline().startswith("Waiting for 2 ")
    waiting.terminate()
    assert waiting.wait(timeout=60) == -signal.SIGTERM
    waiting.stderr.close()


def test_a_process_that_waits_in_vain_says_so_in_one_line() -> None:
    patch = "from diffusion_jax.parallel import processes; processes.SECONDS_TO_JOIN = 1\n"
    done = subprocess.run(
        [sys.executable, "-c", patch + JOIN],
        cwd=ROOT,
        env=os.environ | environments(2, str(free_port()))[1],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("Process 1 of 2 (") and "in vain" in done.stderr


JOIN = (
    "from diffusion_jax.parallel.processes import check_joined, start_processes\n"
    "start_processes()\n"
    "print(check_joined())\n"
)


@pytest.mark.parametrize("by", ["Slurm step", "the three variables in a Slurm step"])
def test_real_processes_find_each_other(by: str) -> None:
    """Two tasks of a Slurm step; and two started otherwise inside one task of a step of four."""
    port = str(free_port())
    common = os.environ | {
        "SLURM_JOB_ID": "12345",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "localhost",
        "JAX_COORDINATOR_PORT": port,
    }
    if by == "Slurm step":
        rule = "Slurm step"
        tasks = [{"SLURM_NTASKS": "2", "SLURM_PROCID": i, "SLURM_LOCALID": i} for i in ("0", "1")]
    else:
        rule = "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES, JAX_PROCESS_ID"
        step = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "3"}
        tasks = [step | environment for environment in environments(2, str(free_port()))]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", JOIN],
            cwd=ROOT,
            env=common | {"XLA_FLAGS": ""} | task,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for task in tasks
    ]
    results = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], results
    for index, (out, err) in enumerate(results):
        assert out.splitlines()[-1] == f"Processes: 2 ({rule}), devices: 2."
        assert (f"Waiting for 2 processes ({rule})." in err) == (index == 0)
