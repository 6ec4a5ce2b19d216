"""diffusers' U-Nets: settings that change no number, attention left out, and what is refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks import initialise
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners import Context
from tests.networks.random_parameters import quick_jit, random_parameters

BLOCKS = "block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, attention_head_dim=2"
SPECS = {
    "unet2d": f"{BLOCKS}, down_block_types=('DownBlock2D', 'AttnDownBlock2D'), "
    "up_block_types=('AttnUpBlock2D', 'UpBlock2D')",
    "unet2d_condition": f"{BLOCKS}, down_block_types=('CrossAttnDownBlock2D', 'DownBlock2D'), "
    "up_block_types=('UpBlock2D', 'CrossAttnUpBlock2D'), cross_attention_dim=3",
}
X = jax.random.normal(jax.random.key(0), (2, 4, 8, 3))
LABEL = jnp.array([3.0, 700.0])


def words(pooled=0, numbers=None):
    drawn = [
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate([(2, 5, 3), (2, pooled)])
    ]
    mask = jnp.array([[True] * 5, [True, True, False, False, False]])
    return Context(drawn[0], mask, drawn[1], None, numbers)


def make(name, more=""):
    return networks.make(f"{name}({SPECS[name]}{more and ', '}{more})")


@functools.cache
def params(name, more=""):
    context = words() if name == "unet2d_condition" else None
    return random_parameters(make(name, more), X, LABEL, context), context


def run(name, settings, x=X):
    variables, context = params(name)
    return quick_jit(make(name, settings).apply)(variables, x, LABEL, context)


@pytest.mark.parametrize("name", SPECS)
def test_blocks_that_are_computed_again_have_the_same_gradient(name):
    variables, context = params(name)
    found = []
    for remat in (False, True):
        network = make(name, f"remat={remat}")

        def loss(variables, network=network):
            return (network.apply(variables, X, LABEL, context) ** 2).mean()

        program = jax.value_and_grad(loss)
        assert ("remat" in str(jax.make_jaxpr(program)(variables))) == remat
        found.append(quick_jit(program)(variables))
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-4), found[0], found[1]
    )


@pytest.mark.parametrize(("name", "count"), [("unet2d", 4), ("unet2d_condition", 4)])
def test_each_self_attention_can_be_left_out_by_its_number(name, count):
    assert make(name).self_attentions == count
    whole = run(name, "")
    first, last = (run(name, f"perturbed=({number},)") for number in (0, count - 1))
    assert min(np.abs(each - whole).max() for each in (first, last)) > 1e-4
    assert np.abs(first - last).max() > 1e-4
    np.testing.assert_allclose(run(name, f"perturbed=({count},)"), whole, atol=1e-5)


@pytest.mark.parametrize("name", SPECS)
def test_convolutions_by_fewer_multiplications_give_the_same(name):
    spec = f"{name}({SPECS[name].replace('(4, 8)', '(16, 16)')}, convolution='{{}}')"
    direct, winograd = (networks.make(spec.format(how)) for how in ("direct", "winograd"))
    context = words() if name == "unet2d_condition" else None
    variables = random_parameters(direct, X, LABEL, context)
    assert "platform_index" in str(jax.make_jaxpr(winograd.apply)(variables, X, LABEL, context))
    expected = quick_jit(direct.apply)(variables, X, LABEL, context)
    found = quick_jit(winograd.apply)(variables, X, LABEL, context)
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(jnp.abs(expected).max()))


def test_a_condition_of_words_takes_pictures_of_any_size():
    assert run("unet2d_condition", "", X[:, :3, :7]).shape == (2, 3, 7, 3)


def test_frequencies_that_are_drawn_get_no_gradient():
    network = make("unet2d", "time_embedding_type='fourier'")
    variables = random_parameters(network, X, LABEL)

    def loss(variables):
        return (network.apply(variables, X, LABEL) ** 2).mean()

    gradient = quick_jit(jax.grad(loss))(variables)["params"]
    assert not gradient["time_proj"]["weight"].any()
    assert gradient["time_embedding"]["linear_1"]["kernel"].any()


SDXL = (
    "addition_embed_type='text_time', addition_time_embed_dim=2, "
    "projection_class_embeddings_input_dim=10"
)


@pytest.mark.parametrize(
    ("name", "more", "context", "part"),
    [
        ("unet2d", "", words(2), "has no place for one: set num_class_embeds"),
        ("unet2d", "num_class_embeds=3", None, "wants a class, and is given no condition"),
        ("unet2d", "num_class_embeds=3", words(2), "a vector of 3 numbers, and the condition's"),
        ("unet2d", "class_embed_type='timestep'", words(2), "wants 1 numbers in the condition"),
        ("unet2d_condition", "", None, "given no text, and wants 3 features a word"),
        ("unet2d_condition", "encoder_hid_dim=4", words(), "text of 3 features a word"),
        ("unet2d_condition", SDXL, words(2), "wants 4 numbers in the condition, and is given 0"),
        ("unet2d_condition", SDXL, words(3, jnp.ones((2, 6))), "are 15 features, and projection"),
    ],
)
def test_conditions_that_do_not_fit(name, more, context, part):
    with pytest.raises(UserError) as refusal:
        jax.eval_shape(make(name, more).init, jax.random.key(0), X, LABEL, context)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_pictures_that_cannot_be_halved_as_often_are_refused():
    with pytest.raises(UserError, match="cannot take 4x7 pictures"):
        jax.eval_shape(make("unet2d").init, jax.random.key(0), X[:, :, :7], LABEL)


@pytest.mark.parametrize(
    ("name", "more", "part"),
    [
        ("unet2d", "act_fn='sil'", "Did you mean 'silu'"),
        ("unet2d", "norm_num_groups=None", "is for levels that skip"),
        ("unet2d", "downsample_padding=2", "must be 0 or 1, got 2"),
        ("unet2d", "time_embedding_type='fourir'", "Did you mean 'fourier'"),
        ("unet2d", "time_embedding_type='learned'", "num_train_timesteps must be a positive"),
        ("unet2d", "outputs=2, out_channels=6", "leave one out"),
        ("unet2d", "num_class_embeds=3, class_embed_type='identity'", "leave one out"),
        ("unet2d", "class_embed_type='projection'", "Known: identity, timestep"),
        ("unet2d_condition", "layers_per_block=(1, 2, 3)", "one for each of 2, got 3"),
        ("unet2d_condition", "mid_block_type='UNetMidBlock'", "Did you mean"),
        ("unet2d_condition", "transformer_layers_per_block=((1,), 1)", "reverse_transformer"),
        ("unet2d_condition", "addition_embed_type='text_time'", "addition_time_embed_dim must"),
        ("unet2d_condition", "resnet_time_scale_shift='ada'", "Known: default, scale_shift"),
        ("unet2d_condition", "attention_implementation='cudnn'", "set training.dtype=bfloat16"),
    ],
)
def test_settings_that_cannot_work(name, more, part):
    chosen = more.partition("=")[0]
    kept = ", ".join(each for each in SPECS[name].split(", ") if not each.startswith(chosen))
    with pytest.raises(UserError) as refusal:
        networks.make(f"{name}({kept}, {more})")
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("unet2d(block_out_channels=(32, 64))", "as many levels as block_out_channels has, 2"),
        ("unet2d(down_block_types=('CrossAttnDownBlock2D',) )", "of down_block_types of a unet2d"),
        ("unet2d_condition(up_block_types=('SkipUpBlock2D',))", "of up_block_types of a"),
    ],
)
def test_levels_that_cannot_work(spec, part):
    with pytest.raises(UserError) as refusal:
        networks.make(spec)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ("unet2d_condition(cross_attention_dim=768)", 859_520_964),  # Stable Diffusion 1
        (
            "unet2d_condition(cross_attention_dim=2048, block_out_channels=(320, 640, 1280), "
            "down_block_types=('DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'), "
            "up_block_types=('CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'), "
            "attention_head_dim=(5, 10, 20), transformer_layers_per_block=(1, 2, 10), "
            "use_linear_projection=True, addition_embed_type='text_time', "
            "addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816)",
            2_567_463_684,  # SDXL
        ),
    ],
)
def test_released_sizes_have_as_many_parameters_as_the_originals(spec, count):
    network = networks.make(spec)
    shapes = initialise.shapes(network, *network.example({"in_channels": 4}))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count
