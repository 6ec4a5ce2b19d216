"""How much noise a reverse process draws: the free coefficient of its SDE."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import one_of
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.struct import Scalar


def half_squared_diffusion(node: Nodes) -> Float[Array, ""]:
    """g²/2 = sigma sigma' - (alpha'/alpha) sigma², of the forward SDE dx = f x dt + g dW.

    Source: Kingma et al. 2021 (VDM), eq. 19-20.
    """
    level, rate = node.level, node.rate
    return level.sigma * rate.sigma - rate.alpha / level.alpha * level.sigma**2


# w(t), given the norm. Those in terms of time are made for schedules from t = 0 to t = 1.
COEFFICIENTS: dict[str, Callable[[Nodes, Scalar], Array]] = {
    "sbdm": lambda node, norm: norm * half_squared_diffusion(node),
    "constant": lambda node, norm: norm * jnp.ones_like(node.time),
    "sigma": lambda node, norm: norm * node.level.sigma,
    "linear": lambda node, norm: norm * node.time,
    "decreasing": lambda node, norm: (1 - norm * jnp.cos(jnp.pi * node.time)) ** 2 / 4,
    "increasing_decreasing": lambda node, norm: norm * jnp.sin(jnp.pi * node.time) ** 2,
}


def coefficient(name: str, norm: Scalar, node: Nodes) -> Float[Array, ""]:
    """w(t) of the reverse SDE dx = (v - w score) dt + sqrt(2 w) dW, v the probability flow.

    Any w >= 0 has the marginals of the process; 0 is the probability flow itself. "sbdm" is
    g²/2, Anderson's time reversal of the forward SDE, infinite where no signal is left.

    Args:
        name: one of `COEFFICIENTS`.
        norm: its scale.
        node: where, scalars.

    Raises:
        UserError: there is no coefficient of that name.

    Source: Ma et al. 2024 (SiT), section 2.2 and table 2; Song et al. 2021 (score SDE), eq. 6.

    >>> from diffusion_jax.process.schedules import schedules
    >>> from diffusion_jax.sampling.grids import at_times
    >>> node = at_times(schedules.make("rectified_flow"), jnp.array([0.5]))[0]
    >>> float(coefficient("sbdm", 1.0, node))
    1.0
    """
    return COEFFICIENTS[one_of(name, COEFFICIENTS, "diffusion")](node, norm)
