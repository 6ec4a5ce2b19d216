"""Axes of a plot: from numbers to positions, and where the ticks stand."""

import dataclasses
import math
from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

from diffusion_jax.reports import formats


@dataclasses.dataclass(frozen=True)
class Axis:
    """One axis of a plot.

    Attributes:
        label: what it measures, with unit.
        low: the number at its start.
        high: the number at its end.
        ticks: numbers that are marked.
        text: how a tick is written.
        logarithmic: whether equal ratios are equally far apart.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]
    logarithmic: bool = False

    def position(self, value: float) -> float:
        """Where a number stands, 0 at the start and 1 at the end; may lie outside.

        >>> Axis("n", 1.0, 100.0, (), str, logarithmic=True).position(10.0)
        0.5
        """
        return float(self.positions(np.asarray(value, np.float64)))

    def positions(self, values: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
        """Where numbers stand, as `position` says of one."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, values = math.log(low), math.log(high), np.log(np.maximum(values, 1e-300))
        return np.asarray((values - low) / (high - low))


def linear(
    label: str,
    values: Iterable[float],
    *,
    text: Callable[[float], str] | None = None,
    low: float | None = None,
    high: float | None = None,
    count: int = 5,
) -> Axis:
    """A linear axis that holds all finite values, with about `count` round ticks.

    Args:
        label: what it measures.
        values: numbers to hold.
        text: how ticks are written; by default with as few decimals as tell them apart.
        low: a fixed start instead of the least value.
        high: a fixed end instead of the greatest value.
        count: wish for the number of ticks.
    """
    start, end = _range(values)
    start, end = start if low is None else low, end if high is None else high
    if not end > start:
        start, end = start - 0.5, start + 0.5
    step = _round_step((end - start) / max(count, 1))
    first, last = math.floor(start / step + 1e-9), math.ceil(end / step - 1e-9)
    start, end = (first * step if low is None else low), (last * step if high is None else high)
    ticks = [round(i * step, 12) for i in range(first, last + 1)]
    inside = tuple(t for t in ticks if start - 1e-9 * step <= t <= end + 1e-9 * step)
    decimals = next(d for d in range(12) if abs(round(step, d) - step) < 1e-6 * step)
    return Axis(label, start, end, inside, text or (lambda value: formats.fixed(value, decimals)))


def logarithmic(
    label: str, values: Iterable[float], *, ticks: Iterable[float] | None = None
) -> Axis:
    """A logarithmic axis that holds all positive values.

    Args:
        label: what it measures.
        values: numbers to hold; those at or below zero are left out.
        ticks: numbers to mark instead of 1, 2, 5 times powers of ten.
    """
    low, high = _range((value for value in values if value > 0), empty=0.1)
    low, high = low / 1.12, high * 1.12
    marks = tuple(ticks) if ticks is not None else _decades(low, high)
    return Axis(label, low, high, marks, lambda value: f"{value:g}", logarithmic=True)


def _range(values: Iterable[float], empty: float = 0.0) -> tuple[float, float]:
    finite = [float(value) for value in values if np.isfinite(value)]
    return (min(finite), max(finite)) if finite else (empty, 1.0)


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return power * next(m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= step * (1 - 1e-9))


def _decades(low: float, high: float) -> tuple[float, ...]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    # 1, 2, 5 and, where too few of those fit, more between them.
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 5, 7)):
        fine = [m * 10.0**e for e in exponents for m in steps if low <= m * 10.0**e <= high]
        if len(fine) >= 3:
            break
    coarse = [10.0**e for e in exponents if low <= 10.0**e <= high]
    return tuple(fine if len(fine) <= 7 or len(coarse) < 2 else coarse)
