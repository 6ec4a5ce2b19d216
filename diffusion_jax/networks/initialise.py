"""First values of the parameters, drawn on the host.

Compiling a network's own `init` takes half a minute on a CPU: a random generator is compiled
for every parameter. Shapes alone come from `jax.eval_shape` at once, and the name of a parameter
says the rest, by the same conventions as the modules' initialisers:

    in a module "zero…"   kernel 0 (ends of residual branches, gates, the output)
    kernel                normal, variance 1 / fan-in
    embedding             normal, variance 1
    scale                 1
    bias                  0

The tests hold these rules against `network.init` for every member of the registry.
"""

import functools
import math
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray, PyTree

from diffusion_jax.networks.score_network import Condition, ScoreNetwork

Params = dict[str, Any]


def initialise(
    network: ScoreNetwork,
    key: PRNGKeyArray,
    picture_shape: tuple[int, ...],
    condition_example: Condition,
) -> Params:
    """Returns parameters as numpy arrays, the same for a key on any machine and any mesh.

    Args:
        network: the score network.
        key: a JAX key.
        picture_shape: (height, width, channels) of a picture, or (features,) of a vector.
        condition_example: a condition of any batch size, e.g. one batch's tokens.

    Returns:
        The "params" collection, float32 leaves.

    Raises:
        UserError: the picture does not fit the network.

    >>> from diffusion_jax.networks.score_network import build
    >>> params = initialise(build("mlp(width=8, depth=1)"), jax.random.key(0), (2,), {})
    >>> params["backbone"]["in"]["kernel"].shape
    (2, 8)
    """
    shapes = parameter_shapes(network, picture_shape, condition_example)
    seed = np.asarray(jax.random.key_data(key)).ravel().tolist()

    def value(path: tuple[jax.tree_util.DictKey, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        names = tuple(entry.key for entry in path)
        # A generator per name: a parameter's value does not depend on what else there is.
        generator = np.random.default_rng([*seed, zlib.crc32("/".join(names).encode())])
        return first_value(names, leaf.shape, generator)

    return jax.tree_util.tree_map_with_path(value, shapes)


def parameter_shapes(
    network: ScoreNetwork, picture_shape: tuple[int, ...], condition_example: Condition
) -> PyTree[jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the parameters that `initialise` makes; its arguments."""
    condition = tuple(
        (name, jax.ShapeDtypeStruct(value.shape, value.dtype))
        for name, value in condition_example.items()
    )
    return _shapes(network, picture_shape, condition)


@functools.cache
def _shapes(
    network: ScoreNetwork,
    picture_shape: tuple[int, ...],
    condition: tuple[tuple[str, jax.ShapeDtypeStruct], ...],
) -> PyTree[jax.ShapeDtypeStruct]:
    """Of the parameters; kept, as tracing a network takes a second."""
    batch = next((value.shape[0] for _, value in condition), 1)
    x = jax.ShapeDtypeStruct((batch, *picture_shape), jnp.float32)
    c_noise = jax.ShapeDtypeStruct(network.noise_shape(batch), jnp.float32)
    init = functools.partial(network.init, jax.random.key(0))
    return jax.eval_shape(init, x, c_noise, dict(condition))["params"]


def first_value(
    names: tuple[str, ...], shape: tuple[int, ...], generator: np.random.Generator
) -> np.ndarray:
    """Draws one parameter by the rules at the head of this file.

    Args:
        names: path of the parameter, e.g. ("backbone", "stem", "kernel").
        shape: its shape.
        generator: source of randomness.
    """
    *_, module, kind = names
    if kind == "bias" or module.startswith("zero"):
        return np.zeros(shape, np.float32)
    if kind == "scale":
        return np.ones(shape, np.float32)
    if kind == "embedding":
        return generator.standard_normal(shape, np.float32)
    if kind == "kernel":
        fan_in = math.prod(shape[:-1])
        return generator.standard_normal(shape, np.float32) / np.float32(math.sqrt(fan_in))
    raise ValueError(f"no rule for the first value of {'/'.join(names)}")
