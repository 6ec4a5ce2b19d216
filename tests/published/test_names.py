"""Parameters are found in files by the original's names, and nothing is passed over."""

from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from diffusion_jax.errors import UserError
from diffusion_jax.published.names import Names, names_of, to_params, to_tensors


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (3, 3), name="conv_in")(x)
        x = nn.GroupNorm(2, name="blocks.0.norm")(x)
        x = nn.Dense(6, name="blocks.0.to_out.0")(x)
        return (
            x
            + nn.Embed(5, 6, name="token")(jnp.zeros(1, int))
            + self.param("pos_embed", nn.initializers.ones, (1, 1, 1, 6))
        )


X = jnp.ones((1, 4, 4, 3))


@pytest.fixture(scope="module")
def params():
    return Block().init(jax.random.key(0), X)["params"]


def test_tensors_have_the_original_names_and_layouts(params) -> None:
    assert {name: value.shape for name, value in to_tensors(params).items()} == {
        "conv_in.weight": (4, 3, 3, 3),
        "conv_in.bias": (4,),
        "blocks.0.norm.weight": (4,),
        "blocks.0.norm.bias": (4,),
        "blocks.0.to_out.0.weight": (6, 4),
        "blocks.0.to_out.0.bias": (6,),
        "token.weight": (5, 6),
        "pos_embed": (1, 1, 1, 6),
    }


def test_a_convolution_is_the_correlation_of_its_tensor(params) -> None:
    """The layout is (out, in, rows, columns): held against sums written out."""
    weight = to_tensors(params)["conv_in.weight"]
    x = np.random.default_rng(0).normal(size=(1, 5, 5, 3)).astype(np.float32)
    found = nn.Conv(4, (3, 3), padding="VALID").apply({"params": params["conv_in"]}, x)
    by_hand = np.einsum("oirc,rci->o", weight, x[0, 1:4, 2:5])
    np.testing.assert_allclose(found[0, 1, 2], by_hand, atol=1e-5)


@pytest.mark.parametrize("sharded", [False, True])
def test_what_is_written_is_read_back(params, sharded) -> None:
    mesh = jax.make_mesh((1,), ("data",))
    sharding = NamedSharding(mesh, PartitionSpec()) if sharded else None
    shapes = jax.eval_shape(lambda: params)
    found = to_params(shapes, to_tensors(params), sharding=sharding)
    jax.tree.map(np.testing.assert_array_equal, found, params)
    half = to_params(shapes, to_tensors(params), dtype=jnp.bfloat16, sharding=sharding)
    assert {leaf.dtype for leaf in jax.tree.leaves(half)} == {jnp.dtype(jnp.bfloat16)}


def test_names_that_differ_are_translated(params) -> None:
    names = Names(renamed=((r"^blocks[.](\d+)", r"layers.\1"),), unused=(r".*position_ids",))
    tensors = to_tensors(params, names)
    assert "layers.0.norm.weight" in tensors
    tensors["text.position_ids"] = np.arange(3)
    found = to_params(jax.eval_shape(lambda: params), tensors, names)
    jax.tree.map(np.testing.assert_array_equal, found, params)


def test_a_network_says_itself_what_differs() -> None:
    class Own(Block):
        renamed: ClassVar[tuple[tuple[str, str], ...]] = ((r"^blocks[.]0", "block"),)
        unused: ClassVar[tuple[str, ...]] = (r"freqs",)

    assert names_of(Own()) == Names(Own.renamed, Own.unused)
    assert names_of(Block()) == Names()


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda t: t.pop("conv_in.bias"), "'conv_in.bias'"),
        (lambda t: t.update(conv_on=t["pos_embed"]), "have no place in the network: 'conv_on'"),
        (lambda t: t.update({"conv_in.bias": np.ones(3)}), r"has shape \(3,\), and the network"),
        (lambda t: t.update({"conv_in_.bias": t.pop("conv_in.bias")}), "Did you mean"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(params, change, line) -> None:
    tensors = to_tensors(params)
    change(tensors)
    with pytest.raises(UserError, match=line):
        to_params(jax.eval_shape(lambda: params), tensors)
