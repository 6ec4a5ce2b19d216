"""Settings and pictures that cannot work are refused in one clear line."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks, networks
from diffusion_jax.networks.conditioners import ClassLabel, conditioners
from diffusion_jax.networks.score_network import build


@pytest.mark.parametrize(
    ("spec", "shape", "parts"),
    [
        ("unet(channels=(8, 8, 8), patch=2)", (1, 30, 30, 3), ["30x30", "of 8", "32x32 would"]),
        ("unet(channels=(8, 8))", (1, 3, 16, 3), ["3x16", "of 2", "4x16 would fit"]),
        ("dit(patch=4)", (1, 28, 30, 3), ["28x30", "of 4", "28x32 would fit"]),
    ],
)
def test_data_that_does_not_fit(spec, shape, parts):
    network = build(spec)
    with pytest.raises(UserError) as refusal:
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros(shape), jnp.zeros(1), {})
    assert all(part in str(refusal.value) for part in parts)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("unett", "Did you mean 'unet'"),
        ("mlp(depth=1000000)", "1,000,000 layers are too many"),
        ("dit(depth=1001)", "1,001 layers are too many"),
        ("unet(blocks=5000)", "20,000 layers are too many"),
        ("mlp(width=9000000)", "parameters are too many"),
        ("dit(width=400000)", "parameters are too many"),
        ("unet(channels=(8, 9000000))", "parameters are too many"),
        ("mlp(width=99999999)", "must be at most 10,000,000"),
        ("unet(chanels=(8,))", "Did you mean 'channels'"),
        ("unet(channels=(8, 0))", "positive integer"),
        ("unet(blocks=0)", "positive integer"),
        ("unet(attention=(2,))", "from 0 (finest) to 1"),
        ("unet(dropout=1.0)", "[0, 1)"),
        ("dit(width=30)", "multiple of 4"),
        ("dit(width=32, heads=3)", "number of heads"),
        ("dit(text='crossed')", "Did you mean 'cross'"),
        ("mlp(width=7)", "multiple of 2"),
    ],
)
def test_network_settings(spec, part):
    with pytest.raises(UserError) as refusal:
        build(spec)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("transfomer", "Did you mean 'transformer'"),
        ("transformer(width=9, heads=3)", "multiple of 2"),
        ("transformer(width=8, heads=3)", "number of heads"),
        ("label(width=0)", "positive integer"),
    ],
)
def test_encoder_settings(text, part):
    with pytest.raises(UserError) as refusal:
        build("mlp", text, vocabulary_size=5, num_classes=3)
    assert part in str(refusal.value)


def test_computation_dtype():
    with pytest.raises(UserError, match="Did you mean 'float32'"):
        build("mlp", dtype="float3")


@pytest.mark.parametrize(
    ("refuse", "part"),
    [
        (lambda: checks.channel_tuple("unet", 8), "such as (32, 64), got 8"),
        (lambda: checks.positive_integers("unet", blocks=1.5), "blocks must be a positive"),
        (lambda: checks.levels("unet", 1, 2), "such as (1,), got 1"),
        (lambda: checks.fraction("unet", dropout="a lot"), "got 'a lot'"),
        (lambda: checks.picture_fits("dit", (1, 7), 2, "its patch"), "for vectors use 'mlp'"),
        (lambda: checks.vector_fits("mlp", (1, 8, 8, 3)), "for pictures use 'unet' or 'dit'"),
    ],
)
def test_values_of_another_type(refuse, part):
    """The shape checks of the tests stop these earlier; here are the users' messages."""
    with pytest.raises(UserError) as refusal:
        refuse()
    assert part in str(refusal.value)


def test_members_without_a_field_that_is_asked_for_are_refused():
    """They would else be made without it: a network in float32 where bfloat16 was asked for."""

    class Plain(nn.Module):
        width: int = 4

    class Silent(ClassLabel):
        pass

    known = dict(networks._members), dict(conditioners._members)
    try:
        networks.register("plain")(Plain)
        conditioners.register("silent")(lambda width=4: Silent(width=width))
        for settings, field in (({"dtype": "bfloat16"}, "dtype"), ({"variance": "log"}, "outputs")):
            with pytest.raises(UserError, match=f"network 'plain' has no field '{field}'"):
                build("plain(width=8)", **settings)
        with pytest.raises(UserError, match="conditioner 'silent' has no field 'dtype'"):
            build("mlp", "silent", dtype="bfloat16")
    finally:
        networks._members, conditioners._members = known


def test_a_conditioner_computes_in_the_dtype_of_the_network():
    network = build("mlp", "several(parts=(label,transformer))", 5, num_classes=3, dtype="bfloat16")
    assert {part.dtype for part in (network.encoder, *network.encoder.parts)} == {"bfloat16"}
