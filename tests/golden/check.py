"""What a check of a recorded case is, and what comes of it.

A check is a generator that takes a case and yields comparisons, found beside recorded:

    @checks("edm", "losses")
    def losses(case: Case) -> Comparisons:
        yield same("sigma", ..., case["sigma"], rtol=1e-12)

It agrees if every comparison does. Where a reference is at fault, it ends with
`raise Deliberate(FAULT)`, after comparing all that the fault leaves alone; where the library has no
such thing on purpose, with `raise Uncovered("why")`. A case is uncovered, too, if the library
refuses its settings, if it has a setting that the check does not look at, and if a setting has a
name that the check does not know (`Known`).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Never

import numpy as np

from diffusion_jax.errors import UserError
from tests.golden.load import Case, Damaged, NotGiven, one_line


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


class Known(dict[str, Any]):
    """What the values of a setting mean here, by their names; with any other a case is uncovered.

    Args:
        what: the setting.
        meanings: by name.
    """

    def __init__(self, what: str, meanings: Mapping[str, Any]):
        super().__init__(meanings)
        self.what = what

    def __missing__(self, name: Any) -> Never:
        listed = ", ".join(map(str, self))
        raise Uncovered(f"{self.what} {name!r} is not known here; known: {listed}")


def known(what: str, value: Any, *names: Any) -> Any:
    """The value of a setting; raises Uncovered if it is none of those that are known here."""
    return Known(what, {name: name for name in names})[value]


def nothing_more(settings: Mapping[str, Any], *names: str) -> None:
    """Raises Uncovered if there are settings besides those of the given names."""
    if more := [name for name in settings if name not in names]:
        raise Uncovered(f"settings that are not known here: {', '.join(more)}")


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
    count, trouble, fault = 0, None, None
    try:
        with np.errstate(all="ignore"):  # the comparisons tell what is no number
            for comparison in check(case):
                count += 1
                trouble = trouble or comparison.trouble()
    except Deliberate as deliberate:
        fault = deliberate.fault
    except Exception as error:
        return Outcome("differ", trouble) if trouble else _failed(error)
    if unseen := case.unseen():
        also = f" ({trouble})" if trouble else ""
        return Outcome("uncovered", f"settings that no check looks at: {', '.join(unseen)}{also}")
    if trouble:
        return Outcome("differ", trouble)
    if fault is not None:
        trouble = _is_shown(fault)
        return Outcome("differ", trouble) if trouble else Outcome("deliberate", fault.reason)
    return Outcome("agree") if count else Outcome("differ", "nothing was compared")


def _failed(error: Exception) -> Outcome:
    """What an error means that ended a check."""
    if isinstance(error, Uncovered):
        return Outcome("uncovered", str(error))
    if isinstance(error, UserError):
        return Outcome("uncovered", f"the library refuses it: {one_line(error)}")
    if isinstance(error, (Damaged, NotGiven)):
        return Outcome("differ", str(error))
    return Outcome("differ", f"the check failed: {type(error).__name__}: {one_line(error)}")
