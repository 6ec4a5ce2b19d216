"""The fast convolution is the convolution: against numpy's sums, and with its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.networks.convolution import convolve, direct, winograd
from diffusion_jax.networks.score_network import build


def by_hand(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Every output as a sum over its nine neighbours."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    found = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            part = padded[:, row : row + 3, column : column + 3]
            found[:, row, column] = np.einsum("bijc,ijck->bk", part, kernel)
    return found


@pytest.mark.parametrize("shape", [(2, 4, 6, 16, 20), (1, 2, 2, 16, 16), (3, 8, 4, 17, 16)])
def test_both_ways_are_the_sum_over_neighbours(shape: tuple[int, ...]) -> None:
    batch, height, width, inputs, outputs = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, height, width, inputs))
    kernel = rng.normal(size=(3, 3, inputs, outputs))
    wanted = by_hand(x, kernel)
    with jax.enable_x64(True):
        for way in map(jax.jit, (winograd, direct, convolve)):
            np.testing.assert_allclose(way(jnp.asarray(x), jnp.asarray(kernel)), wanted, atol=1e-11)
    single = [jnp.asarray(each, jnp.float32) for each in (x, kernel)]
    np.testing.assert_allclose(jax.jit(winograd)(*single), wanted, atol=2e-5 * np.abs(wanted).max())


def test_derivatives_and_maps_pass_through() -> None:
    x, kernel = (
        jax.random.normal(jax.random.key(i), s)
        for i, s in enumerate([(2, 4, 4, 16), (3, 3, 16, 16)])
    )
    for way in (winograd, convolve):
        slopes = [
            jax.jit(jax.grad(lambda x, w, f=f: jnp.sin(f(x, w)).sum(), (0, 1)))(x, kernel)
            for f in (way, direct)
        ]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), *slopes)
        mapped = jax.vmap(way, in_axes=(0, None))(x[:, None], kernel)[:, 0]
        np.testing.assert_allclose(mapped, direct(x, kernel), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 5, 4, 16), (1, 4, 4, 3)])
def test_odd_sides_and_few_channels_go_the_plain_way(shape: tuple[int, ...]) -> None:
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = jax.random.normal(jax.random.key(1), (3, 3, shape[-1], 16))
    np.testing.assert_array_equal(convolve(x, kernel), direct(x, kernel))


def test_a_network_predicts_what_it_was_trained_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampling computes convolutions in another way than training does; the result is one."""
    network = build("unet(channels=(16, 32), blocks=1, head_width=8)")
    x, label = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)), jnp.array([0.1, -1.0])
    params, rng = jax.jit(network.init)(jax.random.key(1), x, label, {}), np.random.default_rng(2)
    # Away from the start, at which the last convolutions are zero.
    moves = jax.tree.map(lambda p: 0.1 * rng.normal(size=p.shape).astype(np.float32), params)
    params = jax.tree.map(lambda p, by: jnp.asarray(np.asarray(p) + by), params, moves)
    fast, plain = (
        np.asarray(jax.jit(each.apply)(params, x, label, {}))
        for each in (network.for_sampling(), network)
    )
    assert np.abs(fast).max() > 0.1
    np.testing.assert_allclose(fast, plain, atol=2e-4 * np.abs(plain).max())
    assert not np.array_equal(fast, plain) or jax.default_backend() != "cpu"
