"""Which differences a number of seeds can show, before any of them is trained.

With k arms that scatter alike over n seeds, each with standard deviation sigma beyond what a seed
does to all, an arm's difference delta from the baseline is called one with probability

    E_v Phi((delta - c sqrt(v / n)) / (sigma sqrt(2 / n))) + E_v Phi((-delta - c sqrt(v / n)) / …)

over the moderated variances v, with c the critical value of `statistics.reference`.
"""

import functools
import math

import numpy as np
from jaxtyping import Float
from scipy import optimize, special

from diffusion_jax.errors import UserError
from diffusion_jax.statistics.reference import reference, standard_seeds
from diffusion_jax.statistics.scatter import difference_variance, scatter

PROBABILITY = 0.8
DRAWS = 4096  # of the variances, always the same


def power(difference: float, arms: int, seeds: int, deviation: float = 1.0) -> float:
    """The probability that a difference from the baseline is called one.

    Args:
        difference: of the arm's expectation from the baseline's.
        arms: k, the baseline among them; at least 2.
        seeds: n, at least 2.
        deviation: seed standard deviation, in the unit of `difference`.

    Raises:
        UserError: fewer than two arms or seeds, or a deviation that is not positive.

    >>> 0.78 < power(4.0, arms=6, seeds=3) < 0.83
    True
    """
    if min(arms, seeds) < 2 or not 0 < deviation < math.inf:
        raise UserError(
            f"The power of {arms} arms and {seeds} seeds with a seed standard deviation of "
            f"{deviation:g} is not defined: at least two of each and a positive one are needed."
        )
    reach = reference(arms, arms - 1, seeds, arms - 1).critical * _errors(arms, seeds)
    spread = math.sqrt(2 / seeds)
    ahead, behind = (special.ndtr((s * difference / deviation - reach) / spread) for s in (1, -1))
    return float((ahead + behind).mean())


def smallest_difference(
    arms: int, seeds: int, deviation: float = 1.0, probability: float = PROBABILITY
) -> float:
    """The smallest difference from the baseline that is called one with a probability.

    Args:
        arms: k, the baseline among them; at least 2.
        seeds: n, at least 2.
        deviation: seed standard deviation: what an arm's values scatter by beyond what a seed does
            to all arms. The difference is in its unit.
        probability: above 0.05.

    Raises:
        UserError: see `power`.

    >>> 3.8 < smallest_difference(arms=6, seeds=3) < 4.1
    True
    """
    largest = 1.0
    while power(largest, arms, seeds) < probability:
        largest *= 2
    found = optimize.brentq(lambda d: power(d, arms, seeds) - probability, 0.0, largest)
    return deviation * float(found)


def seed_deviation(values: Float[np.ndarray, "arms seeds"]) -> float:
    """The seed standard deviation of an earlier sweep: the root of its mean scatter.

    Args:
        values: (k, n), both at least 2.
    """
    return float(np.sqrt(scatter(values).mean()))


@functools.lru_cache(maxsize=64)
def _errors(arms: int, seeds: int) -> Float[np.ndarray, " draws"]:
    """Standard errors of a difference where every arm scatters with standard deviation 1."""
    normal = standard_seeds(arms, seeds, DRAWS)
    variances: Float[np.ndarray, " draws"] = difference_variance(scatter(normal), seeds)[:, 0]
    return np.sqrt(variances / seeds)
