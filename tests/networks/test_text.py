"""Encoders of captions and classes."""

import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.conditioners import ClassLabel, TextTransformer
from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build, drop_condition
from tests.networks.random_parameters import quick_jit, random_parameters


def test_context_marks_words_and_not_padding():
    encoder = TextTransformer(vocabulary_size=7, width=8)
    tokens = jnp.array([[3, 5, 0], [0, 0, 0]])
    variables = random_parameters(encoder, {"tokens": tokens})
    context = quick_jit(encoder.apply)(variables, {"tokens": tokens})
    # A start token comes first, so there is something to attend to in an empty caption too.
    assert context.mask.tolist() == [[True, True, True, False], [True, False, False, False]]
    assert context.tokens.shape == (2, 4, 8) and context.pooled.shape == (2, 8)
    np.testing.assert_array_equal(context.pooled, context.tokens[:, 0])
    shorter = quick_jit(encoder.apply)(variables, {"tokens": tokens[:, :2]})
    np.testing.assert_allclose(context.tokens[0, :3], shorter.tokens[0], atol=1e-5)


def test_words_start_out_distinct():
    """Before any training, words differ by about what independent words would: sqrt(2) each."""
    network = build("mlp", "transformer(width=64)", vocabulary_size=12)
    tokens = {"tokens": jnp.arange(1, 12)[:, None]}
    params = initialise(network, jax.random.key(0), (2,), tokens)["encoder"]
    words = quick_jit(network.conditioner.apply)({"params": params}, tokens).tokens[:, 1]
    distances = jnp.linalg.norm(words[:, None] - words[None], axis=-1) + 1e3 * jnp.eye(11)
    assert distances.min() > 0.8 * jnp.linalg.norm(words, axis=-1).mean()


def test_no_label_has_a_vector_of_its_own():
    encoder = ClassLabel(num_classes=3, width=4)
    labels = jnp.array([0, 1, 2, -1])
    variables = random_parameters(encoder, {"label": labels})
    context = encoder.apply(variables, {"label": labels})
    np.testing.assert_array_equal(context.pooled, variables["params"]["classes"]["embedding"])
    assert context.mask.all() and context.tokens.shape == (4, 1, 4)


def test_null_of_every_kind_of_condition():
    condition = {"tokens": jnp.array([[3, 5], [1, 2]]), "label": jnp.array([4, 0])}
    words, classes = TextTransformer(vocabulary_size=7, width=8), ClassLabel(num_classes=5)
    null = classes.null(words.null(condition))
    assert null["tokens"].tolist() == [[0, 0], [0, 0]] and null["label"].tolist() == [-1, -1]
    dropped = drop_condition(jnp.array([True, False]), condition, null)
    assert dropped["tokens"].tolist() == [[0, 0], [1, 2]] and dropped["label"].tolist() == [-1, 0]
    assert drop_condition(jnp.array([True]), {}, build("mlp").null({})) == {}


def test_a_network_leaves_what_it_does_not_read():
    condition = {"tokens": jnp.array([[3, 5]]), "label": jnp.array([4])}
    null = build("mlp", "label(width=8)", num_classes=5).null(condition)
    assert null["tokens"] is condition["tokens"] and null["label"].tolist() == [-1]
