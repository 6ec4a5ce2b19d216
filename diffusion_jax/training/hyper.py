"""What an arm brings to the compiled step that it shares with others."""

from jaxtyping import PyTree

from diffusion_jax.networks.adapters.base import Tuning
from diffusion_jax.struct import pytree
from diffusion_jax.training.denoising import Denoising
from diffusion_jax.training.ema import Average
from diffusion_jax.training.method import TrainingMethod
from diffusion_jax.training.optimizers import Given, Optimizer


@pytree
class Hyper:
    """How an arm turns its losses into updates.

    The numbers in it (learning rate, decay of the average, …) are leaves: arms whose `Hyper`s
    differ in them alone share a compiled step, which may be mapped over them.

    Attributes:
        optimizer: makes updates of gradients.
        average: the running average of the parameters.
        method: gives the losses.
        tuning: what of the network is trained, and what is not; None where all of it is.
    """

    optimizer: Optimizer | Given
    average: Average
    method: TrainingMethod = Denoising()
    tuning: Tuning | None = None

    def whole(self, params: PyTree) -> PyTree:
        """The parameters of the network, from those that are trained."""
        return params if self.tuning is None else self.tuning.whole(params)
