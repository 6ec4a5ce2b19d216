"""How often rules call arms different: those that do not differ, and one that does.

A simulated sweep has k arms and n seeds, the baseline first. Its values are a part that the seed
gives to all arms and a part of each arm's own with standard deviation 1, or more in one arm.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy import optimize, special, stats

from diffusion_jax.statistics.many_to_one import gaps_of
from diffusion_jax.statistics.reference import LEVEL, Student, reference
from diffusion_jax.statistics.scatter import difference_variance, scatter, stands_out

Sweeps = Float[np.ndarray, "sweeps arms seeds"]
Called = Bool[np.ndarray, "sweeps others"]
BLOCK = 20_000  # sweeps at once
LOG_SPREAD = 0.75  # standard deviation of the logarithm of skewed noise


def _normal(rng: np.random.Generator, shape: Sequence[int]) -> Sweeps:
    return rng.standard_normal(shape)


def _heavy(rng: np.random.Generator, shape: Sequence[int]) -> Sweeps:
    return rng.standard_t(3, shape) / math.sqrt(3)


def _skewed(rng: np.random.Generator, shape: Sequence[int]) -> Sweeps:
    square = LOG_SPREAD**2
    found = np.exp(LOG_SPREAD * rng.standard_normal(shape)) - math.exp(square / 2)
    return found / math.sqrt(math.expm1(square) * math.exp(square))


# Of mean 0 and standard deviation 1.
NOISE: Mapping[str, Callable[[np.random.Generator, Sequence[int]], Sweeps]] = {
    "normal": _normal,
    "t with 3 degrees of freedom": _heavy,
    "log-normal": _skewed,
}


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        arms: k, the baseline among them.
        seeds: n.
        noise: one of `NOISE`.
        wide: place of the arm that scatters more, 0 for the baseline.
        ratio: how much more.
        effect: by how many seed standard deviations the second arm differs.
    """

    arms: int
    seeds: int
    noise: str = "normal"
    wide: int = 0
    ratio: float = 1.0
    effect: float = 0.0


def draw(setting: Setting, sweeps: int, seed: int | Sequence[int] = 0) -> Sweeps:
    """Values of simulated sweeps.

    Settings that differ in scatter or effect alone have the same random numbers.
    """
    rng = np.random.default_rng(seed)
    shape = (sweeps, setting.arms, setting.seeds)
    values = NOISE[setting.noise](rng, shape)
    values[:, setting.wide] *= setting.ratio
    values[:, 1] += setting.effect
    return values + 3 * rng.standard_normal((sweeps, 1, setting.seeds))


def moderated(values: Sweeps) -> Called:
    """The rule of `statistics.many_to_one`."""
    _, arms, seeds = values.shape
    scatters = scatter(values)
    errors = np.sqrt(difference_variance(scatters, seeds) / seeds)
    critical = reference(arms, arms - 1, seeds, arms - 1).critical
    called = np.abs((values[:, 1:] - values[:, :1]).mean(-1)) > critical * errors
    for place in np.flatnonzero(stands_out(scatters, seeds)):  # such arms are judged one by one
        gaps = gaps_of(values[place], [0.0] * (arms - 1), arms - 1)
        called[place] = [abs(gap.value) > gap.by.critical * gap.error for gap in gaps]
    return called


def bonferroni(values: Sweeps) -> Called:
    """Paired t-tests, adjusted by Bonferroni's method.

    Source: Student 1908; Dunn 1961.
    """
    others, seeds = values.shape[1] - 1, values.shape[2]
    gaps = values[:, 1:] - values[:, :1]
    errors = gaps.std(-1, ddof=1) / math.sqrt(seeds)
    return np.abs(gaps.mean(-1)) > Student(seeds - 1, others).critical * errors


def dunnett(values: Sweeps) -> Called:
    """Many-to-one tests with the residual variance of arms × seeds, as if all scattered alike.

    Source: Dunnett 1955.
    """
    arms, seeds = values.shape[1:]
    rest = values - values.mean(1, keepdims=True)
    rest = rest - rest.mean(2, keepdims=True)
    freedom = (arms - 1) * (seeds - 1)
    error = np.sqrt(np.square(rest).sum((1, 2)) / freedom * 2 / seeds)
    gaps = np.abs((values[:, 1:] - values[:, :1]).mean(-1))
    return gaps > _dunnett_critical(arms - 1, freedom) * error[:, None]


RULES: Mapping[str, Callable[[Sweeps], Called]] = {
    "this rule": moderated,
    "Bonferroni": bonferroni,
    "Dunnett": dunnett,
}


def rate(rule: str, setting: Setting, sweeps: int, seed: int = 0) -> float:
    """The share of sweeps in which the arm that differs is found.

    Without an effect, that in which any arm is called different, which none is.
    """
    found = 0
    for block, start in enumerate(range(0, sweeps, BLOCK)):
        values = draw(setting, min(BLOCK, sweeps - start), (seed, block))
        called = RULES[rule](values)
        found += int((called[:, 0] if setting.effect else called.any(1)).sum())
    return found / sweeps


def _dunnett_critical(others: int, freedom: int) -> float:
    """Dunnett's two-sided quantile at 0.95 for equally many seeds in every arm.

    >>> round(_dunnett_critical(5, 10), 2)
    2.99
    """
    z, z_weights = np.polynomial.hermite_e.hermegauss(64)
    u, u_weights = np.polynomial.legendre.leggauss(48)
    # The scale's distribution, cut into parts of equal probability.
    scale = np.sqrt(stats.chi2.ppf((u + 1) / 2, freedom) / freedom)[:, None]

    def inside(t: float) -> float:
        root = math.sqrt(2)
        each = special.ndtr(root * t * scale - z) - special.ndtr(-root * t * scale - z)
        return float((u_weights / 2) @ each**others @ (z_weights / z_weights.sum()))

    return float(optimize.brentq(lambda t: inside(t) - (1 - LEVEL), 0.5, 200.0, xtol=1e-12))
