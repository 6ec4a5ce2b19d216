"""Networks and autoencoder of the diffusers library."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffusion_jax.networks import autoencoders
from diffusion_jax.networks.configurations import from_configuration
from diffusion_jax.networks.unet2d import UNet2D, UNet2DCondition
from tests.golden import networks
from tests.golden.check import Comparisons, checks
from tests.golden.load import Case


@checks("diffusers", "net_unet2d")
def unet2d(case: Case) -> Comparisons:
    vector, number = _class(case)
    told = vector is not None or number is not None
    context = networks.context(vector, numbers=number) if told else None
    yield from _outputs(case, UNet2D, context)


@checks("diffusers", "net_unet2dcond")
def unet2d_condition(case: Case) -> Comparisons:
    vector, number = _class(case)
    pooled = _side_by_side(vector, case.get("text_embeds"))
    numbers = _side_by_side(number, case.get("time_ids"))
    words, mask = case["encoder_hidden_states"], case.get("encoder_attention_mask")
    yield from _outputs(case, UNet2DCondition, networks.context(pooled, words, mask, numbers))


def _class(case: Case) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The class as a vector or as a number, if there is one."""
    labels, count = case.get("class_labels"), case.kwargs.get("num_class_embeds")
    if labels is None:
        return None, None
    if case.kwargs.get("class_embed_type") == "timestep":
        return None, labels[:, None]
    return (labels if count is None else np.eye(count)[labels]), None


def _side_by_side(*parts: np.ndarray | None) -> np.ndarray | None:
    given = [part for part in parts if part is not None]
    return np.concatenate(given, axis=1) if given else None


def _outputs(case: Case, kind: type[nn.Module], context: object) -> Comparisons:
    yield from networks.outputs(
        case,
        lambda dtype: from_configuration(kind, case.kwargs, dtype=dtype),
        networks.channels_last(case["sample"]),
        case["timestep"].astype(np.float64),
        context,
    )


AUTOENCODERS = {
    "net_autoencoderkl": autoencoders.AutoencoderKL,
    "net_autoencoderkl_flux2": autoencoders.AutoencoderKLFlux2,
    "net_autoencodertiny": autoencoders.AutoencoderTiny,
    "net_autoencoderdc": autoencoders.AutoencoderDC,
}


@checks("diffusers", *AUTOENCODERS)
def autoencoder(case: Case) -> Comparisons:
    for dtype in networks.precisions(case, "decoded"):
        network = from_configuration(AUTOENCODERS[case.family], case.kwargs, dtype=dtype)
        x = networks.channels_last(case["sample"]).astype(dtype)
        params = {"params": networks.parameters(case, network, x)}
        found = _coded(network, params, x)
        for name, value in zip(("latent_mean", "decoded"), found[::2], strict=True):
            yield networks.close(case, name, np.moveaxis(value, -1, 1), dtype)
        if "latent_logvar_f64" in case and dtype == "float64":
            yield networks.close(case, "latent_logvar", np.moveaxis(found[1], -1, 1), dtype)
        if "latent_std_f64" in case and dtype == "float64":
            std = np.exp(np.moveaxis(found[1], -1, 1) / 2)
            yield networks.close(case, "latent_std", std, dtype)
        if "normalised_f64" in case:
            normalised = network.apply(params, jnp.asarray(found[0]), method="normalise")
            yield networks.close(case, "normalised", np.moveaxis(normalised, -1, 1), dtype)


def _coded(network: nn.Module, params: object, x: jnp.ndarray) -> list[np.ndarray]:
    """Mean and log-variance of the latents, and the pictures that the mean stands for."""

    @jax.jit
    def coded(params: object, x: jnp.ndarray) -> tuple[jnp.ndarray, ...]:
        mean, log_variance = network.apply(params, x, method="encode")
        return mean, log_variance, network.apply(params, mean, method="decode")

    return [np.asarray(each) for each in coded(params, x)]
