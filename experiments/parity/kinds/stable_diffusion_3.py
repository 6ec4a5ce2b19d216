"""StableDiffusion3Pipeline: MM-DiT on latents, asked in words by two CLIPs and often T5."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity import texts as encoders
from experiments.parity.kind import Options, PipelineKind
from experiments.parity.kinds import autoencoder_kl
from experiments.parity.texts import two_sentences

CELLS = 4, 6  # latents of a picture, in tokens
SCHEDULERS = (
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchEulerDiscreteScheduler.dynamic",
    "FlowMatchEulerDiscreteScheduler.stochastic",
    "FlowMatchHeunDiscreteScheduler",
    "FlowMatchLCMScheduler",
    "DPMSolverMultistepScheduler.flow",
    "UniPCMultistepScheduler.flow",
)


def draw(pick: random.Random) -> Options:
    """Settings of its parts: heads, norms, attentions, a table of places, with T5 or without."""
    first, second = encoders.draw_clip(pick), encoders.draw_clip(pick)
    width = first["hidden_size"] + second["hidden_size"] + pick.choice([0, 2])
    channels, heads, head = pick.choice([4, 16]), pick.choice([1, 2]), pick.choice([4, 8])
    layers = pick.randint(1, 3)
    transformer = {
        "sample_size": pick.choice([8, 12]),
        "patch_size": pick.choice([1, 2]),
        "in_channels": channels,
        "out_channels": channels,
        "num_layers": layers,
        "num_attention_heads": heads,
        "attention_head_dim": head,
        "joint_attention_dim": width,
        "caption_projection_dim": heads * head,
        "pooled_projection_dim": first["projection_dim"] + second["projection_dim"],
        "pos_embed_max_size": pick.choice([6, 9]),
        "dual_attention_layers": sorted(pick.sample(range(layers), pick.randint(0, layers))),
        "qk_norm": pick.choice([None, "rms_norm"]),
    }
    shift = pick.choice([0.0609, 0.1159])
    vae = autoencoder_kl.draw(pick) | {"latent_channels": channels, "shift_factor": shift}
    return {
        "transformer": transformer,
        "vae": vae,
        "text_encoder": first,
        "text_encoder_2": second,
        "text_encoder_3": encoders.draw_t5(pick, width) if pick.random() < 0.7 else None,
        "settings": {
            "clip_skip": pick.choice([0, 0, 1]),
            "max_sequence_length": pick.choice([256, 13]),
        },
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline

    first, words = encoders.clip(options["text_encoder"], encoders.CLIP, True)
    second, other_words = encoders.clip(options["text_encoder_2"], encoders.CLIP_OTHER, True)
    told = options["text_encoder_3"]
    third, pieces = (None, None) if told is None else encoders.t5(told)
    return StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(**options["transformer"]),
        scheduler=scheduler,
        vae=AutoencoderKL(**options["vae"]),
        text_encoder=first,
        tokenizer=words,
        text_encoder_2=second,
        tokenizer_2=other_words,
        text_encoder_3=third,
        tokenizer_3=pieces,
    )


def call(
    pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None, **settings: Any
) -> np.ndarray:
    """Pictures from 0 to 1."""
    height, width = (cells * pipe.vae_scale_factor * pipe.patch_size for cells in CELLS)
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    return np.asarray(pipe(list(prompts), height=height, width=width, **told, **settings).images)


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and their pooled vectors."""
    tokens, _, pooled, _ = pipe.encode_prompt(
        list(prompts), None, None, "cpu", do_classifier_free_guidance=False, **settings
    )
    return {"tokens": tokens, "pooled": pooled}


KIND = PipelineKind(
    draw,
    build,
    call,
    two_sentences,
    SCHEDULERS,
    guidance=(1.0, 5.0),
    texts=texts,
    gain=0.7,
    single_sines=True,
)
