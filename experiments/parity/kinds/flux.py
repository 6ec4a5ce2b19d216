"""FluxPipeline: FLUX.1 on squares of latents, which is told a scale of guidance or none."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import autoencoder_kl
from experiments.parity.texts import two_sentences

CELLS = 3, 4  # tokens of a picture


def draw(pick: random.Random) -> Options:
    """Settings of its parts: heads, blocks of both kinds, turns along each axis."""
    clip, width = encoders.draw_clip(pick), pick.choice([8, 12])
    channels, axes = pick.choice([4, 16]), pick.choice([[2, 4, 4], [4, 2, 2], [2, 2, 4]])
    transformer = {
        "in_channels": 4 * channels,
        "num_layers": pick.randint(1, 2),
        "num_single_layers": pick.randint(1, 2),
        "num_attention_heads": pick.choice([1, 2, 3]),
        "attention_head_dim": sum(axes),
        "joint_attention_dim": width,
        "pooled_projection_dim": clip["hidden_size"],
        "guidance_embeds": pick.random() < 0.6,
        "axes_dims_rope": axes,
    }
    shift = pick.choice([0.0609, 0.1159])
    return {
        "transformer": transformer,
        "vae": autoencoder_kl.draw(pick) | {"latent_channels": channels, "shift_factor": shift},
        "text_encoder": clip,
        "text_encoder_2": encoders.draw_t5(pick, width),
        "settings": {"max_sequence_length": pick.choice([512, 256, 11])},
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel

    clip, words = encoders.clip(options["text_encoder"], encoders.CLIP)
    t5, pieces = encoders.t5(options["text_encoder_2"])
    return FluxPipeline(
        scheduler=scheduler,
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=clip,
        tokenizer=words,
        text_encoder_2=t5,
        tokenizer_2=pieces,
        transformer=FluxTransformer2DModel(**options["transformer"]),
    )


def call(
    pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None, **settings: Any
) -> np.ndarray:
    """Pictures from 0 to 1; where the network is told no guidance, it is asked twice."""
    height, width = (2 * cells * pipe.vae_scale_factor for cells in CELLS)
    scale: dict[str, Any] = {"guidance_scale": guidance}
    if not pipe.transformer.config.guidance_embeds:
        scale = {"true_cfg_scale": guidance, "negative_prompt": [""] * len(prompts)}
    told = {"num_inference_steps": steps, "output_type": "np", **scale}
    return np.asarray(pipe(list(prompts), height=height, width=width, **told, **settings).images)


def guide(options: Options, guidance: float | None) -> Any:
    """What this library is given for the same."""
    from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree

    if guidance is None or guidance == 1.0 or options["transformer"]["guidance_embeds"]:
        return guidance
    return ClassifierFree(guidance)


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and their pooled vectors."""
    tokens, pooled, _ = pipe.encode_prompt(list(prompts), None, "cpu", **settings)
    return {"tokens": tokens, "pooled": pooled}


def unpacked(latents: np.ndarray, height: int, width: int) -> np.ndarray:
    """Latents of steps, (steps, batch, tokens, 4 channels), as (steps, batch, channels, h, w)."""
    steps, batch, _, features = latents.shape
    split = latents.reshape(steps, batch, height // 2, width // 2, features // 4, 2, 2)
    return split.transpose(0, 1, 4, 2, 5, 3, 6).reshape(steps, batch, -1, height, width)


KIND = PipelineKind(
    draw,
    build,
    call,
    two_sentences,
    (
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler.dynamic",
        "UniPCMultistepScheduler.flow",
        "DPMSolverMultistepScheduler.dynamic",
    ),
    guidance=(1.0, 3.5),
    texts=texts,
    gain=0.7,
    single_sines=True,
    guide=guide,
    unpacked=unpacked,
)
