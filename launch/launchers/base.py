"""What is launched, and what a launcher must do with it.

A *job* is one Python command, run by one or several processes that together are one JAX program. A
*launcher* is a place to run jobs: a frozen dataclass in the registry `launchers`, so that a string
such as `"local(processes=2)"` names a place with its settings.

The processes find each other through their *placement*, three environment variables. Where they are
set, they alone count. Slurm steps (`srun`), OpenMPI and TPU pods need none of them, since JAX asks
those itself; Kubernetes does. `diffusion_jax.parallel.placement` has the rules.
"""

import dataclasses
from typing import ClassVar, Protocol, runtime_checkable

from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Job:
    """One Python command.

    Args:
        arguments: what follows `python`, e.g. `("-m", "experiments.train", "--config=...")`.

    Raises:
        UserError: there is no command.

    >>> Job(("-m", "experiments.train")).command("python3")
    ['python3', '-m', 'experiments.train']
    """

    arguments: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.arguments:
            raise UserError("A job needs a command: end with -- -m experiments.train --config=...")

    def command(self, python: str = "python") -> list[str]:
        """The whole command, with the Python of the place where it runs."""
        return [python, *self.arguments]


@dataclasses.dataclass(frozen=True)
class Placement:
    """One process's place among its peers.

    Args:
        coordinator: `host:port` where process 0 listens for the others.
        processes: how many there are.
        process: which one this is, from 0.

    >>> Placement("127.0.0.1:4000", processes=2, process=1).environment()["JAX_PROCESS_ID"]
    '1'
    """

    coordinator: str
    processes: int
    process: int

    def environment(self) -> dict[str, str]:
        """The environment variables that `diffusion_jax.parallel.placement` reads."""
        return {
            "JAX_COORDINATOR_ADDRESS": self.coordinator,
            "JAX_NUM_PROCESSES": str(self.processes),
            "JAX_PROCESS_ID": str(self.process),
        }


@runtime_checkable
class Launcher(Protocol):
    """A place to run jobs: its settings, and nothing else.

    Attributes:
        example: a spec of it, with the settings that most will write.
    """

    example: ClassVar[str]

    def text(self, job: Job) -> str:
        """What is submitted: a script, a manifest or commands, as `--dry-run` prints it.

        A pure function of the settings and the job: it reads no files and asks no scheduler.
        """
        ...

    def submit(self, job: Job) -> int:
        """Does what the text says.

        Returns:
            0 if the job has succeeded, or has been handed over; else the exit status of the first
            process that failed (128 + n if signal n ended it).

        Raises:
            UserError: the job cannot be started from here.
            FileNotFoundError: a program that it needs is not installed.
        """
        ...
