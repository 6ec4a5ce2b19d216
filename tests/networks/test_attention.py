"""Networks that go without self-attention, and the guidance that they are."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.inference.generate import Sampler, check_attention, generate
from diffusion_jax.networks.attention import Attention, attend
from diffusion_jax.networks.functions import as_network
from diffusion_jax.networks.score_network import ScoreNetwork, build
from diffusion_jax.process.predictions import predictions
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.grids import grids, make
from diffusion_jax.sampling.guidance import guidance
from diffusion_jax.sampling.solvers import solvers
from tests.networks.random_parameters import quick_jit, random_parameters

SHAPE = (4, 4, 1)
CONDITION = {"label": jnp.array([0, 2])}
NETWORKS = {
    "dit(patch=2, width=8, depth=2, heads=2)": 2,
    "unet(channels=(8, 8), blocks=1, attention=(1,))": 3,
    "song_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, img_resolution=4, "
    "attn_resolutions=(2,))": 3,
    "dhariwal_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, img_resolution=4, "
    "attn_resolutions=(2,), channels_per_head=8)": 4,
    "guided_unet(model_channels=32, channel_mult=(1, 1), num_res_blocks=1, "
    "attention_resolutions=(2,))": 4,
    "edm2_unet(model_channels=8, channel_mult=(1, 2), num_blocks=1, img_resolution=4, "
    "attn_resolutions=(2,), channels_per_head=8)": 4,
    "original_dit(hidden_size=8, depth=2, num_heads=2)": 2,
    "flux(num_attention_heads=1, attention_head_dim=6, num_layers=1, num_single_layers=1, "
    "axes_dims_rope=(2, 2, 2))": 2,
    "pixart(num_attention_heads=2, attention_head_dim=4, num_layers=2, sample_size=8, "
    "caption_channels=8)": 2,
}


def network_of(spec: str) -> ScoreNetwork:
    return build(spec, "label(width=8)", num_classes=3)


def test_a_map_replaced_by_the_identity_leaves_the_values_where_they_are() -> None:
    x = jax.random.normal(jax.random.key(0), (2, 5, 8))
    layer = Attention(heads=2)
    params = layer.init(jax.random.key(1), x, x)
    found = dataclasses.replace(layer, perturbed=True).apply(params, x, x)
    w = params["params"]
    values = x @ w["value"]["kernel"] + w["value"]["bias"]
    np.testing.assert_allclose(found, values @ w["out"]["kernel"] + w["out"]["bias"], atol=1e-5)
    assert np.abs(found - layer.apply(params, x, x)).max() > 0.01


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("cap", [None, 0.5])
def test_it_is_the_formula_in_the_precision_of_the_query(
    dtype: type, rtol: float, cap: float | None
) -> None:
    generator = np.random.default_rng(0)
    query, key, value, bias = (
        generator.normal(size=shape) for shape in [(2, 3, 2, 4), *[(2, 5, 2, 4)] * 2, (2, 2, 3, 5)]
    )
    mask = np.array([True, True, False, True, True])
    logits = 0.7 * np.einsum("bqhd,bkhd->bhqk", query, key)
    logits = (logits if cap is None else cap * np.tanh(logits / cap)) + bias
    weights = np.exp(np.where(mask, logits, -np.inf))
    expected = np.einsum("bhqk,bkhd->bqhd", weights / weights.sum(-1, keepdims=True), value)
    arrays = [jnp.asarray(array, dtype) for array in (query, key, value)]
    wide = jnp.asarray(mask)[None, None, None]
    found = attend(*arrays, wide, bias=jnp.asarray(bias, dtype), scale=0.7, cap=cap)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("spec", NETWORKS)
def test_only_within_and_only_the_layers_that_are_named(spec: str) -> None:
    network = network_of(spec)
    x, label = jax.random.normal(jax.random.key(0), (2, *SHAPE)), jnp.zeros(2)
    params = random_parameters(network, x, label, CONDITION)

    assert network.self_attentions == NETWORKS[spec]

    def run(*layers: int) -> np.ndarray:
        without = network.perturbed(layers)
        return np.asarray(quick_jit(lambda: without.apply(params, x, label, CONDITION))())

    def plain() -> np.ndarray:
        return np.asarray(quick_jit(lambda: network.apply(params, x, label, CONDITION))())

    whole = plain()
    apart = [np.abs(run(i) - whole).max() for i in range(NETWORKS[spec])]
    assert min(apart) > 1e-6
    np.testing.assert_array_equal(run(*range(NETWORKS[spec])), run())
    np.testing.assert_array_equal(plain(), whole)


def test_guidance_leads_away_from_the_network_without() -> None:
    network = network_of("dit(patch=2, width=8, depth=2, heads=2)")
    x = jnp.zeros((2, *SHAPE))
    params = random_parameters(network, x, jnp.zeros(2), CONDITION)["params"]
    nodes, prediction = (
        make(grids.make("karras"), schedules.make("cosine"), 1),
        predictions.make("x0"),
    )

    def drawn(spec: str) -> np.ndarray:
        sampler = Sampler(network, solvers.make("ddim"), guidance.make(spec), SHAPE)
        return generate(sampler, params, prediction, nodes, CONDITION, 2, 0, 2)[0]

    whole, far = drawn("none"), drawn("perturbed_attention(scale=3.0, layers=(1,))")
    np.testing.assert_allclose(
        drawn("perturbed_attention(scale=1.0, layers=(1,))"), whole, atol=1e-6
    )
    # One step of DDIM ends at the estimate itself, which scale = 0 makes the perturbed one.
    without = drawn("perturbed_attention(scale=0.0, layers=(1,))")
    assert np.abs(whole - without).max() > 1e-4
    np.testing.assert_allclose(far, without + 3 * (whole - without), atol=1e-4)


def test_networks_that_have_no_such_layer_are_refused() -> None:
    guide = guidance.make("perturbed_attention")
    without = {
        "MLP": "mlp(width=8, depth=1)",
        "UNet": "unet(channels=(8,), attention=())",
    }
    for name, spec in without.items():
        with pytest.raises(UserError, match=f"network {name} has none"):
            check_attention(guide, network_of(spec))
        with pytest.raises(UserError, match=f"Network {name} has no self-attentions"):
            network_of(spec).perturbed(())
    own = as_network((lambda key, x0, condition: x0, lambda params, x, *rest: x))
    with pytest.raises(UserError, match="network FunctionNetwork has none"):
        check_attention(guide, own)
    dit = network_of("dit(patch=2, width=8, depth=2, heads=2)")
    check_attention(dataclasses.replace(guide, layers=(1,)), dit)
    with pytest.raises(
        UserError, match=r"leaves out self-attentions \(2,\), and network DiT has 2"
    ):
        check_attention(dataclasses.replace(guide, layers=(2,)), dit)
    with pytest.raises(UserError, match="numbered from 0"):
        guidance.make("perturbed_attention(layers=(-1,))")
