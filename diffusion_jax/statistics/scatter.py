"""How much arms scatter over training seeds, when what a seed does to all of them is taken out.

Values y_as of k arms with the same n seeds are an arm's mean, a part that the seed gives to all
arms, and the rest, e_as. An arm's scatter is

    g_a = k / (k - 1) sum_s r_as² / (n - 1),
    r_as = y_as - mean_a y_as - mean_s y_as + mean_as y_as,

whose expectation is var e_a where arms scatter alike. With few seeds a single g_a says little, so
it is moderated. With s² the mean of all and f_a = g_a / (mean of the others),

    v_a = s² (1 - w + w f_a^p),    w = (n - 1) / (n + 18),    p = 1 + 0.8 / (n - 1)

stays near the common value unless an arm scatters far more than the others. The baseline's scatter
is in every difference, so it counts in full: v_0 = s² f_0^q, q = 1 + 0.55 / (n - 1). In s² it
weighs 0.55, each other arm's 1. Two arms have one scatter between them, v_0 = v_1, and the rule is
the paired t-test.

The constants are found by simulation (docs/statistics.md): they find most real differences among
rules that call equal arms different in at most 6% of sweeps where one scatters three times as much.
More power at small differences costs power at large ones.
"""

import numpy as np
from jaxtyping import Bool, Float
from scipy import special

PRIOR_FREEDOM = 19.0  # seeds, less one, with which an arm's own scatter weighs half
ARM_STEEPNESS, BASELINE_STEEPNESS = 0.8, 0.55
BASELINE_SHARE = 0.55  # of the baseline's scatter in s², beside 1 of each other arm's
WORST_SCATTER = 3.0  # times the others', up to which the rule's level holds
OUTLYING = 0.01  # p-value below which an arm's scatter is beyond that


def scatter(values: Float[np.ndarray, "*batch arms seeds"]) -> Float[np.ndarray, "*batch arms"]:
    """The scatter g_a of each arm.

    Args:
        values: (*batch, k, n) with k and n at least 2.

    >>> scatter(np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 6.0]]))
    array([1.5, 1.5])
    """
    arms, seeds = values.shape[-2:]
    rest = values - values.mean(-2, keepdims=True)
    rest = rest - rest.mean(-1, keepdims=True)
    return np.square(rest).sum(-1) * (arms / ((arms - 1) * (seeds - 1)))


def difference_variance(
    scatters: Float[np.ndarray, "*batch arms"], seeds: int
) -> Float[np.ndarray, "*batch others"]:
    """The moderated variance of each arm's difference from the first, seed by seed: v_a + v_0.

    Args:
        scatters: (*batch, k) of the baseline, then of the other arms.
        seeds: n they were measured with.
    """
    freedom, arms = seeds - 1, scatters.shape[-1]
    base, ratio = scatters[..., :1], _against_others(scatters)
    total = scatters.sum(-1, keepdims=True) - (1 - BASELINE_SHARE) * base
    common = total / (arms - 1 + BASELINE_SHARE)
    weight = freedom / (freedom + PRIOR_FREEDOM)
    of_base = ratio[..., :1] ** (1 + BASELINE_STEEPNESS / freedom)
    of_arm = 1 - weight + weight * ratio[..., 1:] ** (1 + ARM_STEEPNESS / freedom)
    return common * (of_base + of_arm)


def outlying(scatters: Float[np.ndarray, " arms"], seeds: int) -> int | None:
    """The arm whose scatter stands out from that of the others, or None."""
    return int(scatters.argmax()) if stands_out(scatters, seeds) else None


def stands_out(
    scatters: Float[np.ndarray, "*batch arms"], seeds: int
) -> Bool[np.ndarray, "*batch"]:
    """Whether the greatest scatter is beyond doubt more than `WORST_SCATTER` times the others'.

    The arm's difference from the mean of the others has variance k / (k - 1) g_a over seeds, which
    is (3² + 1 / (k - 1)) sigma² if it scatters three times as much as they do, with sigma. Among
    themselves they have the mean square ((k - 1) / k sum_b g_b - g_a) / (k - 2). The ratio is
    distributed as F with n - 1 and (k - 2)(n - 1) degrees of freedom, for each of k.

    Source: Cochran 1941, for the greatest of k.
    """
    k = scatters.shape[-1]
    if k < 3:
        return np.zeros(scatters.shape[:-1], bool)
    greatest, freedom = scatters.max(-1), (k - 2) * (seeds - 1)
    own = k / (k - 1) * greatest / (WORST_SCATTER**2 + 1 / (k - 1))
    others = ((k - 1) / k * scatters.sum(-1) - greatest) / (k - 2)
    ratio = own / np.maximum(others, np.where(greatest > 0, 1e-12 * greatest, 1.0))
    return np.asarray(k * special.fdtrc(seeds - 1, freedom, ratio) < OUTLYING)


def _against_others(
    scatters: Float[np.ndarray, "*batch arms"],
) -> Float[np.ndarray, "*batch arms"]:
    """Each scatter over the mean of the others; 1 where nothing scatters."""
    total = scatters.sum(-1, keepdims=True)
    others = (total - scatters) / (scatters.shape[-1] - 1)
    return np.where(total > 0, scatters, 1.0) / np.where(total > 0, others, 1.0)
