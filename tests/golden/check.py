"""What a check of a recorded case is, and what comes of it.

A check is a generator that takes a case and yields comparisons, found beside recorded:

    @checks("edm", "losses")
    def losses(case: Case) -> Comparisons:
        yield same("sigma", ..., case["sigma"], rtol=1e-12)

It agrees if every comparison does, and every setting of the case has been looked at. Where a
reference is at fault, it ends with `raise Deliberate(FAULT)`, after comparing all that the fault
leaves alone; where the library has no such thing on purpose, with `raise Uncovered("why")`.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.golden.load import Case


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Numbers that should be the same up to `rtol` relative, or `atol` absolute."""

    what: str
    found: np.ndarray
    recorded: np.ndarray
    rtol: float
    atol: float

    def trouble(self) -> str | None:
        """What is wrong, or None."""
        if self.found.shape != self.recorded.shape:
            return f"{self.what}: shape {self.found.shape}, recorded {self.recorded.shape}"
        with np.errstate(invalid="ignore"):
            excess = np.abs(self.found - self.recorded)
            excess -= self.atol + self.rtol * np.abs(self.recorded)
        # Equal infinities are no distance apart, and NaN is not within any distance of anything.
        excess = np.where(self.found == self.recorded, -np.inf, np.nan_to_num(excess, nan=np.inf))
        if (excess <= 0).all():
            return None
        worst = np.unravel_index(np.argmax(excess), excess.shape)
        return (
            f"{self.what}: {self.found[worst]:.12g}, recorded {self.recorded[worst]:.12g} "
            f"at {tuple(int(i) for i in worst)}"
        )


def same(
    what: str, found: Any, recorded: Any, *, rtol: float = 0.0, atol: float = 0.0
) -> Comparison:
    """Compares numbers; without a tolerance they must be equal."""
    wide = [np.asarray(value, np.float64) for value in (found, recorded)]
    return Comparison(what, *wide, rtol, atol)


Comparisons = Iterator[Comparison]
Check = Callable[[Case], Comparisons]

CHECKS: dict[tuple[str, str], Check] = {}


def checks(reference: str, *families: str) -> Callable[[Check], Check]:
    """Returns a decorator that makes a function the check of families of a reference."""

    def add(check: Check) -> Check:
        for family in families:
            if (reference, family) in CHECKS:
                raise ValueError(f"{reference}/{family} is checked twice")
            CHECKS[reference, family] = check
        return check

    return add


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a reference, which this library does not share.

    Attributes:
        reason: what is wrong, in one line.
        shown: proves it by an independent measure (an order of convergence, an exact marginal);
            raises AssertionError if it cannot.
    """

    reason: str
    shown: Callable[[], None]


class Deliberate(Exception):
    """A case carries a fault of its reference."""

    def __init__(self, fault: Fault):
        super().__init__(fault.reason)
        self.fault = fault


class Uncovered(Exception):
    """A case shows something that the library does not have, and why."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a case: "agree", "deliberate", "uncovered" or "differ", and why."""

    status: str
    why: str = ""


@functools.cache
def _is_shown(fault: Fault) -> str | None:
    """Why a fault could not be shown, or None if it was."""
    try:
        fault.shown()
    except AssertionError as error:
        return f"the fault could not be shown: {error}"
    except Exception as error:
        return f"showing the fault failed: {type(error).__name__}: {error}"
    return None


def outcome(case: Case) -> Outcome:
    """Runs the check of a case."""
    check = CHECKS.get((case.reference, case.family))
    if check is None:
        return Outcome("uncovered", f"nothing here checks {case.reference}/{case.family}")
    count, status, why = 0, "agree", ""
    try:
        for comparison in check(case):
            count += 1
            if trouble := comparison.trouble():
                return Outcome("differ", trouble)
    except Deliberate as deliberate:
        status, why = "deliberate", str(deliberate)
        if trouble := _is_shown(deliberate.fault):
            return Outcome("differ", trouble)
    except Uncovered as uncovered:
        return Outcome("uncovered", str(uncovered))
    except Exception as error:
        return Outcome("differ", f"the check failed: {type(error).__name__}: {error}")
    if status == "agree" and count == 0:
        return Outcome("differ", "nothing was compared")
    if unseen := case.kwargs.unseen():
        return Outcome("differ", f"settings that no check looked at: {', '.join(unseen)}")
    return Outcome(status, why)
