"""Does the units of a sweep: one process, or several at once, that never do the same unit twice."""

import contextlib
import dataclasses
import time
from collections.abc import Hashable, Iterator

from diffusion_jax.errors import UserError
from diffusion_jax.metrics.real import Real
from diffusion_jax.parallel import devices
from diffusion_jax.runs.lock import Locked, locked
from diffusion_jax.runs.progress import Progress
from diffusion_jax.sweeps.plan import SweepPlan, Unit
from diffusion_jax.sweeps.unit import do, is_done

PAUSE = 2.0  # seconds between looks at what other processes do


@dataclasses.dataclass(frozen=True)
class Failure:
    """A unit that could not be done here.

    Attributes:
        unit: which.
        reason: one line.
    """

    unit: Unit
    reason: str


def work(plan: SweepPlan, progress: Progress) -> tuple[Failure, ...]:
    """Does all units that are not done, and waits for those that other processes do.

    A unit that fails is reported in the end and does not stop the others; the same command tries it
    again.

    Args:
        plan: the sweep.
        progress: where to show it.

    Returns:
        The units that failed.

    Raises:
        Stopped: SIGTERM or SIGINT came; the same command goes on from there.
    """
    failures: dict[str, Failure] = {}
    reals: dict[Hashable, Real] = {}
    while True:
        left = [u for u in plan.units if u.folder.name not in failures and not _done(plan, u)]
        if not left:
            return tuple(failures.values())
        tried = False
        for unit in left:
            place = f"Group {plan.units.index(unit) + 1} of {len(plan.units)}: "
            with _claimed(unit) as ours:
                if ours:
                    tried = True
                    try:
                        do(plan, unit, progress.within(place), reals)
                    except UserError as error:
                        failures[unit.folder.name] = Failure(unit, " ".join(str(error).split()))
        if not tried:
            time.sleep(PAUSE)


def _done(plan: SweepPlan, unit: Unit) -> bool:
    return bool(devices.from_primary(is_done(plan, unit))[0])


@contextlib.contextmanager
def _claimed(unit: Unit) -> Iterator[bool]:
    """Whether the unit is this job's to do; the first of its processes asks for all."""
    with contextlib.ExitStack() as stack:
        ours = True
        if devices.is_primary():
            try:
                stack.enter_context(locked(unit.folder))
            except Locked:
                ours = False
        yield bool(devices.from_primary(ours)[0])
