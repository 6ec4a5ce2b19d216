"""Tells what came of recorded cases, as tables for a terminal."""

import collections
from collections.abc import Mapping

from tests.golden.check import Outcome
from tests.golden.load import Case

STATUSES = ("agree", "deliberate", "uncovered", "differ")
WIDTH = 32


def print_table(reference: str, outcomes: Mapping[Case, Outcome], verbose: bool = False) -> None:
    """A row per family, and below it what does not simply agree: each reason with its cases."""
    print(f"\n{reference:<{WIDTH}}" + "".join(f"{status:>12}" for status in STATUSES))
    for family in dict.fromkeys(case.family for case in outcomes):
        of_family = {case: o for case, o in outcomes.items() if case.family == family}
        counts = collections.Counter(found.status for found in of_family.values())
        print(f"  {family:<{WIDTH - 2}}" + "".join(f"{counts[s]:>12}" for s in STATUSES))
        reasons: dict[tuple[str, str], list[str]] = {}
        for case, found in of_family.items():
            if found.status != "agree" or verbose:
                reasons.setdefault((found.status, found.why), []).append(case.name)
        for (status, why), names in reasons.items():
            print(f"    {status}{f': {why}' if why else ''}\n      {', '.join(names)}")


def print_total(total: Mapping[str, int]) -> None:
    """The last line."""
    print("\n" + ", ".join(f"{total.get(status, 0)} {status}" for status in STATUSES))
