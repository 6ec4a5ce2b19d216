"""Networks and autoencoder of the diffusers library."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks.autoencoders import AutoencoderKL
from diffusion_jax.networks.configurations import from_configuration
from diffusion_jax.networks.unet2d import UNet2D, UNet2DCondition
from tests.golden import networks
from tests.golden.check import Comparisons, checks
from tests.golden.load import Case


@checks("diffusers", "net_unet2d")
def unet2d(case: Case) -> Comparisons:
    context = None
    if "class_labels" in case:
        classes = np.eye(case.kwargs["num_class_embeds"])
        context = networks.context(classes[case["class_labels"]])
    yield from _outputs(case, UNet2D, context)


@checks("diffusers", "net_unet2dcond")
def unet2d_condition(case: Case) -> Comparisons:
    text, numbers = case.get("text_embeds"), case.get("time_ids")
    context = networks.context(text, case["encoder_hidden_states"], numbers=numbers)
    yield from _outputs(case, UNet2DCondition, context)


def _outputs(case: Case, kind: type[nn.Module], context: object) -> Comparisons:
    yield from networks.outputs(
        case,
        lambda dtype: from_configuration(kind, case.kwargs, dtype=dtype),
        networks.channels_last(case["sample"]),
        case["timestep"].astype(np.float64),
        context,
    )


@checks("diffusers", "net_autoencoderkl")
def autoencoder_kl(case: Case) -> Comparisons:
    for dtype in networks.CLOSE:
        network = from_configuration(AutoencoderKL, case.kwargs, dtype=dtype)
        x = networks.channels_last(case["sample"]).astype(dtype)
        params = {"params": networks.parameters(case, network, x)}
        found = _coded(network, params, x)
        for name, value in zip(("latent_mean", "decoded"), found[::2], strict=True):
            yield networks.close(case, name, np.moveaxis(value, -1, 1), dtype)
        if dtype == "float64":
            yield networks.close(case, "latent_logvar", np.moveaxis(found[1], -1, 1), dtype)
            std = np.exp(np.moveaxis(found[1], -1, 1) / 2)
            yield networks.close(case, "latent_std", std, dtype)


def _coded(network: nn.Module, params: object, x: jnp.ndarray) -> list[np.ndarray]:
    """Mean and log-variance of the latents, and the pictures that the mean stands for."""

    @jax.jit
    def coded(params: object, x: jnp.ndarray) -> tuple[jnp.ndarray, ...]:
        mean, log_variance = network.apply(params, x, method="encode")
        return mean, log_variance, network.apply(params, mean, method="decode")

    return [np.asarray(each) for each in coded(params, x)]
