"""What every autoencoder keeps to, and the settings that cannot work."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.autoencoders import autoencoders, draw
from diffusion_jax.networks.initialise import init
from diffusion_jax.registry import parse
from tests.networks.random_parameters import quick_jit, random_parameters

KL = (
    "autoencoder_kl(block_out_channels=(4, 8), norm_num_groups=2, "
    "down_block_types=('DownEncoderBlock2D', 'DownEncoderBlock2D'), "
    "up_block_types=('UpDecoderBlock2D', 'UpDecoderBlock2D'), {})"
)
DC = (
    "autoencoder_dc(latent_channels=4, attention_head_dim=4, encoder_block_out_channels=({0}), "
    "decoder_block_out_channels=({0}), encoder_layers_per_block=({1}), "
    "decoder_layers_per_block=({1}), encoder_qkv_multiscales=({2}), decoder_qkv_multiscales=({2}), "
    "encoder_block_types='EfficientViTBlock', {3})"
)
SMALL = {
    "autoencoder_kl": KL.format("latent_channels=3, shift_factor=0.3"),
    "autoencoder_kl_statistics": KL.format(
        "latent_channels=2, latents_mean=(0.5, -1.0), latents_std=(2.0, 3.0), "
        "use_quant_conv=False, use_post_quant_conv=False"
    ),
    "autoencoder_tiny": "autoencoder_tiny(encoder_block_out_channels=(4, 4), "
    "num_encoder_blocks=(1, 1), decoder_block_out_channels=(6, 6), num_decoder_blocks=(1, 1), "
    "scaling_factor=0.5, shift_factor=0.1)",
    "autoencoder_kl_flux2": KL.replace("kl(", "kl_flux2(").format(
        "latent_channels=2, layers_per_block=1, decoder_block_out_channels=(6, 4)"
    ),
    "autoencoder_dc": DC.format("8, 16", "2, 1", "(), (3,)", "downsample_block_type='conv'"),
    "autoencoder_dc_shuffled": DC.format(
        "8, 8, 16", "0, 1, 1", "(), (), (3, 5)", "decoder_norm_types='batch_norm'"
    ),
}
# The same vector added to every key changes no softmax, and statistics are counted, not learned.
WITHOUT_GRADIENT = ("['to_k']['bias']", "['running_mean']", "['running_var']")
EVERY = pytest.mark.parametrize("name", sorted(SMALL))


@functools.cache
def small(name):
    """A small autoencoder, parameters of which none is zero, and pictures."""
    autoencoder = autoencoders.make(SMALL[name])
    side = 2 * autoencoder.factor
    x = jax.random.uniform(jax.random.key(0), (2, side, 2 * side, 3), minval=-1.0)
    return autoencoder, random_parameters(autoencoder, x), x


def call(name, method, *given):
    autoencoder, params, _ = small(name)
    return quick_jit(functools.partial(autoencoder.apply, method=method))(params, *given)


def test_every_autoencoder_is_tested():
    assert {parse(spec).name for spec in SMALL.values()} == set(autoencoders)


@EVERY
def test_latents_are_as_many_as_it_says_and_lead_back(name):
    autoencoder, _, x = small(name)
    mean, log_variance = call(name, "encode", x)
    assert mean.shape == log_variance.shape and mean.dtype == jnp.float32
    latents = call(name, "normalise", mean)
    cells = [side // autoencoder.factor for side in x.shape[1:3]]
    assert latents.shape == (len(x), *cells, autoencoder.channels)
    np.testing.assert_allclose(call(name, "denormalise", latents), mean, atol=1e-5)
    again = call(name, "reconstruct", latents)
    assert again.shape == x.shape and again.dtype == jnp.float32
    np.testing.assert_allclose(again, call(name, "decode", mean), atol=1e-4)
    np.testing.assert_allclose(call(name, None, x), again, atol=1e-4)
    drawn = draw(mean, log_variance, jax.random.key(0))
    deviations = np.asarray((drawn - mean) / jnp.exp(log_variance / 2))
    certain = bool(jnp.isneginf(log_variance).all())
    assert np.array_equal(drawn, mean) if certain else 0.5 < deviations.std() < 1.5


@EVERY
def test_pictures_of_a_batch_do_not_see_each_other_and_each_counts(name):
    _, _, x = small(name)
    both = np.asarray(call(name, None, x))
    other = np.asarray(call(name, None, x.at[1].set(0.1)))
    np.testing.assert_allclose(other[0], both[0], atol=1e-4)
    assert np.abs(other[1] - both[1]).max() > 1e-3


@EVERY
def test_fresh_parameters_are_finite_and_a_gradient_reaches_each(name):
    autoencoder, _, x = small(name)
    params = init(autoencoder, jax.random.key(0), x)

    def loss(params):
        return ((autoencoder.apply({"params": params}, x) - x) ** 2).mean()

    value, gradient = quick_jit(jax.value_and_grad(loss))(params)
    assert 0 < value < 100
    sizes = jax.tree_util.tree_leaves_with_path(jax.tree.map(lambda g: jnp.abs(g).max(), gradient))
    without = [jax.tree_util.keystr(path) for path, size in sizes if not size > 0]
    assert [path for path in without if not path.endswith(WITHOUT_GRADIENT)] == []


@EVERY
def test_pictures_that_cannot_be_cut_into_cells_are_refused(name):
    autoencoder, params, _ = small(name)
    sides = 2 * autoencoder.factor, 2 * autoencoder.factor + 1
    x = jnp.zeros((1, *sides, 3))
    with pytest.raises(UserError, match=f"cannot take {sides[0]}x{sides[1]} pictures.* multiples"):
        jax.eval_shape(functools.partial(autoencoder.apply, method="encode"), params, x)


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ("latent_channels=0", "latent_channels must be a positive"),
        ("latents_mean=(0.0, 1.0)", "a number for each of 4 channels of latents, not 2"),
        ("latents_mean=(0, 0, 0, 0)", "latents_mean and latents_std together"),
        ("act_fn='sil'", "Did you mean 'silu'"),
        ("scaling_factor=0.0", "scaling_factor must be positive"),
        ("convolution='fast'", "Known: direct, winograd"),
    ],
)
def test_settings_that_cannot_work(settings, part):
    with pytest.raises(UserError) as refusal:
        autoencoders.make(KL.format(settings))
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("autoencoder_kl(block_out_channels=(32, 64))", "as many levels as block_out_channels"),
        ("autoencoder_kl(block_out_channels=(6,), norm_num_groups=4)", "a multiple of 4"),
        ("autoencoder_kl(down_block_types=('UpDecoderBlock2D',))", "of down_block_types"),
    ],
)
def test_levels_that_cannot_work(spec, part):
    with pytest.raises(UserError) as refusal:
        autoencoders.make(spec)
    assert part in str(refusal.value)
