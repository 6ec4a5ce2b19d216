"""Does a model copy its training pictures, more than real pictures seem to that it never saw?

In each space of features a picture has the ratio r of `metrics.closest`. Real pictures that were
not trained on have ratios too, and the one of rank m among n of them is the threshold: of pictures
drawn like those, the share m/(n + 1) lies below it, exactly and whatever they are. A generated
picture below the threshold in any space is called a copy. With S spaces, m is the greatest with
S m/(n + 1) <= the rate of false alarms that is allowed.

The verdict is a test: would a model that draws pictures like the real ones have so many below?
Their number is beta-binomial, see `statistics.exact.below_rank`.

Source: Carlini et al. 2023, Somepalli et al. 2023 (see `metrics.closest`); Vovk et al. 2005
(algorithmic learning in a random world), section 2.2, for the threshold.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.metrics.closest import Closest
from diffusion_jax.metrics.duplicates import TrainingDuplicates
from diffusion_jax.metrics.neighbours import ALIKE
from diffusion_jax.statistics.estimate import Estimate
from diffusion_jax.statistics.exact import below_rank, clopper_pearson

SIGNIFICANT = 0.01  # of the verdict: how often it accuses a model that copies nothing


@dataclasses.dataclass(frozen=True)
class Generated:
    """Pictures that a model has drawn for prompts of one kind.

    Attributes:
        name: of the prompts, such as "prompts of training pictures".
        pictures: n, uint8.
        captions: what each was asked for; none where nothing was.
        as_trained: whether the prompts are those of training pictures, or none. Where a data set
            holds captions out, its test pictures are of other scenes; such pictures are then
            judged by training pictures, each left out of the set in its turn.
    """

    name: str
    pictures: Values
    captions: tuple[str, ...] = ()
    as_trained: bool = True


@dataclasses.dataclass(frozen=True)
class InSpace:
    """Generated and real pictures in one space of features.

    Attributes:
        drawn: what is nearest to the generated ones.
        real: what is nearest to the real ones that were not trained on.
        rank: of the threshold among the ratios of the real ones.
    """

    drawn: Closest
    real: Closest
    rank: int

    @functools.cached_property
    def threshold(self) -> float:
        """Below which a ratio is that of a copy."""
        return float(np.partition(self.real.ratio, self.rank - 1)[self.rank - 1])

    @property
    def copied(self) -> Bool[np.ndarray, "n"]:
        """Which generated pictures lie below the threshold."""
        return self.drawn.ratio < self.threshold

    @property
    def false_alarms(self) -> float:
        """The share of pictures like the real ones that does."""
        return self.rank / (len(self.real.index) + 1)

    @property
    def p_value(self) -> float:
        """How likely so many are, of pictures like the real ones."""
        copied = self.copied
        return below_rank(int(copied.sum()), len(copied), self.rank, len(self.real.index))

    def nearer_than(self) -> Float[np.ndarray, "n"]:
        """The share of real pictures that have a greater ratio than each generated one."""
        ranks = np.searchsorted(np.sort(self.real.ratio), self.drawn.ratio, side="right")
        return 1 - ranks / len(self.real.index)


@dataclasses.dataclass(frozen=True)
class Audited:
    """What was found of pictures for prompts of one kind.

    Attributes:
        generated: those.
        spaces: by name, that of the pixels first.
        left_out: whether they were judged by training pictures that were left out in turn.
        off: (n,) root mean square of the differences in bytes from the nearest training picture,
            or from its mirror image, by means over blocks.
        real_off: (m,) the same of the real pictures.
    """

    generated: Generated
    spaces: Mapping[str, InSpace]
    left_out: bool
    off: Float[np.ndarray, "n"]
    real_off: Float[np.ndarray, "m"]

    @property
    def copied(self) -> Bool[np.ndarray, "n"]:
        """Which are copies by any space."""
        return np.any([space.copied for space in self.spaces.values()], axis=0)

    @property
    def rate(self) -> Estimate:
        """The share of copies, with the interval of Clopper and Pearson."""
        copied = self.copied
        low, high = clopper_pearson(int(copied.sum()), len(copied))
        return Estimate(float(copied.mean()), low, high, len(copied))

    @property
    def false_alarms(self) -> float:
        """At most this share of pictures like the real ones is called a copy."""
        return sum(space.false_alarms for space in self.spaces.values())

    @property
    def p_value(self) -> float:
        """How likely so many are, of pictures like the real ones, by all spaces (Bonferroni)."""
        return min(1.0, len(self.spaces) * min(each.p_value for each in self.spaces.values()))

    @property
    def same(self) -> tuple[float, float]:
        """The shares of generated and of real pictures that are a training picture over again."""
        return float((self.off <= ALIKE).mean()), float((self.real_off <= ALIKE).mean())

    @property
    def closest_first(self) -> Int[np.ndarray, "n"]:
        """The generated pictures in the order of how near they are, by the space that says most."""
        scores = [each.drawn.ratio / (each.threshold or 1) for each in self.spaces.values()]
        return np.argsort(np.min(scores, axis=0), kind="stable")

    @property
    def nearest(self) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "m"]]:
        """The training pictures nearest to generated and to real ones, by the first space."""
        pixels = next(iter(self.spaces.values()))
        return pixels.drawn.index, pixels.real.index


@dataclasses.dataclass(frozen=True)
class RepeatedPicture:
    """A picture that the training set has more than once.

    Attributes:
        row: index of the training picture that stands for all of them.
        times: how often it is there.
        nearest: how many generated pictures it is nearest to.
        copies: how many of these are copies.
    """

    row: int
    times: int
    nearest: int
    copies: int


@dataclasses.dataclass(frozen=True)
class CopyAudit:
    """Whether a model copies its training pictures.

    Attributes:
        data: the training pictures.
        duplicates: among them.
        k: groups that a ratio looks at.
        alarm: the rate of false alarms that was allowed.
        audited: of each kind of prompts.
    """

    data: Dataset
    duplicates: TrainingDuplicates
    k: int
    alarm: float
    audited: tuple[Audited, ...]

    def p_value(self, audited: Audited) -> float:
        """Adjusted for the number of kinds of prompts (Bonferroni)."""
        return min(1.0, len(self.audited) * audited.p_value)

    def accused(self, audited: Audited) -> bool:
        """Whether there are more copies than chance explains."""
        return self.p_value(audited) < SIGNIFICANT

    @property
    def copies(self) -> bool:
        """Whether the model copies, for prompts of any kind."""
        return any(map(self.accused, self.audited))

    @property
    def found(self) -> int:
        """How many pictures are copies, for prompts of all kinds."""
        return sum(int(each.copied.sum()) for each in self.audited)

    @functools.cached_property
    def repeated(self) -> tuple[RepeatedPicture, ...]:
        """The duplicated pictures: those copied most first, then those that are there most."""
        group = self.duplicates.group
        nearest = Counter(row for each in self.audited for row in group[each.nearest[0]].tolist())
        copies = Counter(
            row for each in self.audited for row in group[each.nearest[0][each.copied]].tolist()
        )
        found = [
            RepeatedPicture(row, times, nearest[row], copies[row])
            for row, times in self.duplicates.times.items()
        ]
        return tuple(sorted(found, key=lambda one: (-one.copies, -one.nearest, -one.times)))

    @property
    def share_near_repeated(self) -> tuple[float, float]:
        """Of generated and of real pictures, how many have a duplicated one as their nearest."""
        several = np.isin(self.duplicates.group, list(self.duplicates.times))
        drawn, real = zip(*(each.nearest for each in self.audited), strict=True)
        return float(several[np.concatenate(drawn)].mean()), float(
            several[np.concatenate(real)].mean()
        )
