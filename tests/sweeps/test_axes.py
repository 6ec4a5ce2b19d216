"""Sweeps as products, zips and lists; mistakes in them."""

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.sweeps import Sweep, axis, choice, listed, product, zipped


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
    ],
)
def test_mistakes_are_named(make: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()  # type: ignore[operator]
