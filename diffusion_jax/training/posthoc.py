"""Averages of any width after training, out of snapshots of power-function averages.

A power-function average weights the parameters at time t <= T by

    p(t) = (gamma + 1) t^gamma / T^(gamma + 1),

a profile that keeps its shape as training goes on. It is named by its relative width, the standard
deviation of p over T. Any profile is close to a sum of stored ones, with the coefficients of least
squares. Everything here is in float64: the profiles are nearly dependent.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, PyTree

from diffusion_jax.errors import UserError

# The relative width at gamma = 0, where all parameters weigh the same.
WIDEST = 12**-0.5

Numbers = Float[np.ndarray, "..."] | float


def exponent(std: Numbers) -> Numbers:
    """The gamma >= 0 of a relative width: std² (gamma + 2)² (gamma + 3) = gamma + 1.

    Args:
        std: relative widths, in (0, 1/sqrt(12)].

    Raises:
        UserError: a width outside.

    Source: Karras et al. 2024 (EDM2), appendix C; the cubic is solved by Viète's cosine.

    >>> round(float(exponent(0.1)), 3)
    6.937
    """
    std = np.asarray(std, np.float64)
    if not ((std > 0) & (std <= WIDEST)).all():
        raise UserError(f"A power-function average has a std in (0, {WIDEST:.4f}], not {std}.")
    # In y = gamma + 7/3 the cubic is y³ - p y + q = 0, whose largest root is wanted.
    precision = std**-2
    p, q = precision + 1 / 3, 2 / 27 + 4 / 3 * precision
    angle = np.arccos(-1.5 * q / p * np.sqrt(3 / p))
    return 2 * np.sqrt(p / 3) * np.cos(angle / 3) - 7 / 3


def relative_width(gamma: Numbers) -> Numbers:
    """The standard deviation of the profile over T: sqrt(gamma + 1)/((gamma + 2) sqrt(gamma + 3)).

    Args:
        gamma: exponents, >= 0.

    Source: Karras et al. 2024 (EDM2), section 3.1.

    >>> round(float(relative_width(exponent(0.1))), 12)
    0.1
    """
    gamma = np.asarray(gamma, np.float64)
    return np.sqrt(gamma + 1) / ((gamma + 2) * np.sqrt(gamma + 3))


def response(time: Numbers, end: Numbers, std: Numbers) -> Numbers:
    """The profile p(t) of an average of relative width `std` that ended at T = `end`.

    Args:
        time: t, in the unit of `end` (updates or pictures).
        end: T.
        std: relative width.

    Returns:
        The weight per unit of time; 0 after `end`.

    Source: Karras et al. 2024 (EDM2), section 3.1.

    >>> response(np.array([0.5, 1.0, 2.0]), end=1.0, std=WIDEST).round(6)
    array([1., 1., 0.])
    """
    gamma = exponent(std)
    share = time / end
    return np.where(share <= 1, (gamma + 1) / end * share**gamma, 0.0)


def correlation(
    end_a: Numbers,
    std_a: Numbers,
    end_b: Numbers,
    std_b: Numbers,
) -> Numbers:
    """The integral of the product of two profiles, which broadcast against each other.

    Args:
        end_a: T of the first.
        std_a: its relative width.
        end_b: T of the second.
        std_b: its relative width.

    Source: Karras et al. 2024 (EDM2), appendix C.

    >>> round(float(correlation(1.0, WIDEST, 2.0, WIDEST)), 6)
    0.5
    """
    a, b = exponent(std_a), exponent(std_b)
    first, last = np.minimum(end_a, end_b), np.maximum(end_a, end_b)
    later = np.where(np.asarray(end_a) > end_b, a, b)  # gamma of the one that ended last
    return (a + 1) * (b + 1) / (a + b + 1) * (first / last) ** later / last


def coefficients(
    ends: Float[np.ndarray, "stored"],
    stds: Float[np.ndarray, "stored"],
    end: Numbers,
    std: Numbers,
) -> Float[np.ndarray, "stored ..."]:
    """Shares of stored averages whose sum is nearest in L2 to the profile of another.

    Args:
        ends: T of each stored average.
        stds: its relative width.
        end: T of the wanted one, or several.
        std: its relative width, or several.

    Returns:
        The shares, which sum to 1 and may be negative.

    Source: Karras et al. 2024 (EDM2), section 3.2 and appendix C.

    >>> ends, stds = np.array([4.0, 8.0]), np.array([0.1, 0.1])
    >>> bool(np.allclose(coefficients(ends, stds, end=8.0, std=0.1), [0.0, 1.0]))
    True
    """
    between = correlation(ends[:, None], stds[:, None], ends, stds)
    end, std = np.broadcast_arrays(end, std)
    wanted = correlation(ends[:, None], stds[:, None], np.ravel(end), np.ravel(std))
    nearest = np.linalg.solve(between, wanted)
    # Scaled to a sum of 1, so that parameters that never changed stay as they are.
    return (nearest / nearest.sum(axis=0)).reshape(len(ends), *std.shape)


def reconstruct(
    snapshots: Sequence[PyTree[Any]],
    ends: Float[np.ndarray, "stored"],
    stds: Float[np.ndarray, "stored"],
    end: float,
    std: float,
) -> PyTree[Any]:
    """The average of relative width `std` at time `end`, out of stored ones.

    Args:
        snapshots: the averages that were stored, trees of the same form.
        ends: when each was stored, in updates or pictures.
        stds: the relative width of each.
        end: when the wanted average ends.
        std: its relative width.

    Raises:
        UserError: not one time and one width per snapshot.

    Source: Karras et al. 2024 (EDM2), section 3.2.

    >>> stored = [{"w": np.zeros(2)}, {"w": np.ones(2)}]
    >>> found = reconstruct(stored, np.array([4.0, 8.0]), np.array([0.1, 0.1]), end=8.0, std=0.1)
    >>> found["w"].round(6)
    array([1., 1.])
    """
    if not len(snapshots) == len(ends) == len(stds) > 0:
        raise UserError(
            "A reconstruction needs one end and one std per snapshot, not "
            f"{len(snapshots)} snapshots, {len(ends)} ends and {len(stds)} stds."
        )
    shares = coefficients(ends, stds, end, std)

    def combined(*stored: np.ndarray) -> np.ndarray:
        # The shares are large and of both signs, so their sum is rounded once, at the end.
        total = sum(
            share * np.asarray(leaf, np.float64) for share, leaf in zip(shares, stored, strict=True)
        )
        return np.asarray(total, np.asarray(stored[0]).dtype)

    return jax.tree.map(combined, *snapshots)
