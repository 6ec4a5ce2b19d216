"""The annotations of the library are checked while tests run."""

import jax.numpy as jnp
import pytest
from jaxtyping import Array, Float, TypeCheckError, jaxtyped

from diffusion_jax.process.level import Level
from tests.annotations import checked


def test_the_library_is_checked() -> None:
    with pytest.raises(TypeCheckError, match="alpha"):
        Level(jnp.ones(3, int), jnp.ones(3))


@jaxtyped(typechecker=checked)
def turned(x: Float[Array, "rows columns"], turn: bool = True) -> Float[Array, "columns rows"]:
    return x.T if turn else x


@pytest.mark.parametrize(
    ("x", "turn", "what"),
    [
        (jnp.ones(3), True, "the parameters"),
        (jnp.ones((2, 3), int), True, "the parameters"),
        (jnp.ones((2, 3)), "yes", "the parameters"),
        (jnp.ones((2, 3)), False, "the return value"),  # its axes are those of x
    ],
)
def test_what_does_not_fit_is_refused(x: Array, turn: bool, what: str) -> None:
    with pytest.raises(TypeCheckError, match=what):
        turned(x, turn)


def test_what_fits_is_not() -> None:
    assert turned(jnp.ones((2, 3))).shape == (3, 2)
    assert turned(jnp.ones((2, 2)), False).shape == (2, 2)
