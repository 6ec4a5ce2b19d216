"""The reverse process of some samples, frame by frame, as it can be looked at."""

import dataclasses
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from diffusion_jax.data.example import to_bytes
from diffusion_jax.inference.generate import Path

Seen = Callable[[np.ndarray], np.ndarray]
"""Samples, float32 (n, ...), to what is shown of them."""


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """The reverse process of one arm, from noise to samples.

    Pictures are bytes (frames, n, height, width, channels); of vectors the first two numbers are
    kept, float32 (frames, n, 2).

    Attributes:
        log_snr: (frames,) rising; the last may be inf.
        noisy: x_t, see `visible`.
        denoised: the denoiser's estimate of x_0 from that x_t.
    """

    log_snr: Float[np.ndarray, " frames"]
    noisy: Shaped[np.ndarray, "frames n ..."]
    denoised: Shaped[np.ndarray, "frames n ..."]

    def thinned(self, budget: float) -> "Trajectory":
        """About so many bytes at most: frames left out evenly, but for the first and the last."""
        frames, size = len(self.log_snr), 2 * self.noisy[0].nbytes
        keep = np.linspace(0, frames - 1, int(np.clip(budget // max(size, 1), 2, frames)))
        chosen = np.unique(keep.round().astype(int))
        return Trajectory(self.log_snr[chosen], self.noisy[chosen], self.denoised[chosen])


def trajectory(path: Path, pictures: bool, seen: Seen = to_bytes) -> Trajectory | None:
    """Of some samples; None where some of it is not finite.

    Args:
        path: of the samples.
        pictures: whether they are shown as pictures.
        seen: makes pictures of what the network makes, see `Dataset.seen`.
    """
    if not (np.isfinite(path.x).all() and np.isfinite(path.denoised).all()):
        return None
    level = path.level.like(jnp.asarray(path.x))
    alpha, sigma = np.asarray(level.alpha), np.asarray(level.sigma)
    noisy = visible(path.x, alpha, sigma)
    frames = noisy, path.denoised
    shown = [_pictured(x, seen) if pictures else plane(x, batch=2) for x in frames]
    return Trajectory(np.asarray(path.level.log_snr, np.float64), *shown)


def _pictured(x: Float[np.ndarray, "frames n ..."], seen: Seen) -> UInt8[np.ndarray, "..."]:
    found = seen(x.astype(np.float32).reshape(-1, *x.shape[2:]))
    return found.reshape(*x.shape[:2], *found.shape[1:])


def visible(
    x: Float[np.ndarray, "..."],
    alpha: float | Float[np.ndarray, "..."],
    sigma: float | Float[np.ndarray, "..."],
) -> Float[np.ndarray, "..."]:
    """A noisy x = alpha x_0 + sigma eps, to be looked at: x / sqrt(alpha² + 2 sigma²).

    The look depends on the log-SNR alone, so a variance-exploding arm and a variance-preserving one
    can be compared; pure noise has standard deviation 0.7, and a clean sample is as it is.

    >>> visible(np.array([0.0, 80.0]), 1.0, 80.0).round(3).tolist()
    [0.0, 0.707]
    """
    return np.asarray(x, np.float64) / np.sqrt(np.square(alpha) + 2 * np.square(sigma))


def plane(values: Shaped[np.ndarray, "..."], batch: int = 1) -> Float[np.ndarray, "..."]:
    """The first two numbers of each example, as a place in the plane; 0 in place of a second.

    Args:
        values: examples, whatever their shape.
        batch: how many axes come before it.

    >>> plane(np.arange(12.0).reshape(2, 3, 2)).tolist(), plane(np.ones((1, 1))).tolist()
    ([[0.0, 1.0], [6.0, 7.0]], [[1.0, 0.0]])
    """
    flat = values.reshape(*values.shape[:batch], -1)[..., :2].astype(np.float32)
    return np.pad(flat, [(0, 0)] * batch + [(0, 2 - flat.shape[-1])])
