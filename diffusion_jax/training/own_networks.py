"""Networks of one's own, tried before anything is trained."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import Rows
from diffusion_jax.networks.functions import FunctionNetwork
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.program import params_shapes


def check_networks(arms: Mapping[str, Arm], facts: DataFacts, example: Rows) -> None:
    """Calls each arm's network with shapes alone, as training will.

    Args:
        arms: name -> arm, bound to the data.
        facts: of the data.
        example: a row of its condition.

    Raises:
        UserError: it has no parameters, or cannot be called so; what it raised is the cause.
    """
    for name, arm in arms.items():
        if isinstance(arm.network, FunctionNetwork):
            _check(name, arm.network, facts, example)


def _check(name: str, network: FunctionNetwork, facts: DataFacts, example: Rows) -> None:
    numbers = (1,) if network.noise_inputs == 1 else (1, network.noise_inputs)
    x = jax.ShapeDtypeStruct((1, *facts.shape), jnp.float32)
    c_noise = jax.ShapeDtypeStruct(numbers, jnp.float32)
    call = network.functions.apply
    try:
        params = params_shapes(network, facts, example)
        if jax.tree.leaves(params):
            jax.eval_shape(call, params, x, c_noise, dict(example), jax.random.key(0))
            return
    except (TypeError, KeyError, AttributeError) as error:
        said = str(error).split("\n")[0]
        raise UserError(
            f"The network of arm {name!r} cannot be called with x {x.shape}, c_noise "
            f"{c_noise.shape} and a condition of {sorted(example) or 'nothing'}: "
            f"{type(error).__name__}: {said}"
        ) from error
    raise UserError(f"The network of arm {name!r} has no parameters to train.")
