"""Parts of released transformers, and what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.transformers.joint_attention import joint_mask
from diffusion_jax.networks.transformers.packing import packed, unpacked
from diffusion_jax.networks.transformers.positions import sincos_table
from diffusion_jax.networks.transformers.rotary import grid_places, rotated, rotation

SMALL = "num_attention_heads=2, attention_head_dim=6, num_layers=1"


def test_turned_queries_and_keys_see_how_far_apart_they_are() -> None:
    """q_i · k_j depends on i - j alone (Su et al. 2021, eq. 11)."""
    query, key = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 8)).astype(np.float32)

    def products(start: float) -> np.ndarray:
        turn = rotation(grid_places(2, 3) + start, (4, 4))
        rows = jnp.ones((1, 6, 1, 1))
        return np.einsum("bqhd,bkhd->qk", rotated(query * rows, turn), rotated(key * rows, turn))

    np.testing.assert_allclose(products(0.0), products(5.0), rtol=1e-5, atol=1e-5)
    assert np.ptp(products(0.0)) > 0.1


def test_places_of_a_larger_picture_are_stretched_to_the_base_size() -> None:
    small, large = (sincos_table(n, n, 8, base_size=4) for n in (4, 8))
    np.testing.assert_allclose(large[::2, ::2], small, rtol=1e-6)
    np.testing.assert_array_equal(small, sincos_table(4, 4, 8))
    np.testing.assert_allclose(sincos_table(8, 8, 8, scale=2.0), large, rtol=1e-6)


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_unpacking_undoes_packing(patch: int) -> None:
    x = jax.random.normal(jax.random.key(0), (2, 6, 12, 3))
    np.testing.assert_array_equal(unpacked(packed(x, patch), 6 // patch, patch), x)


def test_a_joint_mask_leaves_out_padding_and_other_rows_of_the_picture() -> None:
    mask = jnp.array([[True, False]])
    assert joint_mask(None, 2, 2, False) is None
    assert joint_mask(mask, 2, 2, False)[0, 0].tolist() == [[True, False, True, True]]
    rows = joint_mask(mask, 2, 2, True)[0, 0].astype(int).tolist()
    assert rows == [[1, 0, 1, 1], [1, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 1]]


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (f"sd3({SMALL}, dual_attention_layers=(1,))", "among the blocks 0 to 0, got (1,)"),
        (f"sd3({SMALL}, qk_norm='layer_norm')", "Unknown qk_norm of a sd3"),
        (f"flux({SMALL}, axes_dims_rope=(2, 2, 4))", "3 even numbers whose sum is the 6"),
        (f"pixart({SMALL}, sample_size=9)", "sample_size=9 must be a multiple of 2"),
        ("pixart(num_attention_heads=1, attention_head_dim=4)", "with use_additional_conditions"),
        (f"diffusers_dit({SMALL}, activation_fn='relu')", "Unknown activation_fn"),
        ("jit(hidden_size=12, num_heads=2)", "hidden_size=12 must be a multiple of 8"),
        ("jit(hidden_size=16, num_heads=2, depth=2)", "among the blocks 0 to 1, got 8"),
        ("prx(hidden_size=16, num_heads=2)", "2 even numbers whose sum is the 8"),
        ("sit(hidden_size=30)", "hidden_size=30 must be a multiple of 4"),
        ("original_dit(hidden_size=16, num_heads=3)", "the number of heads"),
    ],
)
def test_settings_that_cannot_work(spec: str, part: str) -> None:
    with pytest.raises(UserError) as refusal:
        networks.make(spec)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        (f"pixart({SMALL}, sample_size=8)", "caption_channels=4096, and what comes in has 3"),
        (f"pixart({SMALL}, caption_channels=3)", "(height, width, height / width)"),
        (f"flux({SMALL}, axes_dims_rope=(2, 2, 2), guidance_embeds=True)", "a guidance scale"),
        (f"sd3({SMALL}, pos_embed_max_size=3)", "ends at 6x6 (pos_embed_max_size=3)"),
    ],
)
def test_inputs_that_do_not_fit(spec: str, part: str) -> None:
    context = Context(jnp.ones((1, 2, 3)), jnp.ones((1, 2), bool), jnp.ones((1, 5)))
    given = jnp.ones((1, 8, 8, 4)), jnp.ones(1), context
    with pytest.raises(UserError) as refusal:
        jax.eval_shape(networks.make(spec).init, jax.random.key(0), *given)
    assert part in str(refusal.value)
