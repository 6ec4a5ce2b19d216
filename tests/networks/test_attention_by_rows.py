"""Attention that a CPU makes by rows is that of the whole map, and so are its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.networks import attention


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_by_rows_is_the_same(
    masked: bool, scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    query, key, value, along = (
        jax.random.normal(each, (2, rows, 2, 4))
        for each, rows in zip(keys, (256, 24, 24, 256), strict=True)
    )
    mask = (jnp.arange(24) < jnp.array([[5], [24]]))[:, None, None] if masked else None

    def call(query: jax.Array) -> jax.Array:
        return attention.attend(query, key, value, mask, scale=scale)

    def found() -> list[jax.Array]:
        forward = jax.jvp(call, (query,), (along,))
        return [*forward, jax.grad(lambda q: (call(q) ** 2).sum())(query)]

    whole = found()
    asked = []
    monkeypatch.setattr(attention, "LARGE", 1)
    by_rows = attention._by_rows
    monkeypatch.setattr(attention, "_by_rows", lambda *given: asked.append(1) or by_rows(*given))
    for one, other in zip(whole, found(), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5)
    assert asked or jax.default_backend() != "cpu"
