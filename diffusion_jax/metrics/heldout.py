"""How well an arm denoises held-out pictures, noise level by noise level, and their bits per dim.

Arms are trained at their own levels, to their own targets, with their own weights, so that their
training losses cannot be compared. Here all are asked the same: picture, noise and log-SNR are
those of every arm, and the answer is the error in the noise. Its integral is a bound on the bits
that the pictures cost (`sampling.continuous_time_bound`).

Source: Kingma & Gao 2023 (understanding diffusion objectives), eq. 6: all losses are weighted
integrals of this error; Kingma et al. 2021 (VDM) for the bound.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Key, PyTree

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values, take, to_unit, values_of
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError
from diffusion_jax.networks.denoiser import NetworkDenoiser
from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.process.bound_terms import BITS
from diffusion_jax.process.denoiser import OwnDenoiser, from_network
from diffusion_jax.process.denoiser import denoises as prediction_denoises
from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.preconditionings import Preconditioning
from diffusion_jax.process.predictions import Coefficients
from diffusion_jax.process.schedules import log_snr_range
from diffusion_jax.sampling.continuous_time_bound import draw_noise, end_terms, noise_error
from diffusion_jax.sampling.loop import sample_keys
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.own_data import shown
from diffusion_jax.training.trained import TrainedArm

GOLDEN = (5**0.5 - 1) / 2  # its multiples, modulo 1, fill the unit interval most evenly

# (x0 (batch, ...), condition, a key per row, log-SNR (batch,)) → error in the noise (batch,)
NoiseErrors = Callable[[Array, Condition, Array, Array], Array]


@dataclasses.dataclass(frozen=True)
class LogSNRBins:
    """Bins of the log-SNR that all arms share.

    The default reaches from more noise than any usual process starts with (EDM's sigma of 80 is a
    log-SNR of -8.8, DDPM's last step -10.1) to where sigma is a ninth of the distance of two
    values of a byte, so that less noise tells nothing more of them.

    Attributes:
        edges: of the bins, rising.

    Raises:
        UserError: fewer than two edges, or they do not rise.

    >>> LogSNRBins((-1.0, 0.0, 2.0)).widths
    array([1., 2.])
    """

    edges: tuple[float, ...] = tuple(float(edge) for edge in range(-10, 15, 2))

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or not (np.diff(self.edges) > 0).all():
            raise UserError(f"edges of log-SNR bins must be two or more that rise: {self.edges}.")

    @property
    def widths(self) -> Float[np.ndarray, "bins"]:
        """Of each bin."""
        return np.diff(self.edges)

    @property
    def middles(self) -> Float[np.ndarray, "bins"]:
        """Of each bin."""
        return np.asarray(self.edges[:-1]) + self.widths / 2

    def levels(self, seed: int, count: int) -> Float[np.ndarray, "count bins"]:
        """A log-SNR in each bin for each picture: uniform, and evenly spread over the pictures.

        The i-th depends on (seed, i) alone. Within a bin they are a Kronecker sequence, of which
        any stretch is spread evenly.
        """
        start = uniforms(seed, np.arange(len(self.widths)), 1).T
        share = (start + GOLDEN * np.arange(count)[:, None]) % 1
        return np.asarray(self.edges[:-1]) + share * self.widths


DEFAULT = LogSNRBins()
NOISE_ERROR, BITS_PER_DIM = "noise_error", "bits_per_dim"


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What an arm makes of held-out pictures; row i is the same question for all arms.

    Attributes:
        bins: of the log-SNR.
        per_picture: error in the noise of each picture, at one level in each bin.
        ends: nats per dimension of each picture's prior term and decoder, the same for all arms;
            not a number for vectors, of which no value is a byte.
    """

    bins: LogSNRBins
    per_picture: Float32[np.ndarray, "count bins"]
    ends: Float[np.ndarray, "count"]

    @property
    def count(self) -> int:
        """Number of pictures."""
        return len(self.per_picture)

    @property
    def has_bits(self) -> bool:
        """Whether a bound on bits is known: of pictures."""
        return not np.isnan(self.ends).any()

    @property
    def by_picture(self) -> dict[str, Float[np.ndarray, "count"]]:
        """What is measured of each picture: its error, and its bits where they are known."""
        errors = {NOISE_ERROR: self.per_picture.mean(axis=1, dtype=np.float64)}
        return errors | ({BITS_PER_DIM: self.bits} if self.has_bits else {})

    @property
    def lost(self) -> int:
        """How many pictures have an error that is not finite."""
        return int((~np.isfinite(self.per_picture).all(axis=1)).sum())

    @property
    def mean(self) -> Float[np.ndarray, "bins"]:
        """Over the pictures, of each bin."""
        return self.per_picture.mean(axis=0, dtype=np.float64)

    @property
    def standard_error(self) -> Float[np.ndarray, "bins"]:
        """Of `mean`, over draws of pictures, noise and levels; not a number for one picture."""
        return _standard_error(self.per_picture)

    @property
    def bits(self) -> Float[np.ndarray, "count"]:
        """The bound on each picture's bits per dimension, by Monte Carlo without bias.

        A single picture's is uncertain, as one level was drawn in each bin.
        """
        return BITS * (self.ends + self.per_picture @ self.bins.widths / 2)

    def plain(self) -> dict[str, Any]:
        """Its numbers as JSON has them."""
        bits, error = self.bits_per_dim if self.has_bits else (None, None)
        return {
            "edges": list(self.bins.edges),
            "mean": self.mean.tolist(),
            "standard_error": self.standard_error.tolist(),
            "bits_per_dim": bits,
            "bits_standard_error": error,
            "count": self.count,
            "not_finite": self.lost,
        }

    @property
    def bits_per_dim(self) -> tuple[float, float]:
        """The mean of `bits` and its standard error."""
        return float(self.bits.mean()), float(_standard_error(self.bits))


def denoises(objective: Objective) -> bool:
    """Whether an arm estimates noise: a consistency function goes to the data at once."""
    return prediction_denoises(objective.prediction)


def check_denoises(name: str, objective: Objective) -> None:
    """Refuses an arm that cannot be asked.

    Raises:
        UserError: it is a consistency function, which estimates no noise.
    """
    if not denoises(objective):
        raise UserError(
            f"Arm {name!r} is a consistency function: it goes to the data at once, and has no "
            "error in the noise of held-out pictures to be measured by."
        )


def held_out(
    arm: TrainedArm,
    data: Dataset,
    count: int,
    seed: int = 0,
    batch_size: int = 64,
    bins: LogSNRBins = DEFAULT,
) -> HeldOut:
    """Asks a trained arm for the noise in the first test pictures, with their captions.

    Picture i, its noise and its levels depend on (seed, i) alone, and arms with the same network
    share one compiled program, whatever their schedules, predictions and weightings. At levels
    that an arm's schedule does not reach, it is asked all the same.

    Args:
        arm: with its averaged parameters.
        data: its test pictures.
        count: of pictures.
        seed: of noise and levels.
        batch_size: pictures at once.
        bins: of the log-SNR.

    Raises:
        UserError: the arm diverged, there are not as many test pictures, or see `check_denoises`.
    """
    arm.check_sound()
    check_denoises(arm.arm.name, arm.objective)
    if not 1 <= count <= len(data.test):
        raise UserError(
            f"Cannot measure {count} held-out pictures: data set {data.name!r} has "
            f"{len(data.test)} test pictures."
        )
    examples = take(data.test, range(count))
    pictures = values_of(examples)
    condition: Condition = {**shown([arm.arm.network], data, examples)}

    def errors(x0: Array, condition: Condition, keys: Array, log_snr: Array) -> Array:
        if isinstance(arm.objective.prediction, OwnDenoiser):
            return _read_errors(arm.network_denoiser, x0, condition, keys, log_snr)
        coefficients = _own_coefficients(arm.objective, log_snr)
        return _errors(
            arm.arm.network,
            arm.params,
            coefficients,
            arm.objective.sigma_data,
            arm.objective.preconditioning,
            x0,
            condition,
            keys,
            log_snr,
        )

    return ask(errors, pictures, condition, seed, batch_size, bins)


def ask(
    errors: NoiseErrors,
    pictures: Values,
    condition: Condition,
    seed: int,
    batch_size: int,
    bins: LogSNRBins = DEFAULT,
) -> HeldOut:
    """`held_out` for any function that tells errors in the noise.

    Args:
        errors: see `NoiseErrors`; it draws its noise from the keys.
        pictures: bytes, or vectors.
        condition: a row per picture, or {}.
        seed: of noise and levels.
        batch_size: pictures at once.
        bins: of the log-SNR.
    """
    count = len(pictures)
    x0, levels = to_unit(pictures), bins.levels(seed, count)
    keys = _keys(jax.random.key(seed), count, len(bins.widths) + 1)
    batch_size = min(batch_size, count)
    found, ends = [], []
    for first in range(0, count, batch_size):
        # The last batch is filled up by repeating pictures, so that all have one shape.
        rows = np.arange(first, first + batch_size) % count
        given: Condition = {name: jnp.asarray(each[rows]) for name, each in condition.items()}
        here = jnp.asarray(x0[rows])
        parts = [
            errors(here, given, _cut(keys, rows, k), jnp.asarray(levels[rows, k], here.dtype))
            for k in range(len(bins.widths))
        ]
        found.append(np.stack(parts, axis=1))
        ends.append(_ends(pictures[rows], _cut(keys, rows, -1), bins))
    per_picture = np.concatenate(found)[:count].astype(np.float32)
    return HeldOut(bins, per_picture, np.concatenate(ends)[:count])


def _ends(pictures: Values, keys: Key[Array, "batch"], bins: LogSNRBins) -> np.ndarray:
    if pictures.dtype != np.uint8:
        return np.full(len(pictures), np.nan)
    low, high = (jnp.asarray(bins.edges[k], jnp.float32) for k in (0, -1))
    return np.asarray(end_terms(jnp.asarray(pictures), keys, low, high))


def own_coefficients(objective: Objective, log_snr: Float[Array, "batch"]) -> Coefficients:
    """The coefficients of an arm's target at a log-SNR, at the scale of its own process.

    A network does not see the scale, but the target that it was trained on may have it, as the
    score does. Beyond the schedule's end the scale is that of the end.
    """
    low, high = log_snr_range(objective.schedule)
    there = objective.schedule.level(objective.schedule.time(jnp.clip(log_snr, low, high)))
    scale = jnp.hypot(there.alpha, there.sigma)
    level = Level.from_log_snr(log_snr)
    own = objective.preconditioning.own_level(Level(scale * level.alpha, scale * level.sigma))
    return objective.prediction.coefficients(own)


_own_coefficients = jax.jit(own_coefficients)


@pytree
class _Told:
    """A prediction whose coefficients are plain numbers, so that one program serves all arms."""

    coefficients_of_rows: Coefficients

    def coefficients(self, level: Level) -> Coefficients:
        a, b = self.coefficients_of_rows
        return a.reshape(level.alpha.shape), b.reshape(level.alpha.shape)


@functools.partial(jax.jit, static_argnums=0)
def _errors(
    network: AnyNetwork,
    params: PyTree,
    coefficients: Coefficients,
    sigma_data: Scalar,
    preconditioning: Preconditioning,
    x0: Float[Array, "batch ..."],
    condition: Condition,
    keys: Key[Array, "batch"],
    log_snr: Float[Array, "batch"],
) -> Float[Array, "batch"]:
    def predict(x: Array, c_noise: Array, condition: Condition) -> Array:
        found = network.for_sampling().apply({"params": params}, x, c_noise, condition)
        return cast(Array, found)

    denoise = from_network(
        predict, _Told(coefficients), sigma_data, network.variance, preconditioning
    )
    return noise_error(denoise, x0, condition, draw_noise(keys, x0), log_snr)


@jax.jit
def _read_errors(
    own: NetworkDenoiser,
    x0: Float[Array, "batch ..."],
    condition: Condition,
    keys: Key[Array, "batch"],
    log_snr: Float[Array, "batch"],
) -> Float[Array, "batch"]:
    """`_errors` where the prediction makes the denoiser."""
    return noise_error(own.denoiser(), x0, condition, draw_noise(keys, x0), log_snr)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _keys(key: Key[Array, ""], count: int, columns: int) -> Key[Array, "count columns"]:
    rows = sample_keys(key, count)
    return jax.vmap(lambda key: jax.random.split(key, columns))(rows)


@jax.jit
def _cut(
    keys: Key[Array, "count columns"], rows: Int[Array, "batch"], column: int | Int[Array, ""]
) -> Key[Array, "batch"]:
    """The keys of a batch: one program for all of them."""
    return keys[rows, column]


def _standard_error(values: Float[np.ndarray, "count ..."]) -> Float[np.ndarray, "..."]:
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    return np.asarray(np.std(values, axis=0, ddof=1, dtype=np.float64) / np.sqrt(len(values)))
