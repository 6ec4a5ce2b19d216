"""A trained network as a denoiser."""

from typing import cast

from jaxtyping import Array, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.networks.score_network import Condition
from diffusion_jax.process.denoiser import Denoiser, from_network
from diffusion_jax.process.preconditionings import EDMPreconditioning, Preconditioning
from diffusion_jax.process.predictions import Prediction
from diffusion_jax.struct import Scalar, pytree, static


@pytree
class NetworkDenoiser:
    """All that makes a denoiser of a score network; its leaves may be traced.

    Attributes:
        network: whose parameters these are.
        params: of the network.
        prediction: what it was trained to predict.
        sigma_data: standard deviation of the data, as in its training.
        without: self-attentions that are left out (`ScoreNetwork.perturbed`); None is none of
            them.
        preconditioning: what it sees of x and of the noise level.

    >>> import jax
    >>> import jax.numpy as jnp
    >>> from diffusion_jax.networks.initialise import initialise
    >>> from diffusion_jax.networks.score_network import build
    >>> from diffusion_jax.process.level import Level
    >>> from diffusion_jax.process.predictions import X0
    >>> network = build("mlp(width=8, depth=1)")
    >>> params = initialise(network, jax.random.key(0), (2,), {})
    >>> denoise = NetworkDenoiser(network, params, X0(), 0.5).denoiser()
    >>> denoise(jnp.ones((3, 2)), Level(jnp.array(0.6), jnp.array(0.8)), {}).shape
    (3, 2)
    """

    network: AnyNetwork = static()
    params: PyTree
    prediction: Prediction
    sigma_data: Scalar
    without: tuple[int, ...] | None = static(default=None)
    preconditioning: Preconditioning = EDMPreconditioning()

    def denoiser(self) -> Denoiser:
        """(x, level, condition) → E[x_0 | x], and what else the network tells."""

        network = self.network.for_sampling()
        if self.without is not None:
            network = network.perturbed(self.without)

        def predict(x: Array, c_noise: Array, condition: Condition | None) -> Array:
            variables = {"params": self.params}
            return cast(Array, network.apply(variables, x, c_noise, condition or {}))

        return from_network(
            predict,
            self.prediction,
            self.sigma_data,
            self.network.variance,
            self.preconditioning,
        )
