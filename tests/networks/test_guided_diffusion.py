"""What guided diffusion's networks take besides a picture and a timestep, and what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.guided_diffusion.classifier import POOLS, GuidedClassifier
from diffusion_jax.networks.score_network import build
from tests.networks.random_parameters import quick_jit, random_parameters

TINY = "model_channels=32, channel_mult=(1,), num_res_blocks=1, attention_resolutions=()"
X, T = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)), jnp.array([0.0, 999.0])


def test_super_resolution_sees_the_smaller_picture_once() -> None:
    network = build(
        f"guided_unet({TINY}, super_resolution=True)", "image(width=4)", variance="learned"
    )
    low = {"condition_image": jax.random.normal(jax.random.key(1), (2, 4, 4, 3))}
    params = random_parameters(network, X, T, low)
    # The picture and the smaller one come in, a prediction and a variance of the picture go out.
    backbone = params["params"]["backbone"]
    assert backbone["input_blocks.0.0"]["kernel"].shape == (3, 3, 6, 32)
    run = quick_jit(lambda low: network.apply(params, X, T, low))
    assert run(low).shape == (2, 8, 8, 6)
    assert not np.allclose(run(low), run({"condition_image": low["condition_image"] + 1}))


def test_super_resolution_without_a_smaller_picture_is_refused() -> None:
    network = build(f"guided_unet({TINY}, super_resolution=True)")
    with pytest.raises(UserError, match="super_resolution needs a picture of 3 channels"):
        jax.eval_shape(network.init, jax.random.key(0), X, T, {})


@pytest.mark.parametrize("pool", POOLS)
def test_the_classifier_starts_unsure_and_tells_noise_levels_apart(pool: str) -> None:
    network = GuidedClassifier(
        5, model_channels=64, channel_mult=(1, 1), num_res_blocks=1, num_head_channels=16, pool=pool
    )
    first = quick_jit(network.init)(jax.random.key(0), X, T)
    logits = quick_jit(network.apply)(first, X, T)
    assert logits.shape == (2, 5)
    if pool == "adaptive":
        assert (logits == 0).all()  # so does the original
    params = random_parameters(network, X, T)
    run = quick_jit(lambda t: network.apply(params, X, t))
    assert not np.allclose(run(T), run(T[::-1]))


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("guided_unet(model_channels=48)", "multiple of 32"),
        ("guided_unet(model_channels=32, num_head_channels=64, channel_mult=(1,))", "of 64"),
        ("guided_unet(channel_mult=())", "a positive number for each level"),
        ("song_unet(img_resolution=10)", "img_resolution=10 must be a multiple of 8"),
        ("song_unet(encoder_type=skipp)", "Did you mean 'skip'"),
        ("dhariwal_unet(resample_filter=(1.0, 1.0))", "no setting 'resample_filter'"),
        ("edm2_unet(resample_filter=(1.0,))", "even number of taps"),
        ("song_unet(label_dim=-1)", "0 or more"),
    ],
)
def test_settings_that_cannot_work_are_refused(spec: str, part: str) -> None:
    with pytest.raises(UserError) as refusal:
        build(spec)
    assert part in str(refusal.value)


def test_a_condition_of_another_width_is_refused() -> None:
    spec = "song_unet(label_dim=10, model_channels=8, channel_mult=(1,), num_blocks=1)"
    network = build(spec, "label(width=8)", num_classes=3)
    with pytest.raises(UserError, match="label_dim=10, and the condition is 8 numbers"):
        jax.eval_shape(network.init, jax.random.key(0), X, T, {"label": jnp.zeros(2, int)})
