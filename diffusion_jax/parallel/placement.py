"""How the processes of one job find each other.

The first rule that fits the environment decides, and is printed:

1. `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`: they alone count, whatever
   scheduler is around them.
2. OpenMPI, a Slurm step or a TPU pod of several processes: JAX asks them itself.
3. A launcher of several whose processes JAX cannot find (a Kubernetes Job with indices, torchrun,
   MPICH): refused, since each of them would train alone in the same run folder.
4. One process.

Source: the environment variables that the schedulers' manuals and JAX's `jax.distributed` name.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from diffusion_jax.errors import UserError

Environment = Mapping[str, str]
ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
DEVICES = "JAX_LOCAL_DEVICE_IDS"
REMEDY = (
    f"Set {ADDRESS} (host:port of process 0), {COUNT} and {INDEX} for each process "
    f"({COUNT}=1 and {INDEX}=0 for one that is to work alone)."
)

NO_STEP = 0xFFFFFFF0  # Slurm numbers what is no step of tasks (batch script, shell) from here on

# Launchers that say how many processes there are, but not where.
STRANGERS = {
    "PMI_SIZE": "an MPI job",
    "MV2_COMM_WORLD_SIZE": "an MPI job",
    "WORLD_SIZE": "a torchrun job",
    "SKYPILOT_NUM_NODES": "a SkyPilot job",
}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a process stands among its peers.

    Attributes:
        rule: what says so, in a few words.
        processes: how many there are; None if only JAX can tell.
        process: which one this is; None likewise.
        joining: what `jax.distributed.initialize` needs to know besides; None for one process,
            which joins nobody.
    """

    rule: str
    processes: int | None = 1
    process: int | None = 0
    joining: Mapping[str, Any] | None = None


def placement(environment: Environment) -> Place:
    """Which rule holds in an environment, and what it says.

    Args:
        environment: variables by name, as in `os.environ` once JAX has been imported (it notes
            there whether the machine has TPUs).

    Raises:
        UserError: variables are missing or no numbers, or there are several processes and no means
            for them to find each other.

    >>> placement({}).processes
    1
    >>> placement({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}).process
    2
    """
    for rule in (_three_variables, _open_mpi, _slurm, _tpu):
        found = rule(environment)
        if found is not None:
            return found
    _refuse_strangers(environment)
    if "SLURM_JOB_ID" in environment and _number(environment, "SLURM_NTASKS", 1) > 1:
        return Place("no Slurm step: srun starts all tasks of the job")
    return Place("no launcher of several is found")


def _three_variables(environment: Environment) -> Place | None:
    missing = [name for name in (ADDRESS, COUNT, INDEX) if name not in environment]
    if len(missing) == 3:
        return None
    if missing:
        raise UserError(f"To run as one of several processes, set {', '.join(missing)} too.")
    address, count, index = (environment[name].strip() for name in (ADDRESS, COUNT, INDEX))
    if not (count.isdecimal() and index.isdecimal() and int(index) < int(count)):
        raise UserError(f"{INDEX} must be a number below {COUNT}, got {index!r} of {count!r}.")
    rule = f"{ADDRESS}, {COUNT}, {INDEX}"
    if int(count) == 1:
        return Place(rule)
    if not re.fullmatch(r"\S+:\d+", address):
        raise UserError(f"{ADDRESS} must be host:port of process 0, got {address!r}.")
    joining = {"coordinator_address": address, "cluster_detection_method": "deactivate"}
    return Place(rule, int(count), int(index), joining)


def _open_mpi(environment: Environment) -> Place | None:
    # Before Slurm, whose steps are those of MPI's helpers where `mpirun` starts processes there.
    count = _number(environment, "OMPI_COMM_WORLD_SIZE", 1)
    if count == 1:
        return None
    index = _number(environment, "OMPI_COMM_WORLD_RANK")
    alone = environment.get("OMPI_COMM_WORLD_LOCAL_SIZE") == "1"
    joining = {"cluster_detection_method": "ompi", **_devices(environment, alone)}
    return Place("OpenMPI", count, index, joining)


def _slurm(environment: Environment) -> Place | None:
    step = environment.get("SLURM_STEP_ID", environment.get("SLURM_STEPID", ""))
    tasks = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environment else "SLURM_NTASKS"
    is_step = bool(step) or {"SLURM_STEP_NODELIST", "SLURM_STEP_NUM_TASKS"} & environment.keys()
    if not is_step or (step.isdecimal() and int(step) >= NO_STEP):
        return None
    count = _number(environment, tasks, 1)
    if count == 1:
        return None
    index = _number(environment, "SLURM_PROCID")
    alone = bool(re.fullmatch(r"1(\(x\d+\))?", environment.get("SLURM_STEP_TASKS_PER_NODE", "")))
    joining = {"cluster_detection_method": "slurm", **_devices(environment, alone)}
    return Place("Slurm step", count, index, joining)


def _devices(environment: Environment, alone: bool) -> dict[str, Any]:
    """Gives a process all devices that it sees where JAX would give it that of its number.

    JAX's rule fits one process per GPU, all of which see all GPUs of their host.

    Args:
        environment: as elsewhere.
        alone: whether the process has its host for itself.
    """
    sees_one = len(environment.get("CUDA_VISIBLE_DEVICES", ",").split(",")) == 1
    everything: list[int] = []  # JAX's word for it
    hides = (alone or sees_one) and not environment.get(DEVICES)
    return {"local_device_ids": everything} if hides else {}


def _tpu(environment: Environment) -> Place | None:
    names = environment.get("TPU_PROCESS_ADDRESSES", environment.get("TPU_WORKER_HOSTNAMES", ""))
    hosts = len([name for name in names.split(",") if name.strip()])
    several_slices = any(name.startswith("MEGASCALE_") for name in environment)
    if hosts and (not several_slices or "MEGASCALE_NUM_SLICES" in environment):
        slices = _number(environment, "MEGASCALE_NUM_SLICES", 1)
        if hosts * slices == 1:
            return Place("a TPU slice of one host")
        index = _number(environment, "TPU_WORKER_ID")
        index += hosts * (_number(environment, "MEGASCALE_SLICE_ID") if slices > 1 else 0)
        return Place("TPU pod", hosts * slices, index, {})
    # On machines with TPUs, JAX leaves the first of these in the environment, and the second on
    # all others. Only the machine's metadata knows its peers.
    on_tpu = "TPU_ML_PLATFORM" in environment and "TPU_SKIP_MDS_QUERY" not in environment
    return Place("TPU pod", None, None, {}) if several_slices or on_tpu else None


def _refuse_strangers(environment: Environment) -> None:
    if "JOB_COMPLETION_INDEX" in environment:
        index = environment["JOB_COMPLETION_INDEX"]
        raise UserError(
            f"This is pod {index} of a Kubernetes Job or JobSet, which does not say how many "
            f"there are: each might train alone in the same folder. {REMEDY}"
        )
    for name, kind in STRANGERS.items():
        if environment.get(name, "").isdecimal() and int(environment[name]) > 1:
            raise UserError(
                f"This is a process of {kind} of {environment[name]} ({name}), in which JAX does "
                f"not find the others: each would train alone in the same folder. {REMEDY}"
            )


def _number(environment: Environment, name: str, default: int | None = None) -> int:
    """A variable that must be a whole number, from 0; `default` where it is not set."""
    value = environment.get(name, "" if default is None else str(default)).strip()
    if not value.isdecimal():
        state = f"is {value!r}, not a number" if value else "is not set"
        raise UserError(f"There are several processes here, but {name} {state}. {REMEDY}")
    return int(value)
