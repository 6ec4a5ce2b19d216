"""First values of parameters are those that the modules' own initialisers declare."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffusion_jax.errors import UserError
from diffusion_jax.networks.initialise import init, initialise
from diffusion_jax.networks.score_network import build
from tests.networks.random_parameters import quick_jit
from tests.networks.small import SMALL, TEXT

FEW = 16  # values, of fewer of which a standard deviation says little
CONDITION = {"tokens": np.ones((2, 4), np.int32), "label": np.ones(2, np.int32)}


def network_of(name):
    network = build(SMALL[name], TEXT, vocabulary_size=9)
    return network, (5,) if name == "mlp" else (8, 8, 3)


def by_path(tree):
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


@pytest.mark.parametrize("case", sorted(SMALL))
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
        elif value.size >= FEW:
            # The standard error of a standard deviation is 1/sqrt(2n) of it; two are compared.
            tolerance = 5 / np.sqrt(value.size)
            assert abs(value.std() / own[path].std() - 1) < tolerance, path
            apart = abs(value.mean() - own[path].mean())
            assert apart < 1.5 * tolerance * own[path].std(), path


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


class Own(nn.Module):
    """A network that nobody here imagined."""

    @nn.compact
    def __call__(self, x, c_noise, condition):
        places = self.param("pos_embed", nn.initializers.uniform(0.02), x.shape[1:])
        h = x + places + c_noise[:, None] * condition["wind"]
        h = nn.remat(nn.Dense)(6, kernel_init=nn.initializers.orthogonal(), name="in")(h)
        h = nn.Dense(6, kernel_init=nn.initializers.constant(0.5))(nn.LayerNorm()(h))
        return nn.Dense(x.shape[-1], bias_init=lambda key, shape, dtype: jnp.full(shape, 2.0))(h)


OWN_INPUTS = jnp.zeros((2, 4)), jnp.zeros(2), {"wind": jnp.zeros((2, 1))}


def test_a_module_of_ones_own_has_the_values_of_its_own_init():
    key = jax.random.key(7)
    ours, own = by_path(init(Own(), key, *OWN_INPUTS)), by_path(Own().init(key, *OWN_INPUTS))
    assert ours.keys() == {path.removeprefix("['params']") for path in own}
    for path, value in ours.items():
        np.testing.assert_allclose(value, own[f"['params']{path}"], rtol=1e-5, atol=1e-6)
    assert "['pos_embed']" in ours and ours["['pos_embed']"].std() > 0


def test_what_has_state_besides_parameters_is_refused():
    class Normed(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.BatchNorm(use_running_average=False)(x)

    with pytest.raises(UserError, match="Normed keeps batch_stats besides its parameters"):
        init(Normed(), jax.random.key(0), jnp.zeros((2, 3)))


@pytest.mark.parametrize("module", ["own", "mlp"])
def test_parameters_go_straight_to_where_they_live(module):
    devices = jax.devices()[: 1 + (len(jax.devices()) > 1)]
    whole = NamedSharding(Mesh(np.array(devices), ("fsdp",)), PartitionSpec())
    split = NamedSharding(whole.mesh, PartitionSpec("fsdp"))
    made, inputs = Own(), OWN_INPUTS
    if module == "mlp":
        made, inputs = network_of("mlp")[0], (jnp.zeros((2, 4)), jnp.zeros(2), CONDITION)
    wanted = init(made, jax.random.key(1), *inputs)
    shardings = jax.tree.map(lambda leaf: split if len(leaf) % len(devices) == 0 else whole, wanted)
    for sharding in (whole, shardings):
        placed = init(made, jax.random.key(1), *inputs, sharding=sharding)
        jax.tree.map(np.testing.assert_array_equal, placed, wanted)
        expected = jax.tree.map(lambda leaf: whole, wanted) if sharding is whole else sharding
        assert jax.tree.all(jax.tree.map(lambda x, where: x.sharding == where, placed, expected))


def test_a_constant_is_what_it_is():
    """Constants of any value and dtype, whichever way they are made."""

    class Constants(nn.Module):
        @nn.compact
        def __call__(self, x):
            self.param("half", lambda key: jnp.full((3,), 0.5, jnp.bfloat16))
            self.param("scalar", lambda key: jnp.float32(3))
            self.param("range", lambda key: jnp.arange(4))
            return x

    found = init(Constants(), jax.random.key(0), jnp.zeros(1))
    assert found["half"].dtype == jnp.bfloat16 and found["half"].tolist() == [0.5] * 3
    assert float(found["scalar"]) == 3 and found["range"].tolist() == [0, 1, 2, 3]


def test_initialisers_that_look_alike_keep_their_own_values():
    """Arrays and functions that an initialiser has are its own, whatever else is equal."""

    class Alike(nn.Module):
        @nn.compact
        def __call__(self, x):
            four = jax.ShapeDtypeStruct((4,), jnp.float32)
            for k in range(3):
                table = jnp.arange(4.0) * k
                self.param(f"table_{k}", lambda key, table=table: jnp.sin(table))
                self.param(f"noise_{k}", nn.initializers.normal(0.5), (4,))

                def read(k=k):
                    return np.full(4, k, np.float32)

                self.param(f"read_{k}", lambda key, f=read: jax.pure_callback(f, four))
            return x

    ours, own = (
        make(jax.random.key(0), jnp.zeros(1))
        for make in (lambda *given: init(Alike(), *given), Alike().init)
    )
    for name, value in own["params"].items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert len({tuple(np.asarray(ours[f"read_{k}"])) for k in range(3)}) == 3
