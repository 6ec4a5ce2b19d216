"""What the statistic of a comparison is worth where no arm differs.

The statistic of arm a is t_a = |mean_s (y_as - y_0s)| / sqrt((v_a + v_0) / n), with the moderated
variances of `statistics.scatter`. Under normal seeds the means are independent of the variances,
so given the variances the chance that any of the m arms passes t is an integral over the
baseline's mean alone,

    P(any t_a > t) = 1 - E_z prod_a [Phi((t sqrt(v_a + v_0) - sigma_0 z) / sigma_a)
                                     - Phi((-t sqrt(v_a + v_0) - sigma_0 z) / sigma_a)],

which a Gauss-Hermite rule does; its mean over fixed draws of the variances, spread evenly by a
scrambled Sobol sequence, is the chance itself. It depends on how much the arms scatter, which is
not known. So it is taken where all scatter alike, and where the baseline, or another arm, scatters
three times as much as the rest. The p-value is the greatest of them, the unequal ones taken at
0.05/0.0596: below 0.05 there are at most 5% of false alarms among arms that scatter alike and at
most 6% with scatters up to threefold.

With two arms the statistic is Student's, exactly, whatever each scatters.
"""

import dataclasses
import functools
import math

import numpy as np
from jaxtyping import Float
from scipy import interpolate, special
from scipy.stats import qmc

from diffusion_jax.statistics.scatter import WORST_SCATTER, difference_variance, scatter

LEVEL = 0.05
WORST_LEVEL = 0.0596  # with scatters up to `WORST_SCATTER` times the others'
NODES = 24  # of the integral over the baseline's mean, which is even
DRAWS = 2**14  # of a table, each of all its arms, shared among those judged
GRID = np.concatenate(
    [np.geomspace(0.4, 1.7, 6), np.geomspace(1.9, 7.2, 20), np.geomspace(8.5, 1000.0, 9)]
)  # statistics at which the chance is computed, close where critical ones lie; a cubic between
STEPS = np.log(GRID)
LEAST_CHANCE = 1e-9  # below it, rounding in 1 - E tells; the tail goes on as a power of t
TINY = 2.0**-40  # from the ends of the unit interval, where the normal quantile is infinite

Curve = Float[np.ndarray, " points"]


@dataclasses.dataclass(frozen=True)
class Student:
    """Student's distribution with Bonferroni's adjustment.

    Attributes:
        freedom: degrees of freedom; infinite for the normal distribution.
        comparisons: m, of which none shall be a false alarm.
    """

    freedom: float
    comparisons: int

    def p_value(self, t: float) -> float:
        """Two-sided, of one comparison."""
        return float(2 * special.stdtr(self.freedom, -t))

    def p_adjusted(self, t: float) -> float:
        """That any of the comparisons passes t, or more."""
        return min(1.0, self.comparisons * self.p_value(t))

    @property
    def critical(self) -> float:
        """The statistic from which on `p_adjusted` is below 0.05.

        >>> round(Student(4, 1).critical, 3), round(Student(1, 10).critical, 1)
        (2.776, 127.3)
        """
        return float(-special.stdtrit(self.freedom, LEVEL / (2 * self.comparisons)))


@dataclasses.dataclass(frozen=True)
class Moderated:
    """The distribution of the moderated statistic.

    Attributes:
        log_one: log p-values of one comparison at `GRID`, falling.
        log_any: log chance that any comparison passes, at `GRID`.
        factor: by which p-values are multiplied when the comparisons are a part of a family.
    """

    log_one: Curve
    log_any: Curve
    factor: float = 1.0

    def p_value(self, t: float) -> float:
        """Two-sided, of one comparison."""
        return min(1.0, math.exp(_along(math.log(t), self.log_one))) if t > 0 else 1.0

    def p_adjusted(self, t: float) -> float:
        """That any comparison of the family passes t, or more."""
        if t <= 0:
            return 1.0
        any_passes = self.factor * math.exp(_along(math.log(t), self.log_any))
        return min(1.0, max(any_passes, self.p_value(t)))

    @property
    def critical(self) -> float:
        """The statistic from which on `p_adjusted` is below 0.05."""
        return math.exp(_where(math.log(LEVEL / self.factor), self.log_any))


def reference(arms: int, judged: int, seeds: int, family: int) -> Student | Moderated:
    """The distribution by which arms of a complete table are judged.

    Args:
        arms: k of the table, the baseline among them.
        judged: how many of the others are judged by this table.
        seeds: n, at least 2.
        family: m, how many arms are judged in all.
    """
    if arms == 2:
        return Student(seeds - 1, family)
    found = _moderated(arms, judged, seeds)
    return dataclasses.replace(found, factor=family / judged)


@functools.lru_cache(maxsize=256)
def _moderated(arms: int, judged: int, seeds: int) -> Moderated:
    alike = np.ones(arms)
    patterns = [alike]
    for place in (0, 1):
        unequal = alike.copy()
        unequal[place] = WORST_SCATTER
        patterns.append(unequal)
    normal = standard_seeds(arms, seeds, int(np.clip(DRAWS // judged, 512, 4096)))
    curves = [_chances(normal * scales[:, None], scales, judged) for scales in patterns]
    weights = np.array([1.0, *[LEVEL / WORST_LEVEL] * 2])[:, None]
    one, many = (np.max(weights * np.array(each), 0) for each in zip(*curves, strict=True))
    return Moderated(_log_falling(one), _log_falling(np.maximum(one, many)))


def standard_seeds(arms: int, seeds: int, draws: int) -> Float[np.ndarray, "draws arms seeds"]:
    """Normal seeds less their mean over seeds, spread evenly over what they may be.

    They are as rest of arms that scatter with standard deviation 1, and are always the same.

    Args:
        arms: k.
        seeds: n.
        draws: at least so many; the next power of two.
    """
    wide, count = arms * (seeds - 1), 2 ** math.ceil(math.log2(draws))
    rng = np.random.default_rng(0)
    if wide > qmc.Sobol.MAXDIM:
        uniform = rng.random((count, wide))
    else:
        uniform = qmc.Sobol(wide, rng=rng).random(count)
    normal = special.ndtri(np.clip(uniform, TINY, 1 - TINY)).reshape(count, arms, seeds - 1)
    # An orthogonal matrix without its first column, which is constant: contrasts between seeds.
    contrasts = np.linalg.qr(np.tril(np.ones((seeds, seeds))))[0][:, 1:]
    return np.asarray(normal @ contrasts.T)


def _chances(
    values: Float[np.ndarray, "draws arms seeds"],
    scales: Float[np.ndarray, " arms"],
    judged: int,
) -> tuple[Curve, Curve]:
    """That the second arm passes, and that any of those that are judged does, along `GRID`."""
    seeds = values.shape[-1]
    widths = np.sqrt(difference_variance(scatter(values), seeds))[:, :judged]
    z, weights = np.polynomial.hermite_e.hermegauss(NODES)
    half = z > 0
    weights, shift = weights[half] / weights[half].sum(), (scales[0] * z[half])[:, None]
    own = scales[1 : judged + 1]
    both = np.hypot(scales[0], scales[1])
    one = [2 * special.ndtr(-t * widths[:, 0] / both).mean() for t in GRID]
    many = []
    for t in GRID:
        reach = t * widths[:, None, :]
        inside = special.ndtr((reach - shift) / own) - special.ndtr((-reach - shift) / own)
        many.append(max(1 - float((inside.prod(-1) @ weights).mean()), 0.0))
    return np.array(one), np.array(many)


def _log_falling(chances: Curve) -> Curve:
    """Logarithms; where chances are smaller than rounding, a power of t goes on."""
    known = int((chances > LEAST_CHANCE).sum())
    logs = np.log(np.maximum(chances, LEAST_CHANCE))
    slope = (logs[known - 1] - logs[known - 2]) / (STEPS[known - 1] - STEPS[known - 2])
    logs[known:] = logs[known - 1] + slope * (STEPS[known:] - STEPS[known - 1])
    return logs


def _along(step: float, logs: Curve) -> float:
    """The curve at a logarithm of t: monotone between `STEPS`, a power of t beyond them."""
    if step <= STEPS[0]:
        return float(logs[0] * math.exp(step - STEPS[0]))  # towards a chance of 1 at t = 0
    if step >= STEPS[-1]:
        return float(logs[-1] + _last_slope(logs) * (step - STEPS[-1]))
    return float(interpolate.PchipInterpolator(STEPS, logs)(step))


def _where(goal: float, logs: Curve) -> float:
    """The logarithm of t at which the curve has fallen to a value."""
    if goal <= logs[-1]:
        return float(STEPS[-1] + (goal - logs[-1]) / _last_slope(logs))
    return float(interpolate.PchipInterpolator(STEPS, logs).solve(goal, extrapolate=False)[0])


def _last_slope(logs: Curve) -> float:
    return float((logs[-1] - logs[-2]) / (STEPS[-1] - STEPS[-2]))
