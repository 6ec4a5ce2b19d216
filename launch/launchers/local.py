"""The launcher that runs a job's processes on this machine."""

import dataclasses
import math
import shlex
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

from diffusion_jax.errors import UserError, within
from launch import processes
from launch.launchers import launchers
from launch.launchers.base import Job, Placement
from launch.processes import Child

LOOPBACK = "127.0.0.1"


@launchers.register("local")
@dataclasses.dataclass(frozen=True)
class Local:
    """This machine: processes that work together, as a cluster would run the job.

    Process 0 keeps the terminal. The output of each other process goes to a file of its own, which
    is kept, and named, when something failed; unless all failed alike, and process 0 has said why.
    Ctrl-C and SIGTERM reach every process, and all are waited for. When one process fails, the
    others are stopped. On a machine with GPUs each process takes one.

    Args:
        processes: how many, at least 1.
        grace: seconds that the others get to end once one process has failed.
        port: where process 0 listens for the others; 0 for any that is free.

    Raises:
        UserError: fewer than one process, or no such port.

    >>> launchers.make("local(processes=2)")
    Local(processes=2, grace=10.0, port=0)
    """

    example: ClassVar[str] = "local(processes=2)"

    processes: int = 2
    grace: float = 10.0
    port: int = 0

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise UserError(f"A job needs at least 1 process, not {self.processes}.")
        within(self, 0, math.inf, "grace")
        within(self, 0, 2**16 - 1, "port")

    def text(self, job: Job) -> str:
        """A shell script that does the same, but for what becomes of signals and failures."""
        free = "import socket; s = socket.socket(); s.bind(('', 0)); print(s.getsockname()[1])"
        port = str(self.port) if self.port else f'$(python -c "{free}")'
        lines = ["#!/bin/sh", f"PORT={port} STARTED= STATUS=0"]
        for index, environment in enumerate(environments(self.processes, "$PORT")):
            given = " ".join(f"{name}={value}" for name, value in environment.items())
            log = f" > process_{index}.log 2>&1" if index else ""
            lines.append(f'{given} {shlex.join(job.command())}{log} & STARTED="$STARTED $!"')
        wait = "for EACH in $STARTED; do wait $EACH || STATUS=$?; done"
        return "\n".join([*lines, wait, "exit $STATUS"])

    def submit(self, job: Job) -> int:
        """Starts the processes, forwards signals to them, and waits for all of them."""
        logs = _log_folder()
        children: list[Child] = []
        try:
            port = str(self.port or free_port())
            for index, environment in enumerate(environments(self.processes, port)):
                log = logs / f"process_{index}.log" if index else None
                children.append(processes.start(job.command(sys.executable), environment, log))
            with processes.forwarding(children) as received:
                failed = processes.wait(children, self.grace, received)
        finally:
            processes.send(children, signal.SIGKILL)
        if failed is None or _failed_alike(children):
            shutil.rmtree(logs)
        else:
            print(_describe(failed, children, received, logs), file=sys.stderr)
        return processes.exit_status(failed) if failed else 0


def environments(count: int, port: str) -> list[dict[str, str]]:
    """What to add to each process's environment so that they find each other on this machine.

    >>> [environment["JAX_PROCESS_ID"] for environment in environments(2, "4000")]
    ['0', '1']
    """
    coordinator = f"{LOOPBACK}:{port}"
    # Only this machine may knock; and on one with GPUs, each process takes the one of its number.
    return [
        Placement(coordinator, count, index).environment()
        | {"JAX_COORDINATOR_BIND_ADDRESS": coordinator, "JAX_LOCAL_DEVICE_IDS": str(index)}
        for index in range(count)
    ]


def free_port() -> int:
    """A TCP port that nothing on this machine listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _log_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="launch_"))
    except OSError as error:
        raise UserError(f"No folder for logs: {error.strerror}. Set TMPDIR to one.") from error


def _failed_alike(children: list[Child]) -> bool:
    """Whether all ended by themselves with one and the same status, other than 0."""
    return children[0].wait() > 0 and len({child.wait() for child in children}) == 1


def _describe(failed: Child, children: list[Child], received: list[int], logs: Path) -> str:
    index, status = children.index(failed), processes.exit_status(failed)
    kept = f" Output of the processes from 1 on: {logs}" if len(children) > 1 else ""
    if received:
        return f"Stopped by {signal.Signals(received[0]).name} (exit status {status}).{kept}"
    cause = f": {_last_line(logs / f'process_{index}.log')}" if index else ""
    return f"Process {index} of {len(children)} failed (exit status {status}){cause}.{kept}"


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip().rstrip(".") if lines else "it printed nothing"
