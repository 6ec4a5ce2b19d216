"""What every network keeps to, whatever it is made of."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks import networks
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build, drop_condition
from diffusion_jax.registry import parse, settings_of
from tests.annotations import unchecked
from tests.networks.random_parameters import quick_jit, random_parameters
from tests.networks.small import SMALL, TEXT

BATCH = 3
CAPTIONS = jnp.array([[3, 5, 2, 0, 0], [1, 4, 0, 0, 0], [6, 6, 1, 2, 5]])
EVERY = pytest.mark.parametrize("name", sorted(SMALL))
DROPS = pytest.mark.parametrize("name", [name for name in sorted(SMALL) if "drop" in SMALL[name]])
# Networks that do not start as zero, as the originals do not.
RANDOM = {"unet2d", "unet2d_condition", "vdm_unet"}
START_AT_ZERO = pytest.mark.parametrize("name", sorted(SMALL.keys() - RANDOM))
# The same vector added to every key changes no softmax, and what SD3's text asks for last goes
# nowhere; the originals have these all the same. Frequencies and phases that are drawn at the start
# stay as they are.
LAST = "['transformer_blocks.1']['attn']"
WITHOUT_GRADIENT = (
    "['k']['bias']",
    *("['to_k']['bias']", "['freqs']", "['phases']"),
    *(f"{LAST}['add_q_proj']['{leaf}']" for leaf in ("kernel", "bias")),
    f"{LAST}['norm_added_q']['scale']",
)


@functools.cache
def takes_vectors(name):
    """Whether it refuses pictures, as one for vectors does."""
    network = build(SMALL[name], TEXT, vocabulary_size=7)
    inputs = jnp.zeros((1, 4, 8, 3)), jnp.zeros(1), {"tokens": CAPTIONS[:1]}
    with unchecked(), contextlib.suppress(UserError):
        jax.eval_shape(network.init, jax.random.key(0), *inputs)
        return False
    return True


def shape_of(name):
    return (6,) if takes_vectors(name) else (4, 8, 3)


def needs(name, field):
    """Skips a test of what a network is only asked for if it has the field."""
    if field not in settings_of(networks[parse(SMALL[name]).name]):
        pytest.skip(f"{name} has no {field}")


@functools.cache
def small(name, dtype="float32"):
    """A small network, parameters of which none is zero, and its jitted apply."""
    network = build(SMALL[name], TEXT, vocabulary_size=7, dtype=dtype)
    variables = random_parameters(network, *inputs(name)[:2], {"tokens": CAPTIONS})

    @quick_jit
    def apply(params, x, label, tokens):
        return network.apply({"params": params}, x, label, {"tokens": tokens})

    return network, variables["params"], apply


def inputs(name):
    x = jax.random.normal(jax.random.key(2), (BATCH, *shape_of(name)))
    return x, jnp.array([-2.5, 0.3, 2.5]), CAPTIONS


def run(name, x=None, label=None, tokens=None, dtype="float32"):
    _, params, apply = small(name, dtype)
    given = (x, label, tokens)
    return apply(params, *(a if g is None else g for a, g in zip(inputs(name), given, strict=True)))


@EVERY
def test_a_label_of_two_numbers_tells_both(name):
    network = build(SMALL[name], TEXT, vocabulary_size=7, noise_inputs=2)
    x, label, captions = inputs(name)
    condition, both = {"tokens": captions}, jnp.stack([label, 0 * label], axis=1)
    params = random_parameters(network, x, both, condition)["params"]
    apply = quick_jit(lambda labels: network.apply({"params": params}, x, labels, condition))
    found = [apply(labels) for labels in (both, both.at[:, 1].set(1.0), both.at[:, 0].set(1.0))]
    assert found[0].shape == x.shape
    assert not np.allclose(found[0], found[1]) and not np.allclose(found[0], found[2])
    # And those first drawn on the host are of the same shapes.
    drawn = initialise(network, jax.random.key(0), shape_of(name), condition)
    assert jax.tree.map(np.shape, drawn) == jax.tree.map(np.shape, params)


@EVERY
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 16, 4, 1), (1, 4, 4, 5), (4, 32, 32, 4)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_result_has_the_shape_of_x_and_is_float32(name, shape, dtype):
    if dtype != "float32":
        needs(name, "dtype")
    shape = (shape[0], shape[3]) if takes_vectors(name) else shape
    network = build(SMALL[name], TEXT, vocabulary_size=7, dtype=dtype)
    condition = {"tokens": jnp.ones((shape[0], 4), jnp.int32)}
    inputs = jnp.zeros(shape), jnp.zeros(shape[0]), condition
    result, variables = jax.eval_shape(network.init_with_output, jax.random.key(0), *inputs)
    assert result.shape == shape and result.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@START_AT_ZERO
def test_fresh_network_predicts_zero(name):
    network, _, apply = small(name)
    x, label, tokens = inputs(name)
    params = initialise(network, jax.random.key(0), shape_of(name), {"tokens": tokens})
    # Some start with a last layer that is nearly zero.
    assert jnp.all(jnp.abs(apply(params, x, label, tokens)) < 1e-3)


@EVERY
def test_gradient_reaches_every_parameter(name):
    network, params, _ = small(name)
    x, label, tokens = inputs(name)
    weights = jax.random.normal(jax.random.key(3), x.shape)

    @quick_jit
    def gradient(params):
        def weighted_sum(params):
            result = network.apply({"params": params}, x, label, {"tokens": tokens})
            return jnp.sum(weights * result)

        return jax.grad(weighted_sum)(params)

    sizes = {
        jax.tree_util.keystr(path): float(jnp.abs(leaf).max())
        for path, leaf in jax.tree_util.tree_leaves_with_path(gradient(params))
    }
    without = [path for path, size in sizes.items() if not size > 1e-5]
    assert [path for path in without if not path.endswith(WITHOUT_GRADIENT)] == []


@EVERY
def test_every_input_counts(name):
    x, label, tokens = inputs(name)
    result = run(name)
    assert jnp.all(differs(result, run(name, x=x + 0.1)))
    assert jnp.all(differs(result, run(name, label=label - 0.05)))
    assert jnp.all(differs(result, run(name, tokens=tokens.at[:, 0].set(4))))
    # The order of words counts, not only which they are.
    swapped = run(name, tokens=tokens[:, jnp.array([1, 0, 2, 3, 4])])
    assert differs(result, swapped).tolist() == [True, True, False]


def differs(a, b):
    return jnp.abs(a - b).reshape(BATCH, -1).max(1) > 1e-3


@EVERY
def test_padding_does_not_count(name):
    longer = jnp.pad(CAPTIONS, ((0, 0), (0, 3)))
    np.testing.assert_allclose(run(name, tokens=longer), run(name), rtol=1e-5, atol=2e-5)


@EVERY
def test_samples_of_a_batch_do_not_see_each_other(name):
    x, label, tokens = inputs(name)
    order = jnp.array([2, 0, 1])
    permuted = run(name, x[order], label[order], tokens[order])
    np.testing.assert_allclose(permuted, run(name)[order], atol=2e-5)
    others = run(name, x.at[1:].set(0.0), label, tokens.at[1:].set(0))
    np.testing.assert_allclose(others[0], run(name)[0], atol=2e-5)


@EVERY
def test_dropped_caption_is_the_null_caption(name):
    none = build(SMALL[name], TEXT, vocabulary_size=7).null({"tokens": CAPTIONS})
    dropped = drop_condition(jnp.array([False, True, False]), {"tokens": CAPTIONS}, none)["tokens"]
    nothing = none["tokens"]
    result, full, null = (run(name, tokens=t) for t in (dropped, CAPTIONS, nothing))
    np.testing.assert_allclose(result[1], null[1], atol=2e-5)
    np.testing.assert_allclose(result[jnp.array([0, 2])], full[jnp.array([0, 2])], atol=2e-5)
    assert jnp.all(differs(full, null))


@EVERY
def test_bfloat16_is_close_to_float32(name):
    needs(name, "dtype")
    exact, rounded = run(name), run(name, dtype="bfloat16")
    scale = float(jnp.std(exact))
    assert 0 < float(jnp.sqrt(jnp.mean((exact - rounded) ** 2))) < 0.05 * scale


@DROPS
def test_dropout_acts_in_training_only(name):
    network, params, _ = small(name)
    x, label, tokens = inputs(name)

    @quick_jit
    def train(key):
        variables, condition = {"params": params}, {"tokens": tokens}
        return network.apply(variables, x, label, condition, False, rngs={"dropout": key})

    one, two = train(jax.random.key(0)), train(jax.random.key(1))
    assert jnp.all(differs(one, two)) and jnp.all(differs(one, run(name)))
