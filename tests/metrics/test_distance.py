"""The kernel distance against closed forms and chance."""

import numpy as np
import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.metrics.distance import features, kernel_distance


def test_expectation_is_that_of_the_closed_form() -> None:
    """For N(0, 1) against N(1, 1) in one dimension, from moments of products.

    E (xy + 1)^3 = 1 + 3 E x E y + 3 E x^2 E y^2 + E x^3 E y^3 for independent x, y, with moments
    (0, 1, 0) and (1, 2, 4): E k(x,x') = 4, E k(y,y') = 1 + 3 + 12 + 16 = 32, E k(x,y) = 7.
    """
    rng = np.random.default_rng(0)
    values = [
        kernel_distance(rng.normal(size=(200, 1)), 1 + rng.normal(size=(200, 1))).value
        for _ in range(200)
    ]
    expected = 4 + 32 - 2 * 7
    assert np.mean(values) == pytest.approx(expected, abs=4 * np.std(values) / np.sqrt(200))


@pytest.mark.parametrize(("n", "m"), [(20, 300), (300, 20), (100, 100)])
def test_no_bias_and_an_honest_standard_error(n: int, m: int) -> None:
    rng = np.random.default_rng(1)
    draws = [kernel_distance(rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) for _ in range(300)]
    values = np.array([draw.value for draw in draws])
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(300)
    far = [
        kernel_distance(1 + rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) for _ in range(300)
    ]
    spread = np.std([draw.value for draw in far])
    stated = np.sqrt(np.mean([draw.standard_error**2 for draw in far]))
    assert stated == pytest.approx(spread, rel=0.3)


def test_pictures_become_rows_between_minus_one_and_one() -> None:
    rows = features(np.array([[[[0], [255]]]], np.uint8))
    np.testing.assert_array_equal(rows, [[-1.0, 1.0]])


def test_two_samples_do_not_tell_how_much_their_kernel_scatters() -> None:
    with pytest.raises(UserError, match="at least 3"):
        kernel_distance(np.zeros((2, 3)), np.zeros((5, 3)))
