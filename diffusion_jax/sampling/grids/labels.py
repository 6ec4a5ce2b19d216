"""Grids of the integer labels that a discrete-time network was trained on.

Label l of T, from 0 with the least noise, has time (l + 1)/T of the schedule's t_max. Labels are
whole numbers, found in whole numbers where the paper has them so, and none of them occurs twice.
"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp

from diffusion_jax.errors import UserError, within
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.sampling.grids.base import Nodes, append_clean, at_times, check_call, grids
from diffusion_jax.struct import pytree, static


class AtLabels(ABC):
    """A grid of labels, then clean data.

    Attributes:
        train_steps: T, the number of discrete times in training.
    """

    train_steps: int

    def __post_init__(self) -> None:
        within(self, 1, float("inf"), "train_steps")

    @abstractmethod
    def labels(self, steps: int) -> Sequence[float]:
        """The labels of `steps` steps, noisiest first."""

    def __call__(self, schedule: Schedule, steps: int) -> Nodes:
        check_call(self, schedule, steps)
        name, count = type(self).__name__, self.train_steps
        if steps > count:
            raise UserError(f"grid {name} has only {count} times, too few for {steps} steps.")
        found = self.labels(steps)
        falling = all(a > b for a, b in itertools.pairwise(found))
        if not falling or found[0] > count - 1 or found[-1] < 0:
            raise UserError(f"grid {name} has no {steps} different labels from 0 to {count - 1}.")
        # The quotient first, so that the noisiest label's time is t_max itself.
        time = schedule.t_max * (jnp.array([label + 1 for label in found], dtype=float) / count)
        least = schedule.t_min
        traced = any(isinstance(value, jax.core.Tracer) for value in (time, least))
        if not traced and time[-1] < jnp.asarray(least, time.dtype):
            raise UserError(
                f"grid {name}: its last label has time {float(time[-1]):g}, where the schedule "
                f"has no level: it starts at {float(least):g}. Take fewer steps or set train_steps."
            )
        return append_clean(at_times(schedule, time))


@grids.register("trailing")
@pytree
class Trailing(AtLabels):
    """Equal steps down from the last label.

    t_i = t_max round(T (1 - i/N))/T for i = 0 … N - 1, then clean data.

    Attributes:
        train_steps: T, the number of discrete times in training.

    Source: Lin et al. 2023 (zero terminal SNR), table 2.

    >>> Trailing().labels(4)
    [999, 749, 499, 249]
    """

    formula: ClassVar[str] = "t_i = t_max round(T (1 − i/N))/T, i = 0 … N − 1"

    train_steps: int = static(1000)

    def labels(self, steps: int) -> Sequence[float]:
        # One stride added again and again, as where networks were trained so: it decides how
        # a half is rounded.
        stride = self.train_steps - (self.train_steps - self.train_steps / steps)
        return [round(self.train_steps - i * stride) - 1 for i in range(steps)]


@grids.register("leading")
@pytree
class Leading(AtLabels):
    """Equal steps up from the first label: i floor(T/(N + extra)) + offset, then clean data.

    Attributes:
        offset: added to every label; 1 in Stable Diffusion.
        extra: labels that are laid out beyond N, and whose least noisy are left out; 1 in
            diffusers' schedulers of the DPM-Solver family.
        train_steps: T, the number of discrete times in training.

    Source: Lin et al. 2023 (zero terminal SNR), table 2, which shows what it misses.

    >>> Leading(offset=1).labels(4)
    [751, 501, 251, 1]
    """

    formula: ClassVar[str] = (
        "l = j ⌊T/(N + extra)⌋ + offset, j = N + extra − 1 … extra, t = t_max (l + 1)/T"
    )

    offset: int = static(0)
    extra: int = static(0)
    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, float("inf"), "offset", "extra")

    def labels(self, steps: int) -> Sequence[float]:
        count = steps + self.extra
        stride = self.train_steps // count
        return [i * stride + self.offset for i in reversed(range(count))][:steps]


@grids.register("linspace")
@pytree
class Linspace(AtLabels):
    """Equal steps from the last label to the first, both included: round(i (T - 1)/(N - 1)).

    Then clean data.

    Attributes:
        extra: labels that are laid out beyond N, and whose least noisy are left out; 1 in
            diffusers' schedulers of the DPM-Solver family.
        rounded: or else labels are fractional, as in diffusers' Euler, Heun and LMS.
        train_steps: T, the number of discrete times in training.

    Source: Nichol & Dhariwal 2021 (improved DDPM), section 4; Lin et al. 2023, table 2.

    >>> Linspace().labels(4)
    [999, 666, 333, 0]
    """

    formula: ClassVar[str] = (
        "l = round(j (T − 1)/(N + extra − 1)), j = N + extra − 1 … extra, t = t_max (l + 1)/T"
    )

    extra: int = static(0)
    rounded: bool = static(True)
    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, float("inf"), "extra")

    def labels(self, steps: int) -> Sequence[float]:
        last = steps + self.extra - 1
        if last == 0:  # a single label is the first one, as numpy has it
            return [0]
        stride = (self.train_steps - 1) / last
        found = [self.train_steps - 1, *(i * stride for i in range(last - 1, -1, -1))][:steps]
        return [round(label) for label in found] if self.rounded else found


@grids.register("quadratic")
@pytree
class Quadratic(AtLabels):
    """DDIM's quadratic labels: floor((i sqrt(0.8 T)/(N - 1))²), then clean data.

    Attributes:
        reach: the share of the labels that it spans, 0.8 in the paper's code.
        train_steps: T, the number of discrete times in training.

    Source: Song et al. 2020 (DDIM), appendix D.2.

    >>> Quadratic().labels(3)
    [800, 200, 0]
    """

    formula: ClassVar[str] = "l = ⌊reach T (j/(N − 1))²⌋, j = N − 1 … 0, t = t_max (l + 1)/T"

    reach: float = static(0.8)
    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, 1, "reach")

    def labels(self, steps: int) -> Sequence[float]:
        # Squared before it is divided, so that no whole number falls short of itself.
        last, spanned = max(steps - 1, 1), self.train_steps * self.reach
        return [math.floor(i**2 * spanned / last**2) for i in reversed(range(steps))]


@grids.register("strided")
@pytree
class Strided(AtLabels):
    """The labels 0, s, 2s, … with the whole stride s that gives just N of them ("ddimN").

    Then clean data.

    Attributes:
        train_steps: T, the number of discrete times in training.

    Raises:
        UserError: when called, if no whole stride gives so many labels.

    Source: Nichol & Dhariwal 2021 (improved DDPM), whose code so imitates Song et al. 2020 (DDIM).

    >>> Strided().labels(4)
    [750, 500, 250, 0]
    """

    formula: ClassVar[str] = "l = j stride, j = N − 1 … 0, ⌈T/stride⌉ = N, t = t_max (l + 1)/T"

    train_steps: int = static(1000)

    def labels(self, steps: int) -> Sequence[float]:
        for stride in range(1, self.train_steps + 1):
            if -(-self.train_steps // stride) == steps:
                return list(range(0, self.train_steps, stride))[::-1]
        raise UserError(
            f"grid 'strided' has no whole stride that gives {steps} of {self.train_steps} labels."
        )


@grids.register("sections")
@pytree
class Sections(AtLabels):
    """Labels divided into equal sections, each evenly spaced with a number of labels of its own.

    In a section of c labels, the i-th of n is round(i (c - 1)/(n - 1)); then clean data.

    Attributes:
        shares: how many of the labels fall into each section, least noise first: just so many if
            their sum is N, else in proportion.
        train_steps: T, the number of discrete times in training.

    Raises:
        UserError: when called, if a section has fewer labels than it should give.

    Source: Nichol & Dhariwal 2021 (improved DDPM), section 4 and appendix.

    >>> Sections(shares=(2, 3), train_steps=20).labels(5)
    [19, 14, 10, 9, 0]
    """

    formula: ClassVar[str] = (
        "l = start + round(j (c − 1)/(n − 1)), j = n − 1 … 0, for n of the c labels of each "
        "section, t = t_max (l + 1)/T"
    )

    shares: tuple[int, ...] = static((1,))
    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shares or min(self.shares) < 0 or sum(self.shares) == 0:
            raise UserError(f"Sections: shares must be 0 or more and not all 0, not {self.shares}.")

    def labels(self, steps: int) -> Sequence[float]:
        whole, parts = sum(self.shares), len(self.shares)
        ends = [steps * sum(self.shares[: i + 1]) // whole for i in range(parts)]
        found: list[float] = []
        start = 0
        for i in range(parts):
            size = self.train_steps // parts + (i < self.train_steps % parts)
            count = ends[i] - (ends[i - 1] if i else 0)
            if count > size:
                raise UserError(f"grid 'sections' cannot take {count} labels of {size}.")
            stride = (size - 1) / (count - 1) if count > 1 else 1.0
            # Added up, as where networks were trained so: it decides how a half is rounded.
            places = itertools.accumulate([stride] * (count - 1), initial=0.0) if count else ()
            found += [start + round(place) for place in places]
            start += size
        return found[::-1]


@grids.register("iddpm")
@pytree
class IDDPM(AtLabels):
    """EDM's reading of improved DDPM: equal steps from a label near the last one to the first.

    Label T - 1 - floor(skipped + i (T - 1 - skipped)/(N - 1) + 1/2) for i = 0 … N - 1, then clean
    data.

    Attributes:
        skipped: how many of the noisiest labels are left out, j_0 of the paper.
        train_steps: T, the number of discrete times in training.

    Source: Karras et al. 2022 (EDM), table 1, column iDDPM + DDIM.

    >>> IDDPM().labels(3)
    [991, 495, 0]
    """

    formula: ClassVar[str] = (
        "l = T − 1 − ⌊skipped + i (T − 1 − skipped)/(N − 1) + 1/2⌋, i = 0 … N − 1, t = t_max (l + "
        "1)/T"
    )

    skipped: int = static(8)
    train_steps: int = static(1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        within(self, 0, self.train_steps - 1, "skipped")

    def labels(self, steps: int) -> Sequence[float]:
        span, last = self.train_steps - 1 - self.skipped, max(steps - 1, 1)
        places = [math.floor(self.skipped + i * span / last + 0.5) for i in range(steps)]
        return [self.train_steps - 1 - place for place in places]
