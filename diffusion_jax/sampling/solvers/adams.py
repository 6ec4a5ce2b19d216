"""Exponential Adams methods: a step through values at other nodes, linear terms exactly.

With lambda = log(alpha/sigma) and h = lambda_s - lambda_t, the step from node t to node s of a
process that has had tau² of its noise replaced is exactly, on average over the fresh noise,

    x_s = sigma_s/sigma_t exp(-tau² h) x_t + (1 + tau²) alpha_s ∫ exp(-(1 + tau²) v) x_0 dv   ("x0")
    x_s = alpha_s/alpha_t (x_t - (1 + tau²) sigma_t ∫ exp(-v) eps dv)                    ("epsilon")

over v from 0 to h, where v = lambda_s - lambda in the first and lambda - lambda_t in the second.
tau = 0 is the probability-flow ODE. Solvers put the polynomial in lambda through known values in
the place of x_0 or eps; they differ in which values, and of which of the two.

Source: Lu et al. 2022 (DPM-Solver), eq. 3.4; Lu et al. 2022 (DPM-Solver++), eq. 8; Xue et al. 2023
(SA-Solver), eq. 8.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffusion_jax.process.level import Level
from diffusion_jax.struct import Scalar

ESTIMATES = ("x0", "epsilon")
RULES = ("exact", "h", "expm1")


def moments(h: Float[Array, ""], count: int) -> Float[Array, "count"]:
    """∫ exp(-h r) r^k dr over r from 0 to 1, for k = 0 … count - 1 and h >= 0.

    >>> [round(float(m), 4) for m in moments(jnp.float32(2.0), 3)]
    [0.4323, 0.1485, 0.0808]
    """
    # The recursion subtracts nearly equal numbers where h is small.
    small, large = jnp.minimum(h, 4), jnp.maximum(h, 4)
    k, n = jnp.arange(count)[:, None], jnp.arange(32)
    factors = jnp.where(n == 0, 1, small) / (k + 1 + n)
    series = jnp.exp(-small) * jnp.cumprod(factors, axis=1).sum(axis=1)
    recursion = [-jnp.expm1(-large) / large]
    for power in range(1, count):
        recursion.append((power * recursion[-1] - jnp.exp(-large)) / large)
    return jnp.where(h < 4, series, jnp.stack(recursion))


def lagrange(places: Float[Array, "n"], used: Bool[Array, "n"]) -> Float[Array, "n n"]:
    """Row j: coefficients, the constant first, of the polynomial that is 1 at place j, else 0.

    Only places in use count; rows of others are zero.

    >>> lagrange(jnp.array([1.0, 0.0, 9.0]), jnp.array([True, True, False]))[1, :2].tolist()
    [1.0, -1.0]
    """
    count = places.shape[0]
    places = jnp.where(used, places, 0)
    rows = jnp.zeros((count, count), places.dtype).at[:, 0].set(1)
    for i in range(count):
        factor = used & used[i] & (jnp.arange(count) != i)
        gap = jnp.where(factor, places - places[i], 1)[:, None]
        times_r = jnp.roll(rows, 1, axis=1)  # of degree below n - 1 until the last factor
        rows = jnp.where(factor[:, None], (times_r - places[i] * rows) / gap, rows)
    return jnp.where(used[:, None], rows, 0)


def usable(log_snr: Float[Array, "n"], count: Float[Array, ""] | Array) -> Bool[Array, "n"]:
    """The first `count` of the nodes that a polynomial in log-SNR can go through, latest first.

    Those without any signal lie infinitely far away, and of repeated ones only one counts.
    """
    new = jnp.concatenate([jnp.ones(1, bool), log_snr[1:] != log_snr[:-1]])
    return (jnp.arange(log_snr.shape[0]) < count) & jnp.isfinite(log_snr) & new


def weights(
    h: Float[Array, ""],
    places: Float[Array, "n"],
    used: Bool[Array, "n"],
    start: int,
    estimate: str,
    rule: str = "exact",
) -> Float[Array, "n"]:
    """∫ exp(-v) L_j dv over v from 0 to h, with L_j the Lagrange polynomials in r = v/h.

    Args:
        h: length of the step, maybe infinite: then the value at its start stands for all.
        places: r of each value.
        used: which of them are used.
        start: the index of the value at the start of the step.
        estimate: "x0", for which the step starts at r = 1, or "epsilon", at r = 0.
        rule: how a line through two values is integrated, see `slope`.
    """
    at_start = jnp.arange(places.shape[0]) == start
    whole = -jnp.expm1(-h)
    moves = jnp.isfinite(h) & (h > 0)
    h = jnp.where(moves, h, 1)
    w = h * lagrange(places, used) @ moments(h, places.shape[0])
    if rule != "exact":
        other = used & ~at_start
        gap = jnp.where(other, places - places[start], 1)
        line = jnp.where(other, slope(h, estimate, rule) / gap, 0)
        line = jnp.where(at_start, whole - line.sum(), line)
        w = jnp.where((used.sum() == 2) & used[start], line, w)
    return jnp.where(moves, w, jnp.where(at_start, whole, 0))


def slope(h: Float[Array, ""], estimate: str, rule: str) -> Float[Array, ""]:
    """UniPC's B(h)/2 in place of the integral of exp(-v) (r - r_start).

    B(h) = h by rule "h" and exp(h) - 1 by rule "expm1", with -h for h for "x0"; as steps
    are written here, B for "epsilon" is multiplied by exp(-h).

    Source: Zhao et al. 2023 (UniPC), section 3.4.
    """
    if rule == "expm1":
        size = -jnp.expm1(-h)
    else:
        size = h if estimate == "x0" else h * jnp.exp(-h)
    return -size / 2 if estimate == "x0" else size / 2


def step(
    x: Float[Array, "batch ..."],
    here: Level,
    there: Level,
    values: Float[Array, "n batch ..."],
    log_snr: Float[Array, "n"],
    used: Bool[Array, "n"],
    start: int = 0,
    estimate: str = "x0",
    rule: str = "exact",
    tau: Scalar = 0.0,
) -> Float[Array, "batch ..."]:
    """A step from `here` to `there` (scalars), less its fresh noise.

    Args:
        x: the state at `here`.
        here: the level that it starts from.
        there: the level that it goes to.
        values: of x_0 or eps, according to `estimate`, at n nodes.
        log_snr: where they are.
        used: which of them the polynomial goes through.
        start: the index of the value at `here`.
        estimate: "x0" or "epsilon".
        rule: see `weights`.
        tau: how much noise is replaced; 0 is none.
    """
    h = (there.log_snr - here.log_snr) / 2
    if estimate == "x0":
        places = (there.log_snr - log_snr) / 2 / h
        places = places.at[start].set(1)
        w = weights((1 + tau**2) * h, places, used, start, estimate, rule)
        forgotten = jnp.where(jnp.asarray(tau) == 0, 0, tau**2 * h)
        kept = there.sigma / here.sigma * jnp.exp(-forgotten)
        return kept * x + there.alpha * jnp.tensordot(w, values, 1)
    places = (log_snr - here.log_snr) / 2 / h
    places = places.at[start].set(0)
    w = (1 + tau**2) * weights(h, places, used, start, estimate, rule)
    return there.alpha / here.alpha * (x - here.sigma * jnp.tensordot(w, values, 1))
