"""First values drawn on the host have the distributions that the modules themselves declare."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffusion_jax.networks.initialise import initialise
from diffusion_jax.networks.score_network import build
from tests.networks.random_parameters import quick_jit

CASES = {
    "unet": ("unet(channels=(8,), blocks=1, attention=(0,))", "transformer(width=16)", (8, 8, 3)),
    "dit": ("dit(width=16, depth=1)", "transformer(width=16)", (8, 8, 3)),
    "mlp": ("mlp(width=16, depth=1)", "label(width=16)", (5,)),
}
CONDITION = {"tokens": np.ones((2, 4), np.int32), "label": np.ones(2, np.int32)}


def network_of(case):
    network, text, shape = CASES[case]
    return build(network, text, vocabulary_size=9, num_classes=3), shape


def by_path(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


@pytest.mark.parametrize("case", sorted(CASES))
def test_same_distributions_as_the_modules_own(case):
    network, shape = network_of(case)
    key = jax.random.key(0)
    inputs = jnp.zeros((2, *shape)), jnp.zeros(2), CONDITION
    own = by_path(quick_jit(network.init)(key, *inputs)["params"])
    ours = by_path(initialise(network, key, shape, CONDITION))
    assert ours.keys() == own.keys()
    for path, value in ours.items():
        assert value.shape == own[path].shape and value.dtype == own[path].dtype, path
        if own[path].std() == 0:
            np.testing.assert_array_equal(value, own[path], err_msg=path)
        else:
            # The standard error of a standard deviation is 1/sqrt(2n) of it; two are compared.
            tolerance = 5 / np.sqrt(value.size)
            assert abs(value.std() / own[path].std() - 1) < tolerance, path
            assert abs(value.mean()) < tolerance * own[path].std(), path


def test_a_key_and_nothing_else_decides():
    network, shape = network_of("mlp")
    one = by_path(initialise(network, jax.random.key(3), shape, CONDITION))
    longer = jax.tree.map(lambda value: np.repeat(value, 3, axis=0), CONDITION)
    same = by_path(initialise(network, jax.random.key(3), shape, longer))
    other = by_path(initialise(network, jax.random.key(4), shape, CONDITION))
    for path, value in one.items():
        np.testing.assert_array_equal(value, same[path])
        assert value.std() == 0 or not np.array_equal(value, other[path]), path


def test_parameters_are_independent_of_each_other():
    network, shape = network_of("mlp")
    params = initialise(network, jax.random.key(0), shape, CONDITION)["backbone"]
    square = [
        v["kernel"] for v in params.values() if v.get("kernel", np.zeros(1)).shape == (16, 16)
    ]
    assert len(square) >= 2
    correlation = np.corrcoef([kernel.ravel() for kernel in square])
    assert np.abs(correlation - np.eye(len(square))).max() < 0.35
