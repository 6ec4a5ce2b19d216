"""Log-densities by the probability flow, and bits per dimension.

Along the flow du/dy = D - tanh(y) u of `sampling.integrate`, with D the denoised estimate, the
log-density changes by minus the divergence, tr(dD/du) - d tanh(y). Its second term integrates to a
logarithm of sigma, which leaves

    log p(x) = log N(x_T; 0, sigma_T²) + d log(sigma_T/sigma) - ∫ tr(dD/du) dy,

y from that of the prior, x_T, up to that of x. Only the trace of the denoiser's Jacobian is left to
compute, or to estimate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.process.denoiser import DenoiserLike, as_denoiser
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import Schedule, log_snr_range
from diffusion_jax.sampling.checks import check_rows, check_samples, check_tells, one_key
from diffusion_jax.sampling.forward_mode import forward_mode
from diffusion_jax.sampling.integrate import Integrator, depth, level_at, scale
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.struct import Scalar, pytree

# Draws of a probe's components: of mean 0 and variance 1.
PROBES = {"rademacher": jax.random.rademacher, "gaussian": jax.random.normal}

INTEGRATOR = Integrator()


@pytree
class Likelihood:
    """What the probability flow says of data.

    Attributes:
        log_density: in nats, (batch,).
        latent: the end of the flow, (batch, ...), distributed as the prior.
        evaluations: of the denoiser and its Jacobian, (batch,).
    """

    log_density: Float[Array, "batch"]
    latent: Float[Array, "batch ..."]
    evaluations: Int[Array, "batch"]


def ends(schedule: Schedule, least: Scalar = 1e-3) -> tuple[Level, Level]:
    """The levels at which a flow over a schedule starts, close to data, and ends, in the prior.

    Args:
        schedule: its noisiest level is the prior's.
        least: sigma/alpha of the data's level, or more where the schedule has less noise nowhere.

    >>> from diffusion_jax.process.schedules import schedules
    >>> data, prior = ends(schedules.make("rectified_flow"))
    >>> round(float(data.sigma), 5), float(prior.sigma)
    (0.001, 1.0)
    """
    highest = jnp.minimum(log_snr_range(schedule)[1], -2 * jnp.log(least))
    noisiest = jnp.asarray(schedule.t_max, dtype=float)
    return schedule.level(schedule.time(highest)), schedule.level(noisiest)


def draw_probes(
    keys: Key[Array, "batch"], kind: str, count: int, shape: tuple[int, ...]
) -> Float[Array, "probes batch ..."]:
    """Random vectors v with E[v v^T] = 1, for Hutchinson's estimate of a trace.

    Args:
        keys: one per sample.
        kind: "rademacher" (±1, the one with the least variance) or "gaussian".
        count: probes of each sample; the variance falls as 1/count.
        shape: of one sample.

    Source: Hutchinson 1989; Grathwohl et al. 2018 (FFJORD), section 3.1.

    >>> draw_probes(jax.random.split(jax.random.key(0), 4), "rademacher", 2, (3,)).shape
    (2, 4, 3)
    """
    draw = PROBES[one_of(kind, PROBES, "kind of probe")]
    drawn = jax.vmap(lambda key: draw(key, (count, *shape), dtype=float))(keys)
    return jnp.moveaxis(drawn, 1, 0)


def log_density(
    denoise: DenoiserLike,
    x: Float[Array, "batch ..."],
    start: Level,
    end: Level,
    probes: Float[Array, "probes batch ..."] | None = None,
    condition: PyTree = None,
    integrator: Integrator = INTEGRATOR,
) -> Likelihood:
    """The log-density of x at level `start`, by the probability flow to the prior N(0, sigma²).

    Args:
        denoise: (x, level, condition) → E[x_0 | x].
        x: data, (batch, ...), at level `start`, as close to clean as wanted.
        start: the level of x, scalars; see `ends`.
        end: the level of the prior, scalars.
        probes: for Hutchinson's estimate (`draw_probes`); None is the exact trace, at the cost of
            as many products with the Jacobian as x has dimensions.
        condition: handed to `denoise`.
        integrator: method and tolerance, which holds for the log-density too.

    Raises:
        UserError: nothing is noisy at `start`, where the flow has no beginning.

    Source: Song et al. 2021 (score SDE), eq. 39 and appendix D.2; Chen et al. 2018 (neural ODE),
    theorem 1.

    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> from diffusion_jax.process.schedules import schedules
    >>> data = Gaussian(mean=jnp.zeros(1), std=jnp.ones(1))
    >>> start, end = ends(schedules.make("cosine"))
    >>> found = log_density(data.denoise, jnp.zeros((1, 1)), start, end).log_density
    >>> round(float(found[0]), 3)  # -log(2 pi)/2
    -0.919
    """
    if not isinstance(start.sigma, jax.core.Tracer) and float(start.sigma) <= 0:
        raise UserError("a likelihood needs some noise at its first level: sigma is 0 there.")
    dims = x[0].size

    def slope(y: Float[Array, "batch"], state: PyTree) -> tuple[Array, Array]:
        u, _ = state
        level = level_at(y)
        with forward_mode("A likelihood"):
            x0, jacobian = jax.linearize(lambda u: denoise(u, level, condition), u)
        return x0 - level.like(u).alpha * u, _trace(jacobian, u, probes)

    state = (x / scale(start), jnp.zeros(x.shape[0], x.dtype))
    (u, traced), evaluations = integrator(slope, state, depth(start), depth(end))
    latent = scale(end) * u
    # Integrated from `start` down to `end`, the trace has the sign that the formula wants.
    change = dims * (jnp.log(end.sigma) - jnp.log(start.sigma)) + traced
    return Likelihood(prior_log_density(latent, end.sigma) + change, latent, evaluations)


def likelihood(
    denoiser: DenoiserLike,
    schedule: Schedule,
    x0: Float[Array, "batch ..."],
    key: Array | None = None,
    condition: PyTree = None,
    *,
    probes: int = 0,
    kind: str = "rademacher",
    least: Scalar = 1e-3,
    integrator: Integrator = INTEGRATOR,
) -> Likelihood:
    """The log-density of data by the probability flow over a schedule; see `log_density`.

    Args:
        denoiser: (x, level, condition) → E[x_0 | x].
        schedule: its noisiest level is the prior's.
        x0: data, (batch, ...), taken to lie at the level `least`; of bytes, see `dequantize`.
        key: of the probes, one `jax.random.key`.
        condition: a dict of arrays with a row per sample; None for none.
        probes: random vectors by which the trace of the Jacobian is estimated, without bias; 0 is
            the exact trace, at the cost of as many products as x0 has dimensions.
        kind: of the probes, "rademacher" or "gaussian".
        least: sigma/alpha of the data's level, or more where the schedule has less noise nowhere.
        integrator: method and tolerance.

    Raises:
        UserError: probes without a key, a condition without a row for each sample, a denoiser that
            is a consistency function, or one whose prediction says nothing of the data at the
            schedule's noisiest level.

    >>> from diffusion_jax.process.schedules import Cosine
    >>> from diffusion_jax.verification.oracles import Gaussian
    >>> data = Gaussian(mean=jnp.zeros(1), std=jnp.ones(1))
    >>> found = likelihood(data.denoise, Cosine(), jnp.zeros((1, 1)))
    >>> round(float(found.log_density[0]), 3)  # -log(2 pi)/2
    -0.919
    """
    own = as_denoiser(denoiser)
    check_samples(x0)
    if not isinstance(schedule, Schedule) or isinstance(schedule, type):
        raise UserError(f"schedule must be an object, such as Cosine(), not {schedule!r}.")
    check_rows(condition, x0.shape[0])
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 0:
        raise UserError(f"probes must be a whole number, 0 or more, got {probes!r}.")
    if probes and key is None:
        raise UserError(f"a likelihood with {probes} probes needs a key to draw them.")
    if not own.denoises:
        raise UserError("a consistency function has no probability flow to tell a likelihood by.")
    start, end = ends(schedule, least)
    check_tells(own.prediction, end)
    drawn = None
    if probes:
        keys = sample_keys(one_key(key), x0.shape[0])
        drawn = draw_probes(keys, kind, probes, x0.shape[1:])
    return log_density(own, x0, start, end, drawn, condition, integrator)


def _trace(
    jacobian: Callable[[Array], Array],
    u: Float[Array, "batch ..."],
    probes: Float[Array, "probes batch ..."] | None,
) -> Float[Array, "batch"]:
    """The trace of each sample's Jacobian, exact or estimated by probes."""
    if probes is not None:
        return jnp.mean(jax.lax.map(lambda v: _inner(v, jacobian(v)), probes), axis=0)
    dims = u[0].size

    def entry(index: Array) -> Array:
        unit = jnp.broadcast_to((jnp.arange(dims) == index).reshape(u.shape[1:]), u.shape)
        return _inner(unit.astype(u.dtype), jacobian(unit.astype(u.dtype)))

    return jnp.sum(jax.lax.map(entry, jnp.arange(dims)), axis=0)


def _inner(v: Float[Array, "batch ..."], w: Float[Array, "batch ..."]) -> Float[Array, "batch"]:
    return jnp.sum(v * w, axis=tuple(range(1, v.ndim)))


def prior_log_density(x: Float[Array, "batch ..."], sigma: Scalar) -> Float[Array, "batch"]:
    """log N(x; 0, sigma²), in nats."""
    return -_inner(x, x) / (2 * sigma**2) - x[0].size * jnp.log(jnp.sqrt(2 * jnp.pi) * sigma)


def dequantize(
    pictures: UInt8[Array, "batch ..."], keys: Key[Array, "batch"]
) -> Float[Array, "batch ..."]:
    """Spreads bytes evenly over the interval that each stands for, on the scale of training.

    x = (byte + u)/127.5 - 1 for u uniform in [-1/2, 1/2), intervals 2/255 wide.

    Source: Theis et al. 2016 (a note on the evaluation of generative models), section 3.1.
    """
    shape = pictures.shape[1:]
    spread = jax.vmap(lambda key: jax.random.uniform(key, shape, minval=-0.5, maxval=0.5))(keys)
    return (pictures + spread) / 127.5 - 1


def bits_per_dim(
    log_density: Float[Array, "..."], dims: int, width: Scalar = 2 / 255
) -> Float[Array, "..."]:
    """The bits that a byte of a picture costs under a density of dequantised data.

    -log_density/(dims log 2) - log2(width): a probability is a density times the width of an
    interval. An upper bound on the cost of the bytes themselves.

    Args:
        log_density: in nats.
        dims: numbers in a picture.
        width: of the interval that a byte stands for. 2/255 is that of `dequantize`, which adds
            6.99 bits; papers that scale to [-1, 1] with 2/256 add 7, those with [0, 1] add 8.

    >>> round(float(bits_per_dim(jnp.zeros(()), dims=3, width=2 / 256)), 3)
    7.0
    """
    return -log_density / (dims * jnp.log(2.0)) - jnp.log2(width)
