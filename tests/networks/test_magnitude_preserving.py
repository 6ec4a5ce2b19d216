"""Magnitude-preserving parts keep a root mean square of 1, and behave at zero."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks import magnitude_preserving as mp
from diffusion_jax.networks.resample import resample


def unit(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


A, B = unit(0, 8, 16, 16, 32), unit(1, 8, 16, 16, 8)


def rms(x: jax.Array) -> float:
    return float(jnp.sqrt(jnp.mean(x**2)))


@pytest.mark.parametrize(
    "result",
    [
        lambda: mp.normalize(7 * A),
        lambda: mp.normalize(0.3 * A, axis=-1),
        lambda: mp.mp_silu(A),
        lambda: mp.mp_sum(A[..., :8], B, t=0.3),
        lambda: mp.mp_cat(A, B, t=0.3),
        lambda: mp.MPFourier(64).init_with_output(jax.random.key(3), unit(2, 512))[0],
        lambda: mp.mp_conv(A, 5 * unit(4, 3, 3, 32, 64))[:, 1:-1, 1:-1],
        lambda: mp.mp_conv(unit(6, 512, 32), 0.1 * unit(5, 32, 64)),
    ],
)
def test_the_magnitude_stays_one(result: Callable[[], jax.Array]) -> None:
    assert rms(result()) == pytest.approx(1, abs=0.03)


def test_both_inputs_of_a_concatenation_weigh_their_share() -> None:
    both = mp.mp_cat(A, B, t=0.3)
    parts = [float(jnp.sum(part**2)) for part in (both[..., :32], both[..., 32:])]
    assert np.sqrt(parts[1] / parts[0]) == pytest.approx(0.3 / 0.7, rel=0.02)


@pytest.mark.parametrize("taps", [(1.0, 1.0), (1.0, 3.0, 3.0, 1.0)])
@pytest.mark.parametrize("mode", ["keep", "down", "up"])
def test_resampling_keeps_a_ramp(mode: str, taps: tuple[float, ...]) -> None:
    ramp = jnp.broadcast_to(jnp.arange(16.0)[None, :, None, None], (1, 16, 16, 2))
    found = resample(ramp, mode, taps)
    size = {"keep": 16, "down": 8, "up": 32}[mode]
    assert found.shape == (1, size, size, 2)
    # Pixels are where their centres are; two taps repeat pixels upwards, four interpolate.
    centres = (np.arange(size) + 0.5) * 16 / size - 0.5
    atol = 0.26 if (mode, len(taps)) == ("up", 2) else 1e-5
    middle = slice(2, -2)
    expected = np.broadcast_to(centres[middle, None, None], (size - 4, size - 4, 2))
    np.testing.assert_allclose(found[0, middle, middle], expected, atol=atol)


def test_upwards_is_the_transpose_of_downwards_times_four() -> None:
    taps = (1.0, 2.0, 5.0, 3.0)
    x, y = unit(7, 1, 8, 8, 2), unit(8, 1, 16, 16, 2)
    up = jnp.sum(resample(x, "up", taps) * y)
    down = jnp.sum(x * resample(y, "down", taps))
    assert float(up) == pytest.approx(4 * float(down), rel=1e-4)


def test_zeros_stay_zero_and_have_a_finite_gradient() -> None:
    gradient = jax.grad(lambda x: jnp.sum(mp.normalize(x)))(jnp.zeros((2, 3)))
    assert (mp.normalize(jnp.zeros((2, 3))) == 0).all() and jnp.isfinite(gradient).all()


def test_forcing_touches_filters_alone_and_leaves_the_layer_as_it_is() -> None:
    layer = mp.MPConv(features=8, sides=(3, 3))
    params = layer.init(jax.random.key(0), A)["params"] | {"gain": jnp.float32(3.0)}
    params["kernel"] = 7 * params["kernel"]
    after = mp.forced(params)
    assert after["gain"] == 3.0
    np.testing.assert_allclose(jnp.mean(after["kernel"] ** 2, axis=(0, 1, 2)), 1, rtol=1e-3)
    outputs = [layer.apply({"params": {"kernel": p["kernel"]}}, A) for p in (params, after)]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-3, atol=1e-3)


def test_the_gradient_is_perpendicular_to_each_filter() -> None:
    filters = mp.normalized(unit(9, 3, 3, 4, 5))
    loss = lambda w: jnp.sum(jnp.sin(mp.mp_conv(A[:1, ..., :4], w)))  # noqa: E731
    gradient = jax.grad(loss)(filters)
    along = jnp.sum(gradient * filters, axis=(0, 1, 2))
    across = jnp.sqrt(jnp.sum(gradient**2, axis=(0, 1, 2)) * jnp.sum(filters**2, axis=(0, 1, 2)))
    assert float(jnp.max(jnp.abs(along / across))) < 1e-3


def test_parts_that_cannot_be_are_refused() -> None:
    with pytest.raises(UserError, match="Did you mean 'down'"):
        resample(A, "dwn")
    with pytest.raises(UserError, match="even number of taps"):
        resample(A, "up", (1.0, 2.0, 1.0))
    with pytest.raises(UserError, match="two odd sides or none"):
        mp.MPConv(features=2, sides=(2, 2)).init(jax.random.key(0), A)
