"""What computes an attention changes neither its values nor its derivatives."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.networks.attention import attend, by_rows
from diffusion_jax.networks.attention.by_rows import attend_by_rows
from diffusion_jax.networks.attention.implementations import chosen
from diffusion_jax.networks.attention.pallas import attend_by_pallas
from diffusion_jax.sampling.forward_mode import forward_mode

SCALE = 0.3


def drawn(queries: int, keys: int) -> list[jax.Array]:
    """Queries, keys, values, and a direction of the queries."""
    return [
        jax.random.normal(jax.random.fold_in(jax.random.key(0), i), (2, rows, 2, 8))
        for i, rows in enumerate((queries, keys, keys, queries))
    ]


def whole(query, key, value, mask, scale):
    """Of the formula, in one piece."""
    logits = jnp.einsum("bqhd,bkhd->bhqk", query, key) * (8**-0.5 if scale is None else scale)
    weights = jax.nn.softmax(logits if mask is None else jnp.where(mask, logits, -jnp.inf))
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value)


def masks(keys: int) -> dict[str, jax.Array | None]:
    """None, one for each example, one for all."""
    each = jnp.arange(keys) < jnp.array([[5], [keys]])
    return {"none": None, "each": each[:, None, None], "all": each[:1, None, None]}


@pytest.mark.parametrize("queries", [16, 21])  # in whole parts of 8 at most, and not
@pytest.mark.parametrize("masked", ["none", "each", "all"])
def test_by_rows(queries: int, masked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_rows, "ROWS", 8)
    query, key, value, along = drawn(queries, 24)
    mask, scale = masks(24)[masked], None if masked == "none" else SCALE

    def found(how) -> tuple:
        def call(*given: jax.Array) -> jax.Array:
            return how(*given, mask, scale)

        def size(*given: jax.Array) -> jax.Array:
            return (call(*given) ** 2).sum()

        forward = jax.jvp(lambda query: call(query, key, value), (query,), (along,))
        return forward, jax.jit(jax.grad(size, (0, 1, 2)))(query, key, value)

    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5),
        found(attend_by_rows),
        found(whole),
    )


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of CPUs")
def test_a_cpu_makes_large_maps_by_rows_and_others_in_one_piece() -> None:
    def loops(rows: int, **settings) -> bool:
        query, key, value, _ = drawn(rows, rows)
        return "scan" in str(jax.make_jaxpr(lambda q: attend(q, key, value, **settings))(query))

    assert loops(256)
    assert not loops(128)
    assert not loops(256, mask=jnp.ones((1, 1, 256, 256), bool))
    assert not loops(256, bias=jnp.ones((1, 1, 256, 256)))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an interpreter computes it on a CPU")
@pytest.mark.parametrize("masked", ["none", "each", "all"])
def test_pallas(masked: str) -> None:
    from jax.experimental.pallas import tpu

    query, key, value, _ = drawn(21, 24)
    mask, scale = masks(24)[masked], None if masked == "none" else SCALE
    with tpu.force_tpu_interpret_mode():
        found = jax.jit(attend_by_pallas, static_argnames="scale")(query, key, value, mask, scale)
    np.testing.assert_allclose(found, whole(query, key, value, mask, scale), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("device", "implementation", "dtype", "head", "expected"),
    [
        ("gpu", "auto", "bfloat16", 64, "cudnn"),
        ("gpu", "auto", "float32", 64, "xla"),
        ("gpu", "auto", "bfloat16", 20, "xla"),
        ("gpu", "auto", "bfloat16", 160, "xla"),
        ("gpu", "xla", "bfloat16", 64, "xla"),
        ("tpu", "auto", "bfloat16", 64, "pallas"),
        ("tpu", "pallas", "bfloat16", 64, "pallas"),
        ("cpu", "auto", "bfloat16", 64, "xla"),
    ],
)
def test_what_is_chosen(
    device: str,
    implementation: str,
    dtype: str,
    head: int,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert chosen(implementation, jnp.dtype(dtype), head) == expected
    if expected != "xla":
        with (
            forward_mode("mean_flow"),
            pytest.warns(UserWarning, match=f"not by '{expected}': mean_flow differentiates"),
        ):
            assert chosen(implementation, jnp.dtype(dtype), head) == "xla"
