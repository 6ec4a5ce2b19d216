"""What an earlier sweep says of the seeds' scatter, and so of what a new one can show."""

import csv
import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.power import seed_deviation, smallest_difference

RESULTS = Path("csv") / "measurements.csv"


@dataclasses.dataclass(frozen=True)
class Pilot:
    """What seeds did in an earlier sweep.

    Attributes:
        deviation: seed standard deviation of the metric.
        arms: number of arms that it was taken from.
        seeds: number of seeds that these arms share.
        metric: which one.
        folder: of the earlier sweep.
    """

    deviation: float
    arms: int
    seeds: int
    metric: str
    folder: Path


def read_pilot(folder: Path, metrics: Sequence[str], sampled: tuple[str, int]) -> Pilot | None:
    """The scatter of a metric over the seeds of an earlier sweep.

    Args:
        folder: of the sweep, in which its report was written.
        metrics: by which arms may be judged; the first that was measured is taken.
        sampled: solver and steps by which arms are judged; where the earlier sweep sampled
            otherwise, its last sampling stands for it.

    Returns:
        None without two arms that share two seeds, or with a scatter of zero.

    Raises:
        UserError: the folder has no results, or damaged ones.
    """
    tables = _tables(folder / RESULTS)
    for metric in metrics:
        samplings = tables.get(metric, {})
        for table in (samplings.get((sampled[0], str(sampled[1]))), *reversed(samplings.values())):
            found = _scatter(table) if table else None
            if found:
                return Pilot(*found, metric, folder)
    return None


def _tables(path: Path) -> dict[str, dict[tuple[str, str], dict[str, dict[int, float]]]]:
    """Metric -> (solver, steps) -> arm -> seed -> value."""
    tables: dict[str, dict[tuple[str, str], dict[str, dict[int, float]]]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                samplings = tables.setdefault(row["metric"], {})
                table = samplings.setdefault((row["solver"], row["solver_steps"]), {})
                value = float(row["value"]) if row["value"] else math.nan
                table.setdefault(row["arm"], {})[int(row["seed"])] = value
    except FileNotFoundError:
        raise UserError(
            f"The pilot has no results: {path} is missing. Name the folder of a sweep that has "
            "written its report."
        ) from None
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is no table of a sweep's measurements: {error}.") from None
    return tables


def _scatter(table: dict[str, dict[int, float]]) -> tuple[float, int, int] | None:
    """Deviation, arms and seeds of the arms that have every seed of the arm with most."""
    whole = [row for row in table.values() if all(map(math.isfinite, row.values()))]
    seeds = max(whole, key=len).keys() if whole else set()
    values = np.array([[row[s] for s in seeds] for row in whole if seeds <= row.keys()])
    values = np.unique(values, axis=0) if len(values) else values  # the same training twice
    if min(values.shape, default=0) < 2:
        return None
    deviation = seed_deviation(values)
    return (deviation, len(values), len(seeds)) if deviation > 0 else None


def power_line(arms: int, seeds: int, pilot: Pilot | None) -> str:
    """What the seeds of a sweep can show, in one sentence or two.

    Args:
        arms: of the sweep, the baseline among them.
        seeds: that each arm is trained with.
        pilot: what is known of the seeds' scatter.

    >>> power_line(1, 3, None)
    'One arm alone is compared with nothing.'
    """
    if arms < 2:
        return "One arm alone is compared with nothing."
    if seeds < 2:
        return (
            "One seed shows no difference between arms, only the sampling error of these trained "
            "networks: give the sweep two seeds or more, e.g. axis('seed', 0, 1, 2)."
        )
    least = smallest_difference(arms, seeds)
    shown = f"{seeds} seeds of {arms} arms show, with 80% probability, a difference from"
    if pilot is None:
        return (
            f"{shown} the baseline of {least:.2g} seed standard deviations or more. How large one "
            "is, an earlier sweep says: --pilot=FOLDER."
        )
    return (
        f"{shown} the baseline of {least * pilot.deviation:.2g} or more by {pilot.metric}: "
        f"{least:.2g} seed standard deviations of {pilot.deviation:.2g}, as {pilot.arms} arms with "
        f"{pilot.seeds} seeds had in {pilot.folder}."
    )
