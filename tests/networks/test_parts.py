"""The networks' parts against what is known about them by other means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from diffusion_jax.networks.attention import Attention
from diffusion_jax.networks.dit import DiTBlock
from diffusion_jax.networks.embeddings import grid_features, noise_features, sequence_features
from diffusion_jax.networks.patches import from_patches, to_patches
from diffusion_jax.networks.score_network import build
from diffusion_jax.networks.unet import group_norm
from tests.networks.random_parameters import quick_jit, random_parameters


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)


def count(network, shape, **condition):
    inputs = jnp.zeros((1, *shape)), jnp.zeros(1), condition
    variables = jax.eval_shape(network.init, jax.random.key(0), *inputs)
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


def test_attention_is_softmax_of_scaled_products():
    x, context = normal(0, 2, 5, 6), normal(1, 2, 4, 3)
    mask = jnp.array([[True, True, False, True], [False, True, False, False]])
    attention = Attention(heads=2)
    variables = random_parameters(attention, x, context, mask)
    result = quick_jit(attention.apply)(variables, x, context, mask)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    heads = []
    for columns in (slice(0, 3), slice(3, 6)):
        q = x @ p["query"]["kernel"][:, columns] + p["query"]["bias"][columns]
        k = context @ p["key"]["kernel"][:, columns]
        v = context @ p["value"]["kernel"][:, columns] + p["value"]["bias"][columns]
        scores = np.einsum("bqd,bkd->bqk", q, k) / np.sqrt(3)
        weights = scipy.special.softmax(np.where(mask[:, None], scores, -np.inf), axis=-1)
        heads.append(weights @ v)
    expected = np.concatenate(heads, -1) @ p["out"]["kernel"] + p["out"]["bias"]
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_transformer_block_does_not_know_the_order_of_its_tokens():
    h, embedding, words = normal(0, 2, 6, 8), normal(1, 2, 8), normal(2, 2, 3, 8)
    mask = jnp.array([[True, True, False], [True, False, False]])
    block = DiTBlock(heads=2, dropout=0.0, dtype="float32")
    inputs = None, embedding, words, mask
    variables = random_parameters(block, h, *inputs, True)
    apply = quick_jit(lambda h: block.apply(variables, h, *inputs, True))
    order = jnp.array([4, 2, 0, 5, 1, 3])
    result, permuted = apply(h), apply(h[:, order])
    assert jnp.abs(result - h).max() > 0.1
    np.testing.assert_allclose(permuted, result[:, order], atol=1e-5)


def test_patches_hold_their_squares_and_come_back():
    x = jnp.arange(2 * 4 * 6 * 3.0).reshape(2, 4, 6, 3)
    cells = to_patches(x, 2)
    np.testing.assert_array_equal(cells[1, 1, 2], x[1, 2:4, 4:6].ravel())
    np.testing.assert_array_equal(from_patches(cells, 2), x)


@pytest.mark.parametrize("width", [8, 64])
def test_noise_features_tell_every_two_labels_apart(width):
    labels = jnp.linspace(-2.5, 2.5, 251)
    features = noise_features(labels, width)
    np.testing.assert_allclose(jnp.sum(features**2, axis=1), width / 2, rtol=1e-5)
    distances = jnp.linalg.norm(features[:, None] - features[None], axis=-1)
    apart = ~np.eye(251, dtype=bool)
    # A step of 0.02, the smallest here, is at least what the highest frequency alone makes of it.
    assert distances[apart].min() >= 0.99 * 2 * np.sin(16 * 0.02 / 2)
    # Neighbours stay neighbours: no feature turns by more than a radian in a step of 1/16.
    assert jnp.diagonal(distances, offset=1).max() <= 0.02 * 16 * np.sqrt(width / 2)


def test_positions_are_vaswanis_and_transpose_with_the_grid():
    place, i, features = 7, 3, 32
    expected = np.sin(place / 10_000 ** (2 * i / features))
    assert sequence_features(9, features)[place, i] == pytest.approx(expected, abs=1e-6)
    grid, turned = grid_features(3, 5, 16), grid_features(5, 3, 16)
    np.testing.assert_array_equal(grid[..., :8], turned.transpose(1, 0, 2)[..., 8:])
    assert len(np.unique(np.round(grid.reshape(15, 16), 4), axis=0)) == 15


@pytest.mark.parametrize(("channels", "groups"), [(4, 1), (12, 2), (16, 4), (32, 8), (96, 8)])
def test_group_norm_groups(channels, groups):
    assert group_norm(channels, "float32").num_groups == groups


def test_dit_s2_has_the_published_number_of_parameters():
    """Peebles & Xie 2022, table 1: DiT-S has 33M, on 32x32x4 latents.

    Theirs counts 1001 class embeddings, a bias on the keys, and twice the output channels.
    """
    ours = count(build("dit(patch=2, width=384, depth=12, heads=6)"), (32, 32, 4))
    theirs = ours + 1001 * 384 + 12 * 384 + 384 * 16 + 16
    assert round(theirs / 1e6) == 33


def test_unet_parameters_by_hand():
    """One level of c channels, embedding e = 4c: what each part needs, summed."""
    c, e, pixels = 8, 32, 3
    embedding = 2 * (e * e + e)
    norm, conv = 2 * c, 9 * c * c + c
    block = norm + (e * 2 * c + 2 * c) + 2 * conv
    attention = 2 * c + 4 * c * c + 3 * c
    up = block + 2 * c + 9 * c * c + (2 * c * c + c)  # twice the channels come in, and a skip
    stem, out = 9 * pixels * c + c, norm + 9 * c * pixels + pixels
    total = embedding + stem + 2 * (block + attention) + (up + attention) + out
    network = build("unet(channels=(8,), blocks=1, attention=(0,))")
    assert count(network, (4, 4, pixels)) == total
