"""The launcher that runs a job's processes on this machine."""

import dataclasses
import shutil
import signal
import socket
import sys
import tempfile
from pathlib import Path

from diffusion_jax.errors import UserError
from launch import processes
from launch.launcher import Job, Placement, launchers
from launch.processes import Child

LOOPBACK = "127.0.0.1"


@launchers.register("local")
@dataclasses.dataclass(frozen=True)
class Local:
    """This machine, the way a cluster would run the job.

    Process 0 keeps the terminal. The output of each other process goes to a file of its own,
    which is kept, and named, when something failed; unless all failed alike, and process 0 has
    said why.

    Args:
        grace: seconds that the others get to end once one process has failed.

    >>> launchers.make("local(grace=5.0)")
    Local(grace=5.0)
    """

    grace: float = 10.0

    def run(self, job: Job) -> int:
        """Starts the processes, forwards signals to them, and waits for all of them."""
        logs = _log_folder()
        children: list[Child] = []
        try:
            for index, environment in enumerate(environments(job.processes)):
                log = logs / f"process_{index}.log" if index else None
                children.append(processes.start(job.command(), environment, log))
            with processes.forwarding(children) as received:
                failed = processes.wait(children, self.grace, received)
        finally:
            processes.send(children, signal.SIGKILL)
        if failed is None or _failed_alike(children):
            shutil.rmtree(logs)
        else:
            print(_describe(failed, children, received, logs), file=sys.stderr)
        return processes.exit_status(failed) if failed else 0


def environments(count: int) -> list[dict[str, str]]:
    """What to add to each process's environment so that they find each other on this machine.

    >>> [environment["JAX_PROCESS_ID"] for environment in environments(2)]
    ['0', '1']
    """
    coordinator = f"{LOOPBACK}:{free_port()}"
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
