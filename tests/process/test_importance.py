"""Training times that follow the losses: the density, the weights, what is remembered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.process.importance import LossHistory
from diffusion_jax.process.time_samplers import LossAware, time_samplers

LABELS, KEPT = 5, 3


def replayed(labels: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """The last losses at each label, written row after row, each over the oldest."""
    written, count = np.zeros((LABELS, KEPT)), np.zeros(LABELS, int)
    for label, loss in zip(labels, losses, strict=True):
        written[label, count[label] % KEPT] = loss
        count[label] += 1
    return written


def test_a_batch_is_remembered_row_after_row() -> None:
    rng = np.random.default_rng(0)
    # Up to seven rows of a batch at a label, of which three are kept.
    labels = rng.choice(LABELS, (4, 16), p=[0.4, 0.3, 0.15, 0.1, 0.05])
    losses = rng.exponential(size=labels.shape).astype(np.float32)
    history = LossHistory.empty(LABELS, KEPT)
    for rows in zip(labels, losses, strict=True):
        history = jax.jit(LossHistory.update)(history, *map(jnp.asarray, rows))
    np.testing.assert_array_equal(history.losses, replayed(labels.ravel(), losses.ravel()))
    np.testing.assert_array_equal(history.count, np.bincount(labels.ravel()))


@pytest.mark.parametrize("largest", [1.0, 1e4])
def test_chosen_quantiles_keep_the_mean_of_whatever_depends_on_them(largest: float) -> None:
    sizes = jnp.linspace(1.0, 0.01, 50) ** 3 * largest
    history = LossHistory(jnp.tile(sizes[:, None], 2), jnp.full(50, 2))
    share = 0.01
    u = (jnp.arange(200_000) + 0.5) / 200_000
    chosen = history.choose(u, share)
    # The frequencies are those of eq. 18, mixed with a uniform share.
    expected = (1 - share) * np.asarray(sizes) / float(sizes.sum()) + share / 50
    np.testing.assert_allclose(np.bincount(chosen.label) / u.size, expected, rtol=0.02)
    np.testing.assert_array_equal(np.floor(chosen.u * 50), chosen.label)
    assert (np.diff(chosen.u) > -1e-6).all()
    for function in (jnp.ones_like, jnp.square, jnp.cos, lambda x: jnp.cos(300 * x)):
        weighed = float((chosen.weight * function(chosen.u)).mean())
        assert weighed == pytest.approx(float(function(u).mean()), abs=2e-3)


def test_until_all_labels_are_known_it_is_the_distribution_that_it_follows() -> None:
    u = jnp.linspace(0.01, 0.99, 99)
    aware = time_samplers.make("loss_aware(time_sampler=log_normal, labels=4, kept=2)")
    assert isinstance(aware, LossAware)
    seen = aware.start().update(jnp.array([0, 0, 1, 2, 2, 3, 3]), jnp.arange(7.0))
    chosen = aware.choose(seen, u)
    np.testing.assert_allclose(chosen.u, u, atol=1e-4)
    np.testing.assert_array_equal(chosen.weight, 1)
    known = seen.update(jnp.array([1]), jnp.array([9.0]))
    assert float(jnp.abs(aware.choose(known, u).u - u).max()) > 0.1


def test_labels_of_a_chain_are_those_of_its_discrete_times() -> None:
    steps = 1000
    aware = time_samplers.make(
        f"loss_aware(time_sampler=discrete(steps={steps}), labels={steps}, kept=1)"
    )
    assert isinstance(aware, LossAware)
    losses = jnp.exp(jnp.linspace(3.0, -3.0, steps))
    history = aware.start().update(jnp.arange(steps), losses)
    u = (jnp.arange(50_000) + 0.5) / 50_000
    chosen = aware.choose(history, u)
    # DDPM's integer steps count from 1: label 0 is the first of them, not clean data.
    np.testing.assert_array_equal(jnp.ceil(chosen.u * steps), chosen.label + 1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("loss_aware(labels=0)", "labels must be 1 or more"),
        ("loss_aware(uniform_share=0.0)", "uniform_share must be"),
        ("low_discrepancy(time_sampler=loss_aware)", r"loss_aware\(time_sampler=low_discrepancy\)"),
        ("loss_aware(time_sampler=loss_aware)", "cannot be within others"),
    ],
)
def test_what_cannot_work_is_refused(spec: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        time_samplers.make(spec)


def test_the_latest_losses_count_and_losses_of_nothing_tell_nothing() -> None:
    history = LossHistory.empty(2, kept=2)
    assert (history.probabilities() == 0.5).all()
    history = history.update(jnp.array([0, 1, 1, 0]), jnp.array([8.0, 1.0, 1.0, 8.0]))
    np.testing.assert_allclose(history.probabilities(0.0)[0], 8 / 9, rtol=1e-6)
    history = history.update(jnp.zeros(2, int), jnp.array([1.0, 1.0]))
    np.testing.assert_allclose(history.probabilities(0.0)[0], 1 / 2, rtol=1e-6)
    zero = LossHistory.empty(2, kept=1).update(jnp.arange(2), jnp.zeros(2))
    assert (zero.probabilities() == 0.5).all()
