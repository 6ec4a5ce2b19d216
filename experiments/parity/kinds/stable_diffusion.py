"""StableDiffusionPipeline: a U-Net on latents, asked in words by CLIP's text encoder."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind, maybe
from experiments.parity.kinds import autoencoder_kl

HEIGHT, WIDTH = 8, 24


def draw(pick: random.Random) -> Options:
    """Settings of its parts."""
    text = draw_text(pick)
    vae = autoencoder_kl.draw(pick) | {"latent_channels": 4, "shift_factor": None}
    return {"unet": draw_unet(pick, text["hidden_size"]), "text_encoder": text, "vae": vae}


def draw_unet(pick: random.Random, width: int) -> Options:
    """Settings of a U-Net for words of a width: heads, projections, layers and norms vary."""
    groups = pick.choice([1, 2, 4])
    blocks = pick.sample(["CrossAttnDownBlock2D", "DownBlock2D"], 2)
    return {
        "sample_size": 8,
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [groups * 2, groups * pick.choice([2, 4])],
        "down_block_types": blocks,
        "up_block_types": [name.replace("Down", "Up") for name in blocks[::-1]],
        "mid_block_type": pick.choice(["UNetMidBlock2DCrossAttn", None]),
        "layers_per_block": pick.randint(1, 2),
        "transformer_layers_per_block": pick.randint(1, 2),
        "attention_head_dim": pick.choice([1, 2]),
        "cross_attention_dim": width,
        "norm_num_groups": groups,
        "use_linear_projection": maybe(pick),
        "upcast_attention": maybe(pick),
        "only_cross_attention": pick.random() < 0.3,
        "resnet_time_scale_shift": pick.choice(["default", "scale_shift"]),
        "flip_sin_to_cos": maybe(pick),
        "freq_shift": 0,
        "act_fn": pick.choice(autoencoder_kl.ACTIVATIONS),
    }


def draw_text(pick: random.Random) -> Options:
    """Settings of one of CLIP's text encoders."""
    heads = pick.choice([1, 2])
    return {
        "hidden_size": heads * pick.choice([4, 6]),
        "intermediate_size": 12,
        "num_hidden_layers": pick.randint(1, 3),
        "num_attention_heads": heads,
        "hidden_act": pick.choice(["quick_gelu", "gelu"]),
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel

    encoder, tokenizer = encoders.clip(options["text_encoder"], encoders.CLIP)
    return StableDiffusionPipeline(
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(**options["unet"]),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def call(pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None) -> np.ndarray:
    """Pictures from 0 to 1."""
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    return np.asarray(pipe(list(prompts), height=HEIGHT, width=WIDTH, **told).images)


def texts(pipe: Any, prompts: Sequence[str]) -> dict[str, Any]:
    """Tokens of prompts."""
    return {"tokens": pipe.encode_prompt(list(prompts), "cpu", 1, False)[0]}


SCHEDULERS = (
    "DDIMScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "DDPMScheduler",
    "DDIMParallelScheduler",
    "DPMSolverMultistepScheduler.sde",
    "DPMSolverSinglestepScheduler",
    "SASolverScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverSDEScheduler",
    "LCMScheduler",
    "TCDScheduler",
    "EDMEulerScheduler",
    "EDMDPMSolverMultistepScheduler",
)

KIND = PipelineKind(
    draw,
    build,
    call,
    encoders.two_sentences,
    SCHEDULERS,
    guidance=(1.0, 2.0),
    texts=texts,
    gain=0.6,
)
