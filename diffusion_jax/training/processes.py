"""How the processes of one job find each other.

The first rule that fits the environment decides, and is told:

1. `JAX_COORDINATOR_ADDRESS`, `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`: they alone count, whatever
   scheduler is around them.
2. OpenMPI, a Slurm step or a TPU pod of several processes: JAX asks them itself.
3. A launcher of several whose processes JAX cannot find (a Kubernetes Job with indices, torchrun,
   MPICH): refused, since each of them would train alone in the same run folder.
4. One process.

Source: the environment variables that the schedulers' manuals and JAX's `jax.distributed` name.
"""

import contextlib
import dataclasses
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from diffusion_jax.errors import UserError

Environment = Mapping[str, str]
ADDRESS, COUNT, INDEX = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
DEVICES = "JAX_LOCAL_DEVICE_IDS"
REMEDY = (
    f"Set {ADDRESS} (host:port of process 0), {COUNT} and {INDEX} for each process "
    f"({COUNT}=1 and {INDEX}=0 for one that is to work alone)."
)

SECONDS_TO_JOIN = 30 * 60  # machines of one job may start that far apart
SECONDS_A_DAY = 24 * 60 * 60
OWN_CALL = "joined by the caller"
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
        UserError: variables are missing or no numbers, or there are several processes and no way
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


def start_processes() -> None:
    """Joins the other processes of this job, if there are any.

    Call it before anything else touches JAX's devices. The first process tells what it waits for.

    Raises:
        UserError: as for `placement`, or the others do not come.
    """
    if jax.distributed.is_initialized():
        return
    here = placement(os.environ)
    if here.joining is None:
        return
    with _ended_by_signals():
        if not here.process:
            count = here.processes or "all"
            print(f"Waiting for {count} processes ({here.rule}).", file=sys.stderr, flush=True)
        _join(here, here.joining)
    _check(here)


def _join(here: Place, joining: Mapping[str, Any]) -> None:
    # In the end JAX would abort, with the stack traces of two languages.
    patience = threading.Timer(SECONDS_TO_JOIN, _give_up, (here,))
    patience.daemon = True
    patience.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of schedulers that JAX tries in vain
            jax.distributed.initialize(
                num_processes=here.processes,
                process_id=here.process,
                initialization_timeout=2 * SECONDS_TO_JOIN,
                # The first to end waits for the others: process 0 may draw samples long after
                # training.
                shutdown_timeout_seconds=SECONDS_A_DAY,
                **joining,
            )
    except Exception as error:  # JAX has a dozen kinds
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".: ")
        raise UserError(f"{_name(here)} cannot find the others ({reason}). {REMEDY}") from error
    finally:
        patience.cancel()


def _give_up(here: Place) -> None:
    """Ends the process, from a thread of its own, as the main one waits inside JAX."""
    waited = f"has waited {SECONDS_TO_JOIN / 60:.0f} minutes for the others in vain"
    advice = "Start all of them, where they can reach the first."
    print(f"{_name(here)} {waited}. {advice}", file=sys.stderr, flush=True)
    os._exit(1)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While entered, SIGINT and SIGTERM end the process as the system does.

    While JAX waits, no Python runs, so that a handler in Python would be heard half an hour later.
    """
    previous = {}
    if threading.current_thread() is threading.main_thread():
        for signum in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(signum)
            if callable(handler):
                previous[signum] = handler
                signal.signal(signum, signal.SIG_DFL)
    try:
        yield
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def check_joined() -> str:
    """Looks whether this process works with all those that it was started with.

    Returns:
        One line: how many processes and devices there are, and which rule says so.

    Raises:
        UserError: as for `placement`, or nobody has called `start_processes`.
    """
    count = jax.process_count()
    if jax.distributed.is_initialized() and count > 1:
        rule = _rule_of(count)
    else:
        here = placement(os.environ)
        rule = here.rule
        if here.processes not in (None, count):
            raise UserError(
                f"{_name(here)} has not joined the others: call start_processes() of {__name__} "
                f"before anything else of JAX. {REMEDY}"
            )
    return f"Processes: {count} ({rule}), devices: {jax.device_count()}."


def _rule_of(count: int) -> str:
    """The rule by which so many processes are joined, which a caller may have done otherwise."""
    try:
        here = placement(os.environ)
    except UserError:
        return OWN_CALL
    return here.rule if here.processes in (None, count) else OWN_CALL


def _name(here: Place) -> str:
    who = "This process" if here.process is None else f"Process {here.process} of {here.processes}"
    return f"{who} ({here.rule})"


def _check(here: Place) -> None:
    """Raises UserError unless as many have come as were promised."""
    promised = (here.processes, here.process)
    found = (jax.process_count(), jax.process_index())
    if None not in promised and promised != found:
        raise UserError(f"{_name(here)} has become process {found[1]} of {found[0]}. {REMEDY}")


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
