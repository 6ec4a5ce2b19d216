"""The contract of every optimiser, and the learning rate over time."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.training.optimizers import Adam, decays, optimizers

members = pytest.mark.parametrize("name", list(optimizers))


@members
def test_every_optimizer_descends_a_quadratic(name: str) -> None:
    optimizer = optimizers.make(f"{name}(learning_rate=0.05, warmup=5)", steps=200).transformation()
    target = jnp.array([1.0, -2.0])

    @jax.jit
    def step(x: jax.Array, state: optax.OptState) -> tuple[jax.Array, optax.OptState]:
        updates, state = optimizer.update(2 * (x - target), state, x)
        return optax.apply_updates(x, updates), state

    x, state = jnp.zeros(2), optimizer.init(jnp.zeros(2))
    for _ in range(200):
        x, state = step(x, state)
    np.testing.assert_allclose(x, target, atol=0.05)


@members
def test_clip_bounds_the_norm_of_the_gradient(name: str) -> None:
    def second_update(clip: float, scale: float) -> np.ndarray:
        optimizer = optimizers.make(
            f"{name}(clip={clip}, learning_rate=1.0)", steps=10
        ).transformation()
        x = jnp.ones(2)
        _, state = optimizer.update(jnp.array([1e-3, 0.0]), optimizer.init(x), x)
        return np.asarray(optimizer.update(scale * jnp.array([3.0, 4.0]), state, x)[0])

    # Beyond the bound only the direction matters; without one the size does too.
    np.testing.assert_allclose(second_update(5.0, 2.0), second_update(5.0, 9.0), rtol=1e-5)
    assert not np.allclose(second_update(float("inf"), 2.0), second_update(float("inf"), 9.0))


@pytest.mark.parametrize("decay", list(decays))
def test_learning_rate_rises_to_the_peak_and_ends_where_it_should(decay: str) -> None:
    rate = Adam(steps=110, learning_rate=0.2, warmup=10, decay=decay).rate
    rates = np.array([float(rate(count)) for count in range(111)])
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11) / 10, rtol=1e-6)
    assert rates.max() == pytest.approx(0.2) and (np.diff(rates[10:]) <= 1e-9).all()
    ends = {
        "constant": (0.2, 0.2),
        "linear": (0.1, 0.0),
        "cosine": (0.1, 0.0),
        "inverse_sqrt": (0.2 * np.sqrt(10 / 60), 0.2 * np.sqrt(10 / 110)),
    }
    np.testing.assert_allclose(rates[[60, 110]], ends[decay], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("decay", [d for d in decays if d != "constant"])
def test_held_learning_rate_stays_at_the_peak_until_the_decay_starts(decay: str) -> None:
    rate = Adam(steps=110, learning_rate=0.2, warmup=10, decay=decay, hold=40).rate
    rates = np.array([float(rate(count)) for count in range(10, 111)])
    np.testing.assert_allclose(rates[:31], 0.2, rtol=1e-6)
    assert (np.diff(rates[31:]) < 0).all()


def test_weight_decay_shrinks_parameters_that_have_no_gradient() -> None:
    optimizer = optimizers.make(
        "adamw(learning_rate=0.1, weight_decay=0.5)", steps=1
    ).transformation()
    x = jnp.ones(1)
    updates, _ = optimizer.update(jnp.zeros(1), optimizer.init(x), x)
    np.testing.assert_allclose(updates, -0.1 * 0.5, rtol=1e-6)


def test_weight_decay_may_leave_all_but_kernels_alone() -> None:
    square, line = jnp.ones((2, 2)), jnp.ones(2)
    norm, words = {"scale": line, "bias": line}, {"embedding": square}
    params = {"layer": {"kernel": square, "bias": line}, "norm": norm, "words": words}
    kinds = {}
    for decayed in ("all", "kernels"):
        optimizer = optimizers.make(f"adamw(decayed={decayed})", steps=1).transformation()
        still = jax.tree.map(jnp.zeros_like, params)
        updates, _ = optimizer.update(still, optimizer.init(params), params)
        kinds[decayed] = {
            path[-1].key
            for path, update in jax.tree_util.tree_leaves_with_path(updates)
            if (update != 0).any()
        }
    assert kinds["kernels"] == {"kernel"} < kinds["all"] == {"kernel", "bias", "scale", "embedding"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("adam(decay='cosin')", "Did you mean 'cosine'"),
        ("adam(learning_rate=-1.0)", "learning_rate >= 0"),
        ("adam(learning_rate=inf)", "finite learning_rate"),
        ("adam(clip=0)", "clip > 0"),
        ("adam(b1=1.0)", r"b1 in \[0, 1\)"),
        ("adam(hold=-1)", "hold >= 0"),
        ("sgd(momentum=-0.1)", r"momentum in \[0, 1\)"),
        ("adamw(weight_decay=-1.0)", "weight_decay >= 0"),
        ("adamw(decayed=kernel)", "Did you mean 'kernels'"),
        ("adma()", "Did you mean 'adam'"),
        ("adam(learningrate=1.0)", "Did you mean 'learning_rate'"),
    ],
)
def test_mistakes_are_named(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        optimizers.make(spec, steps=10)
