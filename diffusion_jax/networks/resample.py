"""Pictures of half or double the size, by a filter."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of

MODES = ("keep", "down", "up")

Picture = Float[Array, "batch height width channels"]
Resampled = Float[Array, "batch new_height new_width channels"]


def resample(x: Picture, mode: str, taps: Sequence[float] = (1.0, 1.0)) -> Resampled:
    """Pictures of half ('down') or double ('up') the size, or as they are ('keep').

    Args:
        x: pictures.
        mode: 'keep', 'down' or 'up'.
        taps: an even number of weights of the filter along a side, scaled to a sum of 1.

    Raises:
        UserError: an unknown mode, or an odd number of taps.

    Source: Karras et al. 2022 (EDM), appendix F.2, as in EDM2.

    >>> resample(jnp.ones((1, 4, 4, 1)), "down").shape
    (1, 2, 2, 1)
    """
    one_of(mode, MODES, "resampling")
    check_taps(taps)
    if mode == "keep":
        return x
    before = (len(taps) - 1) // 2
    if len(taps) == 2 and taps[0] == taps[1]:
        return _halved(x) if mode == "down" else jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    if mode == "down":
        return filtered(x, taps, before)
    # Three quarters of the pixels in between are zeros, which the filter makes up for. It is
    # reversed, so that this is the transpose of going down.
    side = 2 * _side(x, taps)[::-1]
    return _convolve(x, side, len(taps) - 1 - before, (1, 1), (2, 2))


def filtered(x: Picture, taps: Sequence[float], margin: int) -> Resampled:
    """Every second sum of neighbours, weighted by the filter, of pictures in a margin of zeros.

    >>> filtered(jnp.ones((1, 6, 6, 1)), (1.0, 3.0, 3.0, 1.0), margin=0).shape
    (1, 2, 2, 1)
    """
    return _convolve(x, _side(x, taps), margin, (2, 2), (1, 1))


def check_taps(taps: Sequence[float]) -> None:
    """Raises UserError unless there is an even number of taps, of a sum other than 0."""
    if len(taps) == 0 or len(taps) % 2 or sum(taps) == 0:
        raise UserError(f"resample needs an even number of taps with a sum, not {tuple(taps)}.")


def _halved(x: Picture) -> Resampled:
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))


def _side(x: Picture, taps: Sequence[float]) -> Float[Array, " taps"]:
    return jnp.asarray(taps, x.dtype) / sum(taps)


def _convolve(
    x: Picture,
    side: Float[Array, " taps"],
    margin: int,
    strides: tuple[int, int],
    dilation: tuple[int, int],
) -> Resampled:
    channels = x.shape[-1]
    kernel = jnp.outer(side, side)[:, :, None, None]
    return jax.lax.conv_general_dilated(
        x,
        jnp.broadcast_to(kernel, (*kernel.shape[:3], channels)),
        window_strides=strides,
        padding=[(margin, margin)] * 2,
        lhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=channels,
    )
