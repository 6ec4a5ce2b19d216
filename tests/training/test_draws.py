"""The shared randomness: what each row is, and that it is nothing else's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.training import draws as module
from diffusion_jax.training.draws import Draws

draw = jax.jit(module.draw, static_argnums=2)
KEY = jax.random.key(3)


def leaves(draws: Draws) -> list[np.ndarray]:
    return [np.asarray(x) for x in (draws.u, draws.eps, draws.drop, jax.random.key_data(draws.key))]


def test_a_row_does_not_depend_on_the_other_rows() -> None:
    whole = draw(KEY, jnp.arange(12), (2, 3), 0.5)
    part = draw(KEY, jnp.array([7, 2]), (2, 3), 0.5)
    for each, all_rows in zip(leaves(part), leaves(whole), strict=True):
        np.testing.assert_array_equal(each, all_rows[[7, 2]])


def test_rows_have_their_distributions_and_are_unrelated() -> None:
    n = 4000
    u, eps, drop, keys = leaves(draw(KEY, jnp.arange(n), (4,), 0.25))
    assert u.min() > 0 and u.max() < 1
    assert np.abs(np.sort(u) - (np.arange(n) + 0.5) / n).max() < 1.63 / np.sqrt(n)
    assert abs(eps.mean()) < 4 / np.sqrt(4 * n) and abs(eps.std() - 1) < 0.03
    assert abs(drop.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / n)
    together = np.corrcoef(np.column_stack([u, eps, drop]).T) - np.eye(6)
    assert np.abs(together).max() < 5 / np.sqrt(n)
    assert len(np.unique(keys, axis=0)) == n


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_caption_dropout_at_its_ends(share: float, expected: bool) -> None:
    assert (np.asarray(draw(KEY, jnp.arange(50), (1,), share).drop) == expected).all()


def test_steps_differ() -> None:
    one, two = (draw(jax.random.fold_in(KEY, step), jnp.arange(4), (2,), 0.1) for step in (1, 2))
    assert not np.isclose(one.u, two.u).any() and not np.isclose(one.eps, two.eps).any()
