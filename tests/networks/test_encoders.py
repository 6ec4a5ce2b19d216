"""What every encoder keeps to, and the settings that cannot work."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from diffusion_jax.errors import UserError
from diffusion_jax.networks.encoders import encoders
from diffusion_jax.networks.encoders.positions import resampled_places
from diffusion_jax.networks.initialise import init
from tests.networks.random_parameters import quick_jit, random_parameters

CLIP = (
    "(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, "
    "num_attention_heads=2, max_position_embeddings=6, eos_token_id=19, {})"
)
VISION = (
    "(hidden_size=8, num_hidden_layers=2, num_attention_heads=2, image_size=7, patch_size=3, {})"
)
SMALL = {
    "bert": "bert(vocab_size=20, hidden_size=8, intermediate_size=12, num_hidden_layers=2, "
    "num_attention_heads=2, max_position_embeddings=6)",
    "clip_text": "clip_text" + CLIP.format("hidden_act=gelu"),
    "t5": "t5(vocab_size=20, d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2, "
    "feed_forward_proj='gated-gelu', relative_attention_num_buckets=8)",
    "t5_gemma": "t5_gemma(vocab_size=20, hidden_size=8, intermediate_size=12, head_dim=4, "
    "num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, sliding_window=2, "
    "query_pre_attn_scalar=3)",
    "clip_vision": "clip_vision" + VISION.format("hidden_act=gelu, intermediate_size=12"),
    "clip_vision_with_projection": "clip_vision_with_projection"
    + VISION.format("projection_dim=5, intermediate_size=12"),
    "dinov2": "dinov2" + VISION.format("mlp_ratio=2"),
    "dinov2_with_registers": "dinov2_with_registers" + VISION.format("use_swiglu_ffn=True"),
    "clip": "clip(text_config={'vocab_size': 20, 'hidden_size': 8, 'intermediate_size': 12, "
    "'num_hidden_layers': 2, 'num_attention_heads': 2, 'max_position_embeddings': 6, "
    "'eos_token_id': 19}, vision_config={'hidden_size': 12, 'intermediate_size': 8, "
    "'num_hidden_layers': 1, 'num_attention_heads': 2, 'image_size': 7, 'patch_size': 3}, "
    "projection_dim=4)",
    "clip_text_with_projection": "clip_text_with_projection" + CLIP.format("projection_dim=5"),
}
EVERY = pytest.mark.parametrize("name", sorted(SMALL))
READERS = pytest.mark.parametrize(
    "name", [name for name in sorted(SMALL) if encoders[name].reads != "pictures"]
)
LENGTH = 5


@functools.cache
def small(name):
    """A small encoder, parameters of which none is zero, and what it reads."""
    encoder = encoders.make(SMALL[name])
    if encoder.reads != "pictures":
        given = jax.random.randint(jax.random.key(0), (2, LENGTH), 1, 19).at[:, -1].set(19)
    else:
        side = encoder.image_size
        given = jax.random.normal(jax.random.key(0), (2, side, side, 3))
    return encoder, random_parameters(encoder, given), given


def call(name, *given, method=None):
    encoder, params, _ = small(name)
    return quick_jit(functools.partial(encoder.apply, method=method))(params, *given)


def test_every_encoder_is_tested():
    assert SMALL.keys() == set(encoders)


@EVERY
def test_what_an_encoder_gives(name):
    encoder, _, given = small(name)
    found = call(name, given)
    batch, length, width = found.tokens.shape
    assert batch == 2 and width == encoder.width
    assert all(each.shape == found.tokens.shape for each in found.hidden)
    assert {each.dtype for each in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert length == LENGTH if encoder.reads != "pictures" else length > 1
    last = call(name, found.hidden[-1], method="normalise")
    np.testing.assert_allclose(last, found.tokens, atol=1e-5)


@EVERY
def test_rows_of_a_batch_do_not_see_each_other_and_each_counts(name):
    _, _, given = small(name)
    both = call(name, given)
    other = call(name, given.at[1].set(given[0]))
    for before, after in zip(jax.tree.leaves(both), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(after[0], before[0], atol=1e-5)
        np.testing.assert_allclose(after[1], before[0], atol=1e-5)
        assert np.abs(before[1] - before[0]).max() > 1e-3


@READERS
def test_tokens_that_are_masked_change_nothing_else(name):
    _, _, ids = small(name)
    mask = jnp.arange(LENGTH)[None] < jnp.array([[LENGTH], [2]])
    found, changed = (call(name, given, mask).tokens for given in (ids, ids.at[1, 3].set(7)))
    np.testing.assert_allclose(changed[0], found[0], atol=1e-5)
    np.testing.assert_allclose(changed[1, :2], found[1, :2], atol=1e-5)
    short = call(name, ids[1:, :2]).tokens
    np.testing.assert_allclose(found[1, :2], short[0], atol=1e-5)


@EVERY
def test_fresh_parameters_are_finite_and_a_gradient_reaches_each(name):
    encoder, _, given = small(name)
    params = init(encoder, jax.random.key(0), given)

    def loss(params):
        found = encoder.apply({"params": params}, given)
        read = jax.tree.leaves((found.tokens, found.pooled))
        if encoder.reads == "both":
            other = encoder.apply(
                {"params": params}, jnp.sin(jnp.arange(294.0)).reshape(2, 7, 7, 3)
            )
            vectors = found.pooled, other.pooled
            read.append(encoder.apply({"params": params}, *vectors, method="alike"))
        return sum(jnp.sum(jnp.sin(each)) for each in read)

    value, gradient = quick_jit(jax.value_and_grad(loss))(params)
    assert jnp.isfinite(value)
    sizes = jax.tree_util.tree_leaves_with_path(jax.tree.map(lambda g: jnp.abs(g).max(), gradient))
    without = [jax.tree_util.keystr(path) for path, size in sizes if not size > 0]
    # The same vector added to every key changes no softmax.
    harmless = "_proj']['bias']", "['self.key']['bias']", "['attention.key']['bias']"
    assert [path for path in without if not path.endswith(harmless)] == []


@READERS
def test_more_tokens_than_places_are_refused(name):
    encoder, params, ids = small(name)
    if encoder.longest is not None:
        with pytest.raises(UserError, match=f"{encoder.longest} places for tokens.* given 10"):
            jax.eval_shape(encoder.apply, params, jnp.tile(ids, (1, 2)))


@pytest.mark.parametrize(
    ("name", "shape", "part"),
    [
        ("clip_vision", (1, 7, 8, 3), "CLIPVision takes pictures of 7x7 pixels, got 8x7"),
        ("clip_vision", (1, 7, 7, 4), "(batch, height, width, 3), got shape (1, 7, 7, 4)"),
        ("dinov2", (1, 9, 2, 3), "Dinov2 takes pictures of 3x3 pixels at least, got 2x9"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(name, shape, part):
    encoder, params, _ = small(name)
    with pytest.raises(UserError) as refusal:
        encoder.apply(params, jnp.zeros(shape))
    assert part in str(refusal.value) and "\n" not in str(refusal.value)


def test_a_picture_takes_no_mask():
    encoder, params, given = small("dinov2")
    with pytest.raises(UserError, match="takes no mask"):
        encoder.apply(params, given, jnp.ones((2, 5), bool))


def test_tables_of_places_are_resampled_as_pillow_does_where_they_are_widened():
    table = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    for rows, columns in ((4, 3), (13, 20), (9, 5)):
        found = resampled_places(jnp.asarray(table)[..., None], rows, columns, widened=True)
        like = Image.fromarray(table).resize((columns, rows), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(found[..., 0], np.asarray(like), atol=1e-5)


def test_the_vector_of_a_caption_is_that_of_its_end():
    _, _, ids = small("clip_text")
    found = call("clip_text", ids.at[0, 2].set(19))
    ends = found.tokens[0, 2], found.tokens[1, LENGTH - 1]
    np.testing.assert_allclose(found.pooled, jnp.stack(ends), atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ("clip_text(hidden_size=10, num_attention_heads=3)", "a multiple of 3"),
        ("clip_text(hidden_act=gel)", "Did you mean 'gelu'"),
        ("clip_text(vocab_size=0)", "vocab_size must be a positive integer"),
        ("clip_text(attention_implementation=cudnn)", "bfloat16"),
        ("t5(feed_forward_proj='gated-gel')", "Did you mean 'gelu'"),
        ("t5(relative_attention_num_buckets=6)", "a multiple of 4"),
        ("t5(relative_attention_max_distance=8)", "more than a quarter"),
        ("clip_text_with_projection(projection_dim=0)", "projection_dim must be a positive"),
        ("clip_vision(image_size=16)", "image_size=16 must be at least patch_size=32"),
        ("clip_vision(image_size=(224, 224))", "image_size must be a whole number"),
        ("clip_vision_with_projection(projection_dim=0)", "projection_dim must be a positive"),
        ("dinov2(hidden_size=10, num_attention_heads=3)", "a multiple of 3"),
        ("dinov2_with_registers(num_register_tokens=0)", "num_register_tokens must be a positive"),
        ("clip(text_config={'hidden': 1})", "no setting 'hidden'"),
        (
            "clip(vision_config={'image_size': 64}, vision_config_dict={'image_size': 32})",
            "image_size is 64 in one place of the configuration, and 32",
        ),
        ("t5_gemma(num_attention_heads=3, num_key_value_heads=2)", "a multiple of 2, the heads of"),
        ("t5_gemma(head_dim=3)", "a multiple of 2, as pairs"),
        ("t5_gemma(sliding_window=0)", "sliding_window must be a positive integer"),
        ("t5_gemma(layer_types=('full_attention',))", "for each of 26 layers"),
        ("t5_gemma(num_hidden_layers=1, layer_types=('full',))", "got ('full',)"),
        ("t5_gemma(rope_parameters={'rope_type': 'yarn'})", "with rope_type='default'"),
        ("t5_gemma(attention_implementation=cudnn, dtype=bfloat16, head_dim=64)", "caps no logits"),
    ],
)
def test_settings_that_cannot_work(spec, part):
    with pytest.raises(UserError) as refusal:
        encoders.make(spec)
    assert part in str(refusal.value)
    assert "\n" not in str(refusal.value)
