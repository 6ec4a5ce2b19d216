"""Training of an autoencoder in the place of a denoiser: by how well it gives pictures back."""

import dataclasses
import math
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.networks.autoencoders import autoencoders
from diffusion_jax.networks.autoencoders.autoencoder_kl import AutoencoderKL
from diffusion_jax.networks.conditioners.base import Condition
from diffusion_jax.networks.functions import AnyNetwork, FunctionNetwork, Linen
from diffusion_jax.process.level import Level
from diffusion_jax.process.objective import Objective
from diffusion_jax.process.predictions import Coefficients
from diffusion_jax.process.schedules import Cosine
from diffusion_jax.registry import Registry, parse
from diffusion_jax.runs.state import TrainState
from diffusion_jax.struct import Scalar, pytree
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.method import TrainingMethod
from diffusion_jax.training.perception import Perception, read_perception

TRAINED = "autoencoder_kl"  # the member that can be trained here


@pytree
class KLAutoencoding(TrainingMethod):
    """The error of pictures that are given back, and how far their latents are from a normal one.

    z is drawn from q(z|x) = N(μ, s²), and D numbers are in a picture:

        L = (|x - x̂(z)|² + weight Σ (μ² + s² - 1 - log s²)/2)/D,

    which without perception is a bound on log p(x), where pixels have noise of variance weight/2.
    With it, `perceptual` d(x, x̂) is added, the distance of features.

    Source: Kingma & Welling 2014 (variational autoencoders), eq. 10; Rombach et al. 2022 (latent
    diffusion), section 3.1 and appendix G, for the small weight.

    Attributes:
        weight: of the divergence.
        perceptual: of the distance of features.
        perception: which features; None for none.

    Raises:
        UserError: a weight is negative, or of perception and its weight one is given alone.
    """

    weight: Scalar = 1e-6
    perceptual: Scalar = 0.0
    perception: Perception | None = None

    def __post_init__(self) -> None:
        for name in ("weight", "perceptual"):
            value = getattr(self, name)
            if isinstance(value, float | int) and not 0 <= value < math.inf:
                raise UserError(f"autoencoder loss 'kl': {name}={value} must be 0 or more.")
        if isinstance(self.perceptual, float | int) and bool(self.perceptual) != bool(
            self.perception
        ):
            raise UserError(
                "autoencoder loss 'kl': perceptual, a weight, and the encoder whose features it is "
                "of come together."
            )

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        x, module = inputs.batch["x0"], module_of(network)
        mean, log_variance = module.apply({"params": params}, x, method="encode")
        z = mean + jnp.exp(log_variance / 2) * _noise(inputs.draws.key, mean.shape[1:])
        back: Array = module.apply({"params": params}, z, method="decode")
        divergence = (mean**2 + jnp.exp(log_variance) - 1 - log_variance) / 2
        total = _sum((back - x) ** 2) + self.weight * _sum(divergence)
        error = total / math.prod(x.shape[1:])
        if self.perception is None:
            return error
        return error + self.perceptual * self.perception.distance(back, x)


autoencoder_losses: Registry[KLAutoencoding] = Registry("autoencoder loss")


@autoencoder_losses.register(
    "kl", "L = (|x - x̂|² + weight KL(q(z|x), N(0, 1)))/D + perceptual d(x, x̂)"
)
def kl(weight: float = 1e-6, perceptual: float = 0.0, encoder: str = "") -> KLAutoencoding:
    """The error of pictures that are given back, and how far their latents are from a normal one.

    Args:
        weight: of the divergence.
        perceptual: of the distance of an encoder's features; 0 for none.
        encoder: the folder of DINOv2 or CLIP; "" for none.

    Raises:
        UserError: a weight is negative, there is no such encoder, or of the last two one is given
            alone.
    """
    return KLAutoencoding(weight, perceptual, read_perception(encoder) if encoder else None)


def _noise(keys: Key[Array, " batch"], shape: tuple[int, ...]) -> Float[Array, "batch ..."]:
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def _sum(values: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
    return values.reshape(len(values), -1).sum(axis=1)


@dataclasses.dataclass(frozen=True)
class AutoencoderFunctions(Linen):
    """An autoencoder as the functions that training asks of a network.

    Attributes:
        module: it, without parameters.
    """

    def inputs(self, x: Any, c_noise: Any, condition: Condition) -> tuple[Any, ...]:
        """The picture.

        Raises:
            UserError: the data are no pictures, or have other channels.
        """
        if x.ndim != 4:
            raise UserError(f"An autoencoder is of pictures, not of data of shape {x.shape[1:]}.")
        if x.shape[-1] != self.module.out_channels:
            raise UserError(
                f"The autoencoder makes pictures of out_channels={self.module.out_channels}, and "
                f"those of the data set have {x.shape[-1]}."
            )
        return (x,)

    def apply(
        self,
        params: PyTree,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        key: Key[Array, ""] | None,
    ) -> Float[Array, "batch ..."]:
        """Pictures by way of the mean of their latents; what the noise level is does not matter."""
        return cast(Array, self.module.apply({"params": params}, x))


@pytree
class GivenBack:
    """What an autoencoder predicts: the picture that it sees. It is no denoiser."""

    denoises: ClassVar[bool] = False

    def coefficients(self, level: Level) -> Coefficients:
        """Raises UserError."""
        raise UserError("An autoencoder predicts nothing of noisy pictures.")


def is_autoencoder(network: str) -> bool:
    """Whether a spec is of an autoencoder."""
    return parse(network, "network").name in autoencoders


def autoencoder_functions(module: object) -> AutoencoderFunctions:
    """An autoencoder as training takes it.

    Raises:
        UserError: it cannot be trained here.
    """
    if not isinstance(module, AutoencoderKL):
        raise UserError(
            f"{type(module).__name__} is not trained here: of autoencoders, {TRAINED} is."
        )
    return AutoencoderFunctions(module)


def autoencoder_objective() -> Objective:
    """In the place of the objective of a denoiser, which an autoencoder does not have."""
    return Objective(Cosine(), GivenBack())


def module_of(network: AnyNetwork) -> Any:
    """The autoencoder that a network is."""
    assert isinstance(network, FunctionNetwork), "the network is an autoencoder"
    assert isinstance(network.functions, AutoencoderFunctions), "the network is an autoencoder"
    return network.functions.module


def check_samples(name: str, objective: Objective) -> None:
    """Refuses to draw samples from an arm that is an autoencoder.

    Raises:
        UserError: it is one.
    """
    if isinstance(objective.prediction, GivenBack):
        raise UserError(
            f"Arm {name!r} is an autoencoder, from which nothing is drawn: train it by "
            "experiments.train, and then an arm on the data set latents(autoencoder=RUN, …)."
        )
