"""Sweeps as products, zips and lists; mistakes in them."""

import itertools

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.sweeps import Choice, Sweep, axis, choice, listed, product, zipped
from tests.annotations import unchecked


def test_combinations_are_named_after_their_choices() -> None:
    schedules = axis("schedule", "cosine", wide="edm(sigma_max=200.0)")
    pairs = zipped(axis("prediction", "v", "epsilon"), axis("weighting", "flow", "simple"))
    whole = listed(product(schedules, pairs, axis("training.steps", 10)), choice("base"))
    assert [c.name for c in whole] == [
        "cosine-v-flow-steps10",
        "cosine-epsilon-simple-steps10",
        "wide-v-flow-steps10",
        "wide-epsilon-simple-steps10",
        "base",
    ]
    assert whole[2].changes == {
        "schedule": "edm(sigma_max=200.0)",
        "prediction": "v",
        "weighting": "flow",
        "training.steps": 10,
    }


def test_seeds_are_no_arms() -> None:
    sweep = Sweep(product(axis("schedule", "cosine", "edm"), axis("seed", 3, 5)))
    assert sweep.arms == ("cosine", "edm") and len(sweep.choices) == 4


def test_arms_of_a_config_are_an_axis() -> None:
    arms = {"a": {"schedule": "edm"}, "b": {"schedule": "cosine"}}
    seeds = Sweep(axis("seed", 0, 1)).over(arms, "only")
    assert seeds.arms == ("a", "b") and seeds.baseline == "a"
    both = Sweep(axis("prediction", "v", "x0"), baseline="b-v").over(arms, "only")
    assert both.arms == ("a-v", "a-x0", "b-v", "b-x0") and both.baseline == "b-v"
    assert Sweep(axis("seed", 0)).over({}, "cosine").arms == ("cosine",)
    assert Sweep(axis("seed", 0)).over(arms, "only", "b").baseline == "b"
    turned = {"b": {}, "a": {}}
    assert Sweep(axis("seed", 0)).over(turned, "only").baseline == "b"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: axis("schedule"), "has no values"),
        (lambda: axis("schedule", "edm(sigma_max=9.0)"), r"give it one, axis\('schedule', my_name"),
        (lambda: choice("a b"), "cannot be called 'a b'"),
        (lambda: zipped(axis("seed", 0), axis("schedule", "ve", "edm")), "of one length, not of 1"),
        (lambda: product(axis("seed", 0), axis("seed", 1)), "replaces 'seed' twice"),
        (lambda: Sweep(()), "no arms"),
        (lambda: Sweep(axis("seed", 0, 0)), "with seed 0 twice"),
        (lambda: Sweep(choice("a"), budget="image"), "Did you mean 'images'"),
        (lambda: Sweep(choice("a"), baseline="b").over({}, "x"), "Unknown baseline of the sweep"),
        (
            lambda: Sweep(axis("schedule", "edm")).over({"a": {"schedule": "ve"}}, "x"),
            "Both arm 'a' of the config and the sweep replace 'schedule'",
        ),
        (lambda: Sweep(choice("a" * 60)).over({"b" * 9: {}}, "x"), "longer than 64"),
        (
            lambda: Sweep(choice("a"), baseline="a").over({}, "x", "b"),
            "baseline 'a' and the config 'b'",
        ),
        (lambda: axis(3, 4), "begins with the name of a field, not 3"),
        (lambda: axis("seed", [1]), r"a whole number below 2\^31, not \[1\]"),
        (lambda: axis("seed", -1), "a whole number below 2"),
        (lambda: axis("seed", 10**5000), "not a number of thousands of digits"),
        (lambda: axis("training.steps", 10**5000), "is no name"),
        (lambda: choice(3), "cannot be called 3"),
        (lambda: choice("a", 3), "needs a dict of fields"),
        (lambda: choice("a", {3: 4}), "replaces fields by name, not 3"),
        (lambda: choice("a", seed="x"), "a whole number below 2"),
        (lambda: product("ab"), "made of what axis, choice, .* not of 'ab'"),
        (lambda: product(3), "not of 3"),
        (lambda: listed([3]), r"not of \[3\]"),
        (lambda: zipped({"a": 1}), "not of {'a': 1}"),
        (lambda: product(*[axis("x", *range(1000))] * 9), "at most 10,000 trainings"),
        (lambda: listed(*[axis("x", *range(1000))] * 11), "at most 10,000 trainings"),
        (lambda: product(itertools.repeat(choice("a")[0])), "at most 10,000 trainings"),
        (
            lambda: Sweep(axis("seed", *range(1000))).over({f"a{i}": {} for i in range(99)}, ""),
            "at most 10,000 trainings, and this would have 99,000",
        ),
        (lambda: Sweep(3), "not of 3"),
        (lambda: Sweep(["a"]), "not of "),
        (lambda: Sweep([Choice(3, {})]), "has a name and a dict of fields"),
        (lambda: Sweep(choice("a"), nfe=("a",)), r"a tuple of whole numbers, .* not \('a',\)"),
        (lambda: Sweep(choice("a"), nfe=8), "a tuple of whole numbers"),
        (lambda: Sweep(choice("a"), nfe=(0,)), "from 1 to 10,000, not 0"),
        (lambda: Sweep(choice("a"), nfe=(10**9,)), "from 1 to 10,000"),
        (lambda: Sweep(choice("a"), title=3), "title of a sweep must be a word, not 3"),
        (lambda: Sweep(choice("a"), budget=["images"]), "budget of a sweep must be a word"),
        (lambda: Sweep(choice("a"), execution="apart,"), "Did you mean 'apart'"),
    ],
)
def test_mistakes_are_named(make: object, message: str) -> None:
    with unchecked(), pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]
