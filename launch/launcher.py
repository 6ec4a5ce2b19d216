"""What is launched, and what a launcher must do with it.

A *job* is one Python command run by several processes that together are one JAX program. A
*launcher* is a place to run jobs. It is a frozen dataclass in the registry `launchers`, so that
one string such as `"local(grace=5.0)"` names a place with its settings.

The processes find each other through their *placement*, three environment variables. Where they are
set, they alone count. Slurm steps (`srun`), OpenMPI and TPU pods need none of them, since JAX asks
those itself; Kubernetes does. `diffusion_jax.parallel.placement` has the rules.
"""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from diffusion_jax.errors import UserError
from diffusion_jax.registry import Registry


@dataclasses.dataclass(frozen=True)
class Job:
    """One Python command, run by `processes` processes that are one JAX program.

    Args:
        arguments: what follows `python`, e.g. `("-m", "experiments.train", "--config=...")`.
        processes: how many, at least 1.

    Raises:
        UserError: no command, or fewer than one process.

    >>> Job(("-m", "experiments.train"), processes=2).processes
    2
    """

    arguments: tuple[str, ...]
    processes: int = 1

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise UserError(f"A job needs at least 1 process, not {self.processes}.")
        if not self.arguments:
            raise UserError("A job needs a command: end with -m experiments.train --config=...")

    def command(self) -> list[str]:
        """The whole command, with the Python that runs now."""
        return [sys.executable, *self.arguments]


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
    """A place to run jobs."""

    def run(self, job: Job) -> int:
        """Runs a job to its end.

        Returns:
            0 if every process succeeded, else the exit status of the first that failed (128 + n
            if signal n ended it).

        Raises:
            UserError: the job cannot be started here.
        """
        ...


launchers: Registry[Launcher] = Registry("launcher")


def split_command(words: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Splits a launcher's command line into its own options and the command to run.

    The command starts at the first `-m`, or at the first script (`*.py`).

    >>> split_command(["--processes=2", "-m", "experiments.train", "--seed=1"])
    (['--processes=2'], ('-m', 'experiments.train', '--seed=1'))
    """
    starts = (i for i, word in enumerate(words) if word == "-m" or word.endswith(".py"))
    start = next(starts, len(words))
    return list(words[:start]), tuple(words[start:])
