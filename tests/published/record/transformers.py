"""Records what small transformers of the original libraries give, for tests without them.

    PYTHON -m tests.published.record.transformers DIR [--seed=0] [--only=pixart]

PYTHON has torch, diffusers and, for JiT, azula. Each model has settings drawn by the seed and
random parameters, which are kept as float16 and are exact. What diffusers and azula take in float32
whatever the model's dtype (sines, norms, rotations) is taken in double for the output in double.
"""

import contextlib
import random
from collections.abc import Callable
from typing import Any
from unittest import mock

import torch
from torch import nn

from tests.published.record.recording import Made, kind, main, mask, normal


@kind
def diffusers_dit(pick: random.Random) -> Made:
    """DiTTransformer2DModel."""
    from diffusers import DiTTransformer2DModel

    patch, channels = pick.choice([1, 2]), pick.choice([3, 4])
    settings = {
        "num_attention_heads": pick.choice([1, 2, 3]),
        "attention_head_dim": pick.choice([4, 8]),
        "in_channels": channels,
        "out_channels": pick.choice([channels, 2 * channels]),
        "num_layers": pick.choice([1, 2]),
        "sample_size": patch * pick.choice([3, 4]),
        "patch_size": patch,
        "attention_bias": pick.choice([True, False]),
        "activation_fn": pick.choice(["gelu-approximate", "geglu", "gelu", "swiglu"]),
        "num_embeds_ada_norm": 5,
        "norm_elementwise_affine": pick.choice([True, False]),
        "norm_eps": pick.choice([1e-5, 1e-6]),
    }
    model = DiTTransformer2DModel(**settings)
    side = patch * pick.choice([3, 4, 5])
    given = {
        "x": normal(2, channels, side, side),
        "t": torch.tensor([999.0, 3.0]),
        "labels": torch.tensor([2, 5]),
    }
    return (
        model,
        settings,
        given,
        lambda model, x, t, labels: model(x, timestep=t, class_labels=labels).sample,
    )


@kind
def pixart(pick: random.Random) -> Made:
    """PixArtTransformer2DModel."""
    from diffusers import PixArtTransformer2DModel

    patch, channels = pick.choice([1, 2]), pick.choice([3, 4])
    heads, head = pick.choice([(3, 4), (2, 6), (1, 12), (3, 8)])
    told = pick.choice([True, False])
    projected = pick.choice([True, True, False])
    settings = {
        "num_attention_heads": heads,
        "attention_head_dim": head,
        "in_channels": channels,
        "out_channels": pick.choice([channels, 2 * channels]),
        "num_layers": pick.choice([1, 2]),
        "cross_attention_dim": heads * head,
        "attention_bias": pick.choice([True, False]),
        "sample_size": pick.choice([patch * 4, 128 if patch == 2 else 64]),
        "patch_size": patch,
        "activation_fn": pick.choice(["gelu-approximate", "geglu", "linear-silu"]),
        "norm_elementwise_affine": pick.choice([True, False]),
        "interpolation_scale": pick.choice([None, 2, 0.5]),
        "use_additional_conditions": told,
        "caption_channels": 7 if projected else None,
    }
    model = PixArtTransformer2DModel(**settings)
    width = 7 if projected else heads * head
    given = {
        "x": normal(2, channels, patch * pick.choice([2, 4]), patch * pick.choice([3, 4])),
        "t": torch.tensor([981.0, 1.5]),
        "tokens": normal(2, 5, width),
        "mask": mask(2, 5),
    }
    if told:
        given["numbers"] = torch.tensor([[512.0, 768.0, 0.666], [1024.0, 1024.0, 1.0]])

    def call(model: nn.Module, x: Any, t: Any, tokens: Any, mask: Any, numbers: Any = None) -> Any:
        sizes = {"resolution": None, "aspect_ratio": None}
        if numbers is not None:
            sizes = {"resolution": numbers[:, :2], "aspect_ratio": numbers[:, 2:]}
        return model(x, tokens, t, sizes, encoder_attention_mask=mask).sample

    return model, settings, given, call


@kind
def sd3(pick: random.Random) -> Made:
    """SD3Transformer2DModel."""
    from diffusers import SD3Transformer2DModel

    heads, head = pick.choice([(1, 4), (2, 6), (3, 4), (2, 8)])
    layers, channels, patch = pick.choice([1, 2, 3]), pick.choice([3, 4]), pick.choice([1, 2])
    settings = {
        "sample_size": patch * 4,
        "patch_size": patch,
        "in_channels": channels,
        "num_layers": layers,
        "attention_head_dim": head,
        "num_attention_heads": heads,
        "joint_attention_dim": 7,
        "caption_projection_dim": heads * head,
        "pooled_projection_dim": 5,
        "out_channels": channels,
        "pos_embed_max_size": pick.choice([5, 6, 8]),
        "dual_attention_layers": pick.choice([(), (0,), tuple(range(layers))]),
        "qk_norm": pick.choice([None, "rms_norm"]),
    }
    model = SD3Transformer2DModel(**settings)
    given = {
        "x": normal(2, channels, patch * pick.choice([2, 3, 5]), patch * pick.choice([3, 4])),
        "t": torch.tensor([997.5, 31.25]),
        "tokens": normal(2, pick.choice([1, 6]), 7),
        "pooled": normal(2, 5),
    }
    return (
        model,
        settings,
        given,
        lambda model, x, t, tokens, pooled: model(x, tokens, pooled, t).sample,
    )


@kind
def flux(pick: random.Random) -> Made:
    """FluxTransformer2DModel, with latents packed as its pipeline packs them."""
    from diffusers import FluxPipeline, FluxTransformer2DModel

    axes = pick.choice([(2, 2, 4), (2, 4, 2), (4, 4, 4)])
    channels, told = pick.choice([2, 4]), pick.choice([True, False])
    settings = {
        "patch_size": 1,
        "in_channels": 4 * channels,
        "out_channels": pick.choice([None, 4 * channels]),
        "num_layers": pick.choice([1, 2]),
        "num_single_layers": pick.choice([1, 2]),
        "attention_head_dim": sum(axes),
        "num_attention_heads": pick.choice([1, 2, 3]),
        "joint_attention_dim": 7,
        "pooled_projection_dim": 5,
        "guidance_embeds": told,
        "axes_dims_rope": axes,
    }
    model = FluxTransformer2DModel(**settings)
    given = {
        "x": normal(2, channels, 2 * pick.choice([2, 3]), 2 * pick.choice([3, 4])),
        "t": torch.tensor([1000.0, 62.5]),
        "tokens": normal(2, pick.choice([1, 6]), 7),
        "pooled": normal(2, 5),
    }
    if told:
        given["numbers"] = torch.tensor([[3.5], [1.0]])

    def call(
        model: nn.Module, x: Any, t: Any, tokens: Any, pooled: Any, numbers: Any = None
    ) -> torch.Tensor:
        (batch, channels, height, width), half = x.shape, (x.shape[2] // 2, x.shape[3] // 2)
        ids = FluxPipeline._prepare_latent_image_ids(batch, *half, x.device, x.dtype)
        latents = FluxPipeline._pack_latents(x, batch, channels, height, width)
        guidance = None if numbers is None else numbers[:, 0]
        text = torch.zeros(tokens.shape[1], 3)
        found = model(latents, tokens, pooled, t / 1000, ids, text, guidance).sample
        return FluxPipeline._unpack_latents(found, 8 * height, 8 * width, 8)

    return model, settings, given, call


@kind
def jit(pick: random.Random) -> Made:
    """JiT, as azula's plugin has it."""
    from azula.plugins.jit._src import model as original

    # Its norm is always in float32, and rotations are kept in it.
    def norm(self: nn.Module, x: torch.Tensor) -> torch.Tensor:
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)
        return self.weight * (x * scale)

    patch, heads, depth = pick.choice([1, 2, 4]), pick.choice([1, 2]), pick.choice([2, 4])
    tokens = pick.choice([0, 1, 3])
    settings = {
        "patch_size": patch,
        "hidden_size": heads * pick.choice([4, 8]),
        "depth": depth,
        "num_heads": heads,
        "mlp_ratio": pick.choice([4.0, 3.0]),
        "bottleneck_dim": pick.choice([3, 6]),
        "in_context_len": tokens,
        "in_context_start": pick.choice(range(depth)),
    }
    side = patch * pick.choice([2, 4])
    sin, cos = torch.Tensor.sin, torch.Tensor.cos
    with (  # rounded to float32 as they are meant to be, whatever the processor
        mock.patch.object(torch.Tensor, "sin", lambda x: sin(x.double()).float()),
        mock.patch.object(torch.Tensor, "cos", lambda x: cos(x.double()).float()),
    ):
        model = original.JiT(input_size=side, num_classes=5, **settings)
    place = model.pos_embed.detach().clone()
    given = {
        "x": normal(2, 3, side, side),
        "t": torch.tensor([0.03, 0.85]),
        "labels": torch.tensor([2, 5]),
    }

    def call(model: nn.Module, x: Any, t: Any, labels: Any) -> torch.Tensor:
        with torch.no_grad():
            model.pos_embed.copy_(place)
        double = x.dtype == torch.float64
        rms = mock.patch.object(original.RMSNorm, "forward", norm)
        with contextlib.ExitStack() as stack:
            if double:
                stack.enter_context(rms)
                features = original.TimestepEmbedder.timestep_embedding
                wide = staticmethod(lambda t, dim: _in_wide(features, t, dim))
                stack.enter_context(
                    mock.patch.object(original.TimestepEmbedder, "timestep_embedding", wide)
                )
            return model(x, t, labels)

    return model, settings, given, call


def _in_wide(features: Callable[..., torch.Tensor], t: torch.Tensor, dim: int) -> torch.Tensor:
    """Sines and cosines of a time in double."""
    arange = torch.arange

    def wide(*args: Any, dtype: Any, **settings: Any) -> torch.Tensor:
        return arange(*args, dtype=torch.float64, **settings)

    with (
        mock.patch.object(torch, "arange", wide),
        mock.patch.object(torch.Tensor, "float", torch.Tensor.double),
    ):
        return features(t, dim)


@kind
def prx(pick: random.Random) -> Made:
    """PRXTransformer2DModel."""
    from diffusers import PRXTransformer2DModel

    axes, heads = pick.choice([(2, 2), (4, 2), (2, 4)]), pick.choice([1, 2, 3])
    patch, channels = pick.choice([1, 2]), pick.choice([2, 3])
    settings = {
        "in_channels": channels,
        "patch_size": patch,
        "context_in_dim": 7,
        "hidden_size": heads * sum(axes),
        "mlp_ratio": pick.choice([3.5, 2.0]),
        "num_heads": heads,
        "depth": pick.choice([1, 2]),
        "axes_dim": list(axes),
        "theta": pick.choice([10000, 100]),
        "time_factor": pick.choice([1000.0, 10.0]),
        "time_max_period": pick.choice([10000, 500]),
        "bottleneck_size": pick.choice([None, 5]),
        "resolution_embeds": pick.choice([True, False]),
    }
    model = PRXTransformer2DModel(**settings)
    given = {
        "x": normal(2, channels, patch * pick.choice([2, 3]), patch * pick.choice([2, 4])),
        "t": torch.tensor([0.97, 0.125]),
        "tokens": normal(2, 5, 7),
        "mask": mask(2, 5),
    }
    return (
        model,
        settings,
        given,
        lambda model, x, t, tokens, mask: model(x, t, tokens, mask).sample,
    )


if __name__ == "__main__":
    main(__doc__)
