"""What every adapter keeps to, and what a low-rank term is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.adapters import LoRA, Tuning, adapters
from diffusion_jax.networks.adapters.base import flat
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build

NETWORK = build(
    "unet2d(block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, "
    "down_block_types=('DownBlock2D', 'AttnDownBlock2D'), "
    "up_block_types=('AttnUpBlock2D', 'UpBlock2D'), attention_head_dim=4)"
)
SPECS = {
    "lora": ("lora", "lora(rank=2, alpha=3, targets=('to_k', 'conv1'))"),
    "parts": ("parts(names='^mid_block')", "parts(names=('to_q', '^conv_in.bias'))"),
}
EVERY = pytest.mark.parametrize(
    "spec", [spec for name in adapters for spec in SPECS[name]], ids=lambda spec: spec[:24]
)


def params():
    found = initialise(NETWORK, jax.random.key(0), (8, 8, 3), {})
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: x + rng.normal(0, 0.1, x.shape).astype(x.dtype), found)


def output(whole):
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 3))
    return NETWORK.apply({"params": whole}, x, jnp.array([3.0, 700.0]), {})


def equal(one, two):
    return jax.tree.all(jax.tree.map(np.array_equal, one, two))


@EVERY
def test_before_any_update_the_network_is_as_it_was(spec):
    own = params()
    tuning = Tuning(adapters.make(spec), adapters.make(spec).split(own, jax.random.key(0))[0])
    trained = adapters.make(spec).split(own, jax.random.key(5))[1]
    whole = tuning.whole(trained)
    assert jax.tree.structure(whole) == jax.tree.structure(own) and equal(whole, own)
    # Bit for bit under jit as well, with what stays as an argument.
    compiled = jax.jit(lambda tuning, trained: output(tuning.whole(trained)))
    np.testing.assert_array_equal(compiled(tuning, trained), jax.jit(output)(own))


@EVERY
def test_all_that_is_trained_has_a_gradient_and_nothing_is_trained_twice(spec):
    adapter, own = adapters.make(spec), params()
    frozen, trained = adapter.split(own, jax.random.key(0))
    moved = jax.tree.map(lambda x: x + 0.01, trained)
    gradient = jax.grad(lambda t: (output(adapter.merged(frozen, t)) ** 2).sum())(moved)
    assert jax.tree.structure(gradient) == jax.tree.structure(trained)
    dead = [path for path, leaf in flat(gradient).items() if not np.any(leaf)]
    assert all(path[-2:] == ("to_k", "bias") for path in dead), dead  # which no softmax sees
    size = sum(leaf.size for leaf in jax.tree.leaves(trained))
    assert 0 < size < sum(leaf.size for leaf in jax.tree.leaves(own))
    assert not {*flat(frozen)} & {*flat(trained)}


@EVERY
def test_it_is_a_pytree_whose_shapes_are_known_without_numbers(spec):
    adapter, own = adapters.make(spec), params()
    assert jax.tree.unflatten(jax.tree.structure(adapter), jax.tree.leaves(adapter)) == adapter
    shapes = jax.eval_shape(lambda p: adapter.split(p, jax.random.key(0)), own)
    found = adapter.split(own, jax.random.key(0))
    assert jax.tree.map(np.shape, found) == jax.tree.map(lambda x: x.shape, shapes)


def test_a_term_of_a_convolution_is_two_convolutions_in_a_row():
    adapter = LoRA(rank=3, alpha=6.0, targets="conv1")
    rng = np.random.default_rng(0)
    own = {"conv1": {"kernel": jnp.asarray(rng.normal(size=(3, 3, 4, 5)), jnp.float32)}}
    frozen, trained = adapter.split(own, jax.random.key(0))
    trained = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), x.dtype), trained)
    x = jnp.asarray(rng.normal(size=(2, 8, 8, 4)), jnp.float32)

    def conv(x, kernel):
        names = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=names)

    terms = trained["conv1"]
    apart = conv(x, own["conv1"]["kernel"]) + 2.0 * conv(x, terms["down"]) @ terms["up"]
    whole = adapter.merged(frozen, trained)["conv1"]["kernel"]
    np.testing.assert_allclose(conv(x, whole), apart, rtol=1e-4, atol=1e-4)


def test_a_starts_within_one_over_the_root_of_the_fan_in_and_by_the_key():
    own = {"to_q": {"kernel": jnp.zeros((256, 300))}, "to_k": {"kernel": jnp.zeros((256, 300))}}
    first, again, other = (LoRA(rank=64).split(own, jax.random.key(seed))[1] for seed in (0, 0, 1))
    down = np.asarray(first["to_q"]["down"])
    assert 0.99 / 16 < np.abs(down).max() <= 1 / 16
    assert abs(down.std() - 1 / 16 / 3**0.5) < 1e-3 and not np.any(first["to_q"]["up"])
    assert equal(first, again) and not equal(first, other)
    assert not np.array_equal(down, first["to_k"]["down"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("lora(targets='to_x')", r"No module with a kernel .* fits 'to_x'"),
        ("lora(targets=('to_q', 'attn9.to_q'))", "fits 'attn9.to_q'"),
        ("parts(names='mid_blok')", "No parameter of the network has a name that fits 'mid_blok'"),
        ("parts(names=('^mid_block', '^down_blocks.7'))", "fits '.down_blocks.7'"),
        ("parts(names='(')", "is no regular expression"),
        ("parts(names=())", "must be a regular expression, or several"),
        ("parts", "needs the setting 'names'"),
        ("lora(rank=0)", "rank must be a positive integer"),
        ("lora(alpha=-1.0)", "alpha must be more than 0"),
        ("lora(targets='[')", "is no regular expression"),
    ],
)
def test_names_that_name_nothing_are_refused(spec, message):
    with pytest.raises(UserError, match=message):
        adapters.make(spec).split(params(), jax.random.key(0))


def test_a_network_without_attention_needs_targets():
    with pytest.raises(UserError, match="no attention whose maps a lora would be of"):
        LoRA().split({"dense": {"kernel": jnp.ones((2, 2))}}, jax.random.key(0))
