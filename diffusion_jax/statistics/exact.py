"""Exact intervals and tests of shares: no normal approximation, no assumed distribution."""

import numpy as np
from scipy import special

from diffusion_jax.errors import UserError


def clopper_pearson(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of which `hits` of `count` independent cases were seen.

    Its ends are the shares under which so many hits, or so few, have the probability
    (1 - level)/2. It covers the true share with at least the probability `level`.

    Args:
        hits: cases that count.
        count: of all cases, at least 1.
        level: of confidence.

    Raises:
        UserError: there are no cases.

    Source: Clopper & Pearson 1934.

    >>> [round(end, 4) for end in clopper_pearson(0, 10)]
    [0.0, 0.3085]
    """
    if not 0 <= hits <= count or not count:
        raise UserError(f"There is no share of {hits} in {count} cases.")
    tail = (1 - level) / 2
    low = special.betaincinv(hits, count - hits + 1, tail) if hits else 0.0
    high = special.betaincinv(hits + 1, count - hits, 1 - tail) if hits < count else 1.0
    return float(low), float(high)


def below_rank(hits: int, count: int, rank: int, reference: int) -> float:
    """The probability that so many new values, or more, lie below a value of known rank.

    Of `reference` values the one of rank `rank`, counted from the least, is the mark. If the new
    values are drawn like those, whatever from, the number below the mark is beta-binomial:

        P(K = j) = C(count, j) B(rank + j, reference - rank + 1 + count - j)
                   / B(rank, reference - rank + 1).

    So the scatter of the mark itself is taken into account.

    Args:
        hits: new values that lie below the mark.
        count: of new values.
        rank: of the mark, from 1.
        reference: how many values it was found among.

    Source: Wilks 1942 (statistical prediction, tolerance limits), for the distribution.

    >>> round(below_rank(1, 1, 1, 99), 10)  # a hundredth value is the least of all
    0.01
    """
    assert 1 <= rank <= reference and 0 <= hits <= count, (hits, count, rank, reference)
    j = np.arange(hits, count + 1)
    a, b = rank, reference - rank + 1
    chosen = -np.log(count + 1) - special.betaln(j + 1, count - j + 1)  # log C(count, j)
    logs = chosen + special.betaln(a + j, b + count - j) - special.betaln(a, b)
    return float(min(np.exp(logs).sum(), 1.0)) if hits else 1.0
