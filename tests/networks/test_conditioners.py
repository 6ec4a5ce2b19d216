"""Conditioners: from examples and prompts to what a network is told."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners import Several, conditioners
from diffusion_jax.networks.conditioners.base import check_agreement
from diffusion_jax.networks.initialise import init
from diffusion_jax.networks.memory import pass_bytes
from diffusion_jax.networks.score_network import (
    ScoreNetwork,
    build,
    drop_condition,
    make_conditioner,
)
from diffusion_jax.published import text_encoder
from tests.networks.random_parameters import quick_jit, random_parameters


@dataclasses.dataclass(frozen=True)
class Birds:
    """Three examples that have all that any conditioner reads."""

    name: str = "birds"
    class_names: tuple[str, ...] = ("robin", "wren")
    captions: tuple[str, ...] = ("a red bird", "a small bird", "nothing much")

    @property
    def train(self) -> list[dict]:
        rows = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
        rows[0, 2:] = 0  # padding
        low = np.random.default_rng(1).integers(0, 256, (3, 2, 2, 3), np.uint8)
        return [
            {
                "captions": (self.captions[k],),
                "label": (0, 1, -1)[k],
                "t5": rows[k],
                "low": low[k],
                "tokens": rows[k],
                "pooled": rows[k, 0],
            }
            for k in range(3)
        ]


BIRDS = Birds()
CLIP = Path(__file__).parents[1] / "published" / "data" / "clip"
SMALL = {
    "label": "label(width=8)",
    "one_hot": "one_hot()",
    "transformer": "transformer(width=8, layers=1, heads=2)",
    "features": "features(key='t5', width=8)",
    "image": "image(key='low', width=8)",
    text_encoder.ENCODER: f"text_encoder(path={str(CLIP)!r})",
    "several": "several(parts=(label(width=4), transformer(width=8), features(key='t5'), "
    "image(key='low')), width=8)",
}
SPECS = SMALL | {
    name: name
    for name in conditioners
    if name not in SMALL
    # Other tests may have registered conditioners of their own by now.
    and conditioners[name].__module__.startswith("diffusion_jax.")
}
X, C_NOISE = jax.random.normal(jax.random.key(0), (3, 4, 4, 2)), jnp.linspace(-1.0, 1.0, 3)


def differ(a, b):
    return not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def fitted(name):
    return conditioners.make(SPECS[name]).fit(BIRDS)


def network_of(name, backbone="unet(channels=(8,), blocks=1, attention=(0,), head_width=8)"):
    """A network with random parameters, as a function of x and the condition."""
    network = build(backbone, fitted(name))
    rows = {key: jnp.asarray(v) for key, v in network.conditioner.encode(BIRDS.train).items()}
    variables = random_parameters(network, X, C_NOISE, rows)
    return network, rows, quick_jit(lambda x, given: network.apply(variables, x, C_NOISE, given))


@pytest.mark.parametrize("name", SPECS)
def test_what_was_learnt_is_read_back(name):
    made = fitted(name)
    saved = json.loads(json.dumps(made.state()))
    assert set(saved) == set(made.keys)
    assert conditioners.make(SPECS[name]).restored(saved) == made
    with pytest.raises(UserError, match="was not fit"):
        conditioners.make(SPECS[name]).restored({})


@pytest.mark.parametrize("name", SPECS)
def test_a_network_hears_every_row_and_nothing_of_dropped_ones(name):
    network, rows, apply = network_of(name)
    assert set(rows) == set(network.keys) == set(network.nothing())
    given = apply(X, rows)
    assert given.shape == X.shape
    null = network.null(rows)
    if name not in SMALL and not {key for key in rows if differ(rows[key], null[key])}:
        pytest.skip("it reads entries that the birds do not have")
    dropped = drop_condition(jnp.array([False, True, False]), rows, null)
    found, nothing = apply(X, dropped), apply(X, null)
    np.testing.assert_allclose(found[1], nothing[1], atol=1e-6)
    np.testing.assert_allclose(found[0], given[0], atol=1e-6)
    assert jnp.abs(given[:2] - nothing[:2]).max(axis=(1, 2, 3)).min() > 1e-3
    # What says nothing is what a user who asks for nothing gets.
    silent = {key: np.repeat(value, 3, axis=0) for key, value in network.nothing().items()}
    np.testing.assert_allclose(apply(X, silent), nothing, atol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_a_context_has_the_dtype_that_is_asked_for(name):
    made = make_conditioner(SPECS[name], "bfloat16").fit(BIRDS)
    rows = {key: jnp.asarray(value) for key, value in made.encode(BIRDS.train).items()}
    context, _ = jax.eval_shape(made.init_with_output, jax.random.key(0), rows, X)
    told = [value.dtype for value in (context.tokens, context.pooled) if value is not None]
    assert set(map(str, told)) == {"bfloat16"}


def test_padding_of_features_is_not_seen():
    made = fitted("features")
    rows = made.encode(BIRDS.train)
    longer = {"t5": np.pad(rows["t5"], ((0, 0), (0, 3), (0, 0)))}
    variables = random_parameters(made, rows)
    short, long = (made.apply(variables, each) for each in (rows, longer))
    np.testing.assert_allclose(short.pooled, long.pooled, atol=1e-6)
    assert short.mask[0].tolist() == [True, True, True, False, False]
    assert long.mask.sum() == short.mask.sum()


def test_a_picture_is_seen_where_it_is():
    """A convolution without attention sees the condition's pixels beside those of x."""
    network, _, apply = network_of("image", "unet(channels=(8,), blocks=1, attention=())")
    low = np.zeros((3, 4, 4, 3), np.float32)
    moved = low.copy()
    moved[:, 0, 0] = 1
    changed = jnp.abs(apply(X, {"low": moved}) - apply(X, {"low": low}))
    assert changed[:, 0, 0].min() > 0 and network.conditioner.encode(BIRDS.train)["low"].max() <= 1


@pytest.mark.parametrize("backbone", ["mlp(width=8, depth=1)", "dit(patch=2, width=8, heads=2)"])
def test_a_told_variance_keeps_its_place_beside_a_picture(backbone):
    """Channels of the prediction and of the variance are those of x, however many it sees."""
    if backbone.startswith("mlp"):
        made, x = conditioners.make("features(key='t5', width=8)").fit(BIRDS), jnp.zeros((3, 5))
    else:
        made, x = fitted("image"), X
    network = build(backbone, made, variance="log")
    shape = jax.eval_shape(
        network.init_with_output, jax.random.key(0), x, C_NOISE, made.encode(BIRDS.train)
    )[0].shape
    assert shape == (*x.shape[:-1], 2 * x.shape[-1])


def test_several_ask_those_that_hear():
    made = fitted("several")
    assert made.answers == ("prompt", "class name") and not made.mirrors
    found = made.ask(["a red bird"], class_name="wren")
    assert found["label"].tolist() == [1] and found["tokens"].any() and not found["t5"].any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: conditioners.make("several"), "needs parts"),
        (lambda: conditioners.make("several(parts=(label, label))"), "two of its parts read"),
        (lambda: conditioners.make("several(parts=(labels,))"), "Did you mean 'label'"),
        (lambda: fitted("features").ask(["a bird"]), "says nothing to the conditioner"),
        (lambda: fitted("features").encode([{"t5": np.ones((2, 6))}]), "pad with zeros"),
        (lambda: conditioners.make("features(key='no')").fit(BIRDS), "do not have"),
        (lambda: conditioners.make("image(key='t5')").fit(BIRDS), "a picture of shape"),
        (
            lambda: conditioners.make("label").fit(dataclasses.replace(BIRDS, class_names=())),
            "has no classes",
        ),
        (
            lambda: check_agreement(
                {
                    "arm 'a'": fitted("transformer"),
                    "arm 'b'": conditioners.make("transformer(tokenizer=byte_pairs(size=300))").fit(
                        BIRDS
                    ),
                }
            ),
            "arm 'a' and arm 'b' read 'tokens' differently",
        ),
    ],
)
def test_refusals(make, message):
    with pytest.raises(UserError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_conditioners_that_read_different_keys_agree():
    # What `embeddings` calls tokens are no numbers of words.
    check_agreement({name: fitted(name) for name in SPECS if name != "embeddings"})
    with pytest.raises(UserError, match="transformer and embeddings read 'tokens' differently"):
        check_agreement({name: fitted(name) for name in SPECS})


def test_a_conditioner_of_ones_own():
    """Anything with the methods of one works, from Python alone, without being registered."""
    own = Several((conditioners.make("label(width=4)"), conditioners.make("features(key='t5')")), 4)
    network = ScoreNetwork(build("mlp(width=8, depth=1)").backbone, own.fit(BIRDS))
    rows = network.conditioner.encode(BIRDS.train)
    x = jnp.ones((3, 2))
    assert jax.eval_shape(network.init_with_output, jax.random.key(0), x, C_NOISE, rows)[
        0
    ].shape == (3, 2)


@pytest.mark.parametrize("name", ["features", "image"])
def test_memory_of_a_pass_is_counted_with_conditions_of_any_dtype(name):
    network = build("unet(channels=(8,), blocks=1, attention=())", fitted(name))
    assert pass_bytes(network, X.shape[1:], network.nothing()) >= 4 * 4 * 8 * 4


def test_first_values_have_the_moments_of_the_modules_own():
    """`several` has all parts; all of its parameters are drawn on the host."""
    made = fitted("several")
    rows = {key: jnp.asarray(values) for key, values in made.encode(BIRDS.train).items()}
    own = quick_jit(made.init)(jax.random.key(0), rows, X)["params"]
    ours = init(made, jax.random.key(0), rows, X)
    assert jax.tree.structure(own) == jax.tree.structure(ours)
    for theirs, value in zip(jax.tree.leaves(own), jax.tree.leaves(ours), strict=True):
        assert isinstance(value, np.ndarray) and value.dtype == theirs.dtype
        # Five standard errors of a standard deviation, where there is one to compare.
        assert abs(value.std() - theirs.std()) <= 5 * theirs.std() / np.sqrt(value.size)


def test_a_picture_of_integers_that_are_no_bytes_is_refused() -> None:
    whole = conditioners.make("image(key=low)").restored({"low": [2, 2, 1]})
    with pytest.raises(UserError, match="'low' must be uint8, or floats in"):
        whole.encode([{"low": np.full((2, 2, 1), 200, np.int64)}])
