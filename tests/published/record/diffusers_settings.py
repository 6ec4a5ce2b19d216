"""Settings of tiny networks of diffusers, and what goes into them, drawn from a generator."""

from collections.abc import Callable
from typing import Any

import diffusers
import numpy as np
import torch

ACTIVATIONS = ("silu", "silu", "gelu", "relu", "mish")

# Family, class of diffusers, its settings, and what runs it and gives arrays.
Drawn = tuple[str, str, dict, Callable[[Any, np.random.Generator], dict]]


def pick(generator: np.random.Generator, *options: Any) -> Any:
    """One of the options."""
    return options[generator.integers(len(options))]


def normal(generator: np.random.Generator, *shape: int) -> torch.Tensor:
    """Draws from N(0, 1), exact in single precision."""
    return torch.from_numpy(generator.standard_normal(shape).astype(np.float32).astype(np.float64))


def numpy(**tensors: torch.Tensor) -> dict:
    """Tensors as arrays."""
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def autoencoder_kl(generator: np.random.Generator) -> Drawn:
    levels, groups = int(generator.integers(1, 4)), pick(generator, 1, 2, 4)
    latent = pick(generator, 3, 4, 16)
    attends = [bool(generator.integers(4) == 0) for _ in range(levels)]
    kwargs = {
        "block_out_channels": [groups * int(n) for n in generator.integers(2, 5, levels)],
        "down_block_types": ["Attn" * a + "DownEncoderBlock2D" for a in attends],
        "up_block_types": ["Attn" * a + "UpDecoderBlock2D" for a in attends[::-1]],
        "layers_per_block": int(generator.integers(1, 3)),
        "act_fn": pick(generator, *ACTIVATIONS),
        "latent_channels": latent,
        "norm_num_groups": groups,
        "scaling_factor": round(float(generator.uniform(0.1, 2)), 3),
        "shift_factor": pick(generator, None, 0.1159, 0.0609),
        "use_quant_conv": bool(generator.integers(2)),
        "use_post_quant_conv": bool(generator.integers(2)),
        "mid_block_add_attention": bool(generator.integers(3)),
        "force_upcast": bool(generator.integers(2)),
        "sample_size": 16,
    }
    factor = 2 ** (levels - 1)
    sides = [factor * int(n) for n in generator.integers(2, 5, 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        x = normal(generator, 2, 3, *sides)
        told = network.encode(x).latent_dist
        shift = network.config.shift_factor or 0.0
        return numpy(
            sample=x,
            latent_mean_f64=told.mean,
            latent_logvar_f64=told.logvar,
            normalised_f64=(told.mean - shift) * network.config.scaling_factor,
            decoded_f64=network.decode(told.mean).sample,
        )

    return "net_autoencoderkl", "AutoencoderKL", kwargs, run


def unet2d(generator: np.random.Generator) -> Drawn:
    skips = bool(generator.integers(3) == 0)
    levels = int(generator.integers(1, 4))
    # Levels that skip have a norm of 32 groups before attention.
    groups = None if skips else pick(generator, 2, 4)
    if skips and generator.integers(2):
        names, width = ("SkipDownBlock2D", "AttnSkipDownBlock2D"), 32
    elif skips:
        names, width = ("SkipDownBlock2D",), 4
    else:
        names, width = ("DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"), groups
    down = [pick(generator, *names) for _ in range(levels)]
    up = [pick(generator, *names).replace("Downsample", "Upsample") for _ in range(levels)]
    channels = [width * (1 if width == 32 else int(n)) for n in generator.integers(1, 4, levels)]
    time = pick(generator, "positional", "positional", "fourier", "learned")
    kinds = [{}, {"num_class_embeds": 5}]
    if time == "positional":
        kinds.append({"class_embed_type": "timestep"})
    told = pick(generator, *kinds, {"class_embed_type": "identity"})
    embedding = pick(generator, None, 12)
    kwargs = {
        "sample_size": 16,
        "in_channels": 3,
        "out_channels": 3 if skips else pick(generator, 3, 6),
        "center_input_sample": bool(generator.integers(2)),
        "time_embedding_type": time,
        "time_embedding_dim": embedding,
        "freq_shift": int(generator.integers(2)) if channels[0] > 3 else 0,
        "flip_sin_to_cos": bool(generator.integers(2)),
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in up],
        "mid_block_type": pick(generator, "UNetMidBlock2D", "UNetMidBlock2D", None),
        "block_out_channels": channels,
        "layers_per_block": int(generator.integers(1, 3)),
        "mid_block_scale_factor": pick(generator, 1, 1.41421356237),
        "downsample_padding": int(generator.integers(2)),
        "downsample_type": pick(generator, "conv", "resnet"),
        "upsample_type": pick(generator, "conv", "resnet"),
        "act_fn": pick(generator, *ACTIVATIONS),
        "attention_head_dim": pick(generator, None, 2, 3),
        "norm_num_groups": groups,
        "attn_norm_num_groups": pick(generator, None, 1),
        "norm_eps": pick(generator, 1e-5, 1e-6),
        "resnet_time_scale_shift": pick(generator, "default", "scale_shift"),
        "add_attention": bool(generator.integers(3)),
        "num_train_timesteps": 50,
        **told,
    }
    factor = 2 ** (levels - 1)
    sides = [factor * int(n) for n in generator.integers(2, 4, 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        arrays = {"sample": normal(generator, 2, 3, *sides)}
        if time == "learned":
            arrays["timestep"] = torch.tensor([3, 49])
        else:
            low, high = (0.1, 20) if time == "fourier" else (0, 999)
            arrays["timestep"] = torch.from_numpy(generator.uniform(low, high, 2))
        if "num_class_embeds" in told:
            arrays["class_labels"] = torch.tensor([4, 0])
        elif told.get("class_embed_type") == "timestep":
            arrays["class_labels"] = torch.tensor([2.0, 17.5])
        elif told:
            arrays["class_labels"] = normal(generator, 2, embedding or 4 * channels[0])
        out = network(arrays["sample"], *list(arrays.values())[1:]).sample
        return numpy(**arrays, out_f64=out)

    return "net_unet2d", "UNet2DModel", kwargs, run


def unet2d_condition(generator: np.random.Generator) -> Drawn:
    levels, groups = int(generator.integers(1, 4)), pick(generator, 1, 2, 4)
    by_resnet = bool(generator.integers(4) == 0)
    names = ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "AttnDownBlock2D"]
    if by_resnet:
        names = ["ResnetDownsampleBlock2D", "CrossAttnDownBlock2D"]
    down = [pick(generator, *names) for _ in range(levels)]
    up = [name.replace("Downsample", "Upsample").replace("Down", "Up") for name in down[::-1]]
    layers = [int(n) for n in generator.integers(1, 3, levels)]
    blocks = [int(n) for n in generator.integers(1, 3, levels)]
    back = None
    if generator.integers(4) == 0:
        blocks = [[int(n) for n in generator.integers(1, 3, each)] for each in layers]
        back = [[int(n) for n in generator.integers(1, 3, each + 1)] for each in layers[::-1]]
    width, first = pick(generator, 3, 6), groups * 2
    channels = [first] + [groups * int(n) for n in generator.integers(2, 5, levels - 1)]
    words = pick(generator, None, 5)
    classes = [{}, {}, {"num_class_embeds": 5}, {"class_embed_type": "timestep"}]
    classes += [{"class_embed_type": "identity"}, {"class_embed_type": "projection"}]
    told = pick(generator, *classes, {"class_embed_type": "simple_projection"})
    if "projection" in told.get("class_embed_type", ""):
        told["projection_class_embeddings_input_dim"] = 7
    elif generator.integers(2):
        sizes = {"addition_embed_type": "text_time", "addition_time_embed_dim": 4}
        told = {**told, **sizes, "projection_class_embeddings_input_dim": 6 * 4 + 5}
    concat = bool(told and "addition_embed_type" not in told and generator.integers(2))
    time = pick(generator, "positional", "positional", "positional", "fourier")
    if told.get("class_embed_type") == "timestep":
        time = "positional"
    heads = [int(pick(generator, 1, 2)) for _ in range(levels)]
    kwargs = {
        "sample_size": 16,
        "in_channels": 4,
        "out_channels": pick(generator, 4, 8),
        "center_input_sample": bool(generator.integers(4) == 0),
        "flip_sin_to_cos": bool(generator.integers(2)),
        "freq_shift": int(generator.integers(2)) if first > 3 else 0,
        "down_block_types": down,
        "up_block_types": up,
        "mid_block_type": pick(
            generator, "UNetMidBlock2DCrossAttn", "UNetMidBlock2DCrossAttn", "UNetMidBlock2D", None
        ),
        "only_cross_attention": pick(
            generator, False, False, [bool(n) for n in generator.integers(0, 2, levels)]
        ),
        "block_out_channels": channels,
        "layers_per_block": layers,
        "downsample_padding": int(generator.integers(2)),
        "mid_block_scale_factor": pick(generator, 1, 1.5),
        "act_fn": pick(generator, *ACTIVATIONS),
        "norm_num_groups": groups,
        "norm_eps": pick(generator, 1e-5, 1e-6),
        "cross_attention_dim": width,
        "transformer_layers_per_block": blocks,
        "reverse_transformer_layers_per_block": back,
        "encoder_hid_dim": words,
        "encoder_hid_dim_type": None if words is None else "text_proj",
        "attention_head_dim": pick(generator, heads, 1, 2),
        "use_linear_projection": bool(generator.integers(2)),
        "upcast_attention": bool(generator.integers(2)),
        "resnet_time_scale_shift": pick(generator, "default", "default", "scale_shift"),
        "resnet_skip_time_act": bool(generator.integers(2)),
        "resnet_out_scale_factor": pick(generator, 1.0, 1.3),
        "time_embedding_type": time,
        "time_embedding_dim": pick(generator, None, 10),
        "time_embedding_act_fn": pick(generator, None, None, "silu"),
        "timestep_post_act": pick(generator, None, None, "gelu"),
        "conv_in_kernel": pick(generator, 3, 3, 1, 5),
        "conv_out_kernel": pick(generator, 3, 3, 1),
        "class_embeddings_concat": concat,
        **told,
    }
    factor = 2 ** (levels - 1) if by_resnet or "AttnDownBlock2D" in down else 1
    sides = [factor * int(n) for n in generator.integers(*((2, 4) if factor > 1 else (5, 10)), 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        length = int(generator.integers(2, 6))
        arrays = {
            "sample": normal(generator, 2, 4, *sides),
            "timestep": torch.from_numpy(generator.uniform(0, 999, 2).round(1)),
            "encoder_hidden_states": normal(generator, 2, length, words or width),
        }
        if generator.integers(2):
            lengths = torch.from_numpy(generator.integers(1, length + 1, 2))
            arrays["encoder_attention_mask"] = torch.arange(length) < lengths[:, None]
        kind, more = told.get("class_embed_type"), {}
        if "num_class_embeds" in told:
            arrays["class_labels"] = torch.tensor([4, 0])
        elif kind == "timestep":
            arrays["class_labels"] = torch.tensor([2.0, 17.5])
        elif kind is not None:
            embedding = network.time_embedding.linear_2.out_features
            wide = 7 if "projection" in kind else embedding
            arrays["class_labels"] = normal(generator, 2, wide)
        if "addition_embed_type" in told:
            more = {
                "text_embeds": normal(generator, 2, 5),
                "time_ids": torch.from_numpy(generator.integers(0, 1024, (2, 6)).astype(float)),
            }
        out = network(**arrays, added_cond_kwargs=more).sample
        return numpy(**arrays, **more, out_f64=out)

    return "net_unet2dcond", "UNet2DConditionModel", kwargs, run


def flux2(generator: np.random.Generator) -> Drawn:
    levels, groups = int(generator.integers(1, 4)), pick(generator, 1, 2)
    kwargs = {
        "block_out_channels": [groups * int(n) for n in generator.integers(2, 5, levels)],
        "decoder_block_out_channels": pick(generator, None, [groups * 3] * levels),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": int(generator.integers(1, 3)),
        "act_fn": pick(generator, *ACTIVATIONS),
        "latent_channels": pick(generator, 2, 4),
        "norm_num_groups": groups,
        "use_quant_conv": bool(generator.integers(2)),
        "use_post_quant_conv": bool(generator.integers(2)),
        "mid_block_add_attention": bool(generator.integers(3)),
        "batch_norm_eps": pick(generator, 1e-4, 0.1),
    }
    sides = [2**levels * int(n) for n in generator.integers(1, 4, 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        x = normal(generator, 2, 3, *sides)
        told = network.encode(x).latent_dist
        pipeline = diffusers.Flux2Pipeline
        patches = pipeline._patchify_latents(told.mean)
        normalised = network.bn(patches)
        return numpy(
            sample=x,
            latent_mean_f64=told.mean,
            latent_logvar_f64=told.logvar,
            normalised_f64=normalised,
            decoded_f64=network.decode(told.mean).sample,
        )

    return "net_autoencoderkl_flux2", "AutoencoderKLFlux2", kwargs, run


def tiny(generator: np.random.Generator) -> Drawn:
    levels = int(generator.integers(1, 4))
    kwargs = {
        "encoder_block_out_channels": [int(generator.integers(2, 7))] * levels,
        "decoder_block_out_channels": [int(generator.integers(2, 7))] * levels,
        "act_fn": pick(generator, "relu", "relu", *ACTIVATIONS),
        "latent_channels": pick(generator, 4, 16),
        "num_encoder_blocks": [int(n) for n in generator.integers(1, 3, levels)],
        "num_decoder_blocks": [int(n) for n in generator.integers(1, 3, levels)],
        "scaling_factor": pick(generator, 1.0, 0.7),
        "shift_factor": pick(generator, 0.0, 0.1),
    }
    sides = [2 ** (levels - 1) * int(n) for n in generator.integers(1, 4, 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        return _certain(network, normal(generator, 2, 3, *sides))

    return "net_autoencodertiny", "AutoencoderTiny", kwargs, run


def dc(generator: np.random.Generator) -> Drawn:
    levels, head = int(generator.integers(2, 4)), pick(generator, 4, 8)
    without = bool(generator.integers(2))
    kwargs: dict = {"attention_head_dim": head, "latent_channels": pick(generator, 2, 4)}
    for part in ("encoder", "decoder"):
        scales = [[int(n) for n in generator.choice([3, 5], generator.integers(3))]]
        layers = [int(n) for n in generator.integers(1, 3, levels)]
        kwargs |= {
            f"{part}_block_types": [
                pick(generator, "ResBlock", "EfficientViTBlock") for _ in range(levels)
            ],
            f"{part}_block_out_channels": [8, 16, pick(generator, 16, 32)][:levels],
            f"{part}_layers_per_block": [0, *layers[1:]] if without else layers,
            f"{part}_qkv_multiscales": [pick(generator, [], *scales) for _ in range(levels)],
        }
    kwargs |= {
        "upsample_block_type": pick(generator, "pixel_shuffle", "interpolate"),
        "downsample_block_type": pick(generator, "pixel_unshuffle", "conv"),
        "decoder_norm_types": [pick(generator, "rms_norm", "batch_norm") for _ in range(levels)],
        "decoder_act_fns": [pick(generator, "silu", "relu") for _ in range(levels)],
        "encoder_out_shortcut": bool(generator.integers(2)),
        "decoder_in_shortcut": bool(generator.integers(2)),
        "decoder_conv_act_fn": pick(generator, "relu", "silu"),
        "scaling_factor": 0.41407,
    }
    # From as many cells as a head is wide on, the original adds up in another order.
    sides = [2 ** (levels - 1) * int(n) for n in generator.integers(1, 4, 2)]

    def run(network: Any, generator: np.random.Generator) -> dict:
        return _certain(network, normal(generator, 2, 3, *sides))

    return "net_autoencoderdc", "AutoencoderDC", kwargs, run


def _certain(network: Any, x: torch.Tensor) -> dict:
    latents = network.encode(x)[0]
    shift = network.config.get("shift_factor", 0.0)
    return numpy(
        sample=x,
        latent_mean_f64=latents,
        normalised_f64=(latents - shift) * network.config.scaling_factor,
        decoded_f64=network.decode(latents).sample,
    )


DRAWN = {
    "autoencoder_dc": dc,
    "autoencoder_kl_flux2": flux2,
    "autoencoder_tiny": tiny,
    "autoencoder_kl": autoencoder_kl,
    "unet2d": unet2d,
    "unet2d_condition": unet2d_condition,
}
