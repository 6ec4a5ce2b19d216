"""PRXPipeline: a transformer on latents of either autoencoder, asked in words by T5Gemma."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.parity.kind import Options, PipelineKind, maybe
from experiments.parity.kinds import autoencoder_dc, autoencoder_kl, t5_gemma
from experiments.parity.texts import TOKENIZERS, odd_captions

CELLS = 3, 4  # tokens of a picture
GEMMA = ("gemma", "gemma_to_the_right")
SCHEDULERS = (
    "FlowMatchEulerDiscreteScheduler",
    "FlowMatchHeunDiscreteScheduler",
    "DPMSolverMultistepScheduler.flow",
    "UniPCMultistepScheduler.flow",
)


def draw(pick: random.Random) -> Options:
    """Settings of its parts: heads, turns, patches, times, padding, and how prompts are cleaned."""
    encoder = {name: value for name, value in t5_gemma.draw(pick).items() if name != "vocab_size"}
    kind = pick.choice(["AutoencoderKL", "AutoencoderDC"])
    channels = pick.choice([2, 4])
    coder = autoencoder_dc.draw(pick)
    if kind == "AutoencoderKL":
        coder = autoencoder_kl.draw(pick) | {"shift_factor": pick.choice([0.0, 0.1159])}
    axes, heads = pick.choice([(2, 2), (4, 2), (2, 4)]), pick.choice([1, 2, 3])
    transformer = {
        "in_channels": channels,
        "patch_size": pick.choice([1, 2]),
        "context_in_dim": encoder["hidden_size"],
        "hidden_size": heads * sum(axes),
        "mlp_ratio": pick.choice([3.5, 2.0]),
        "num_heads": heads,
        "depth": pick.randint(1, 2),
        "axes_dim": list(axes),
        "theta": pick.choice([10000, 100]),
        "time_factor": pick.choice([1000.0, 10.0]),
        "time_max_period": pick.choice([10000, 500]),
        "bottleneck_size": pick.choice([None, 5]),
        "resolution_embeds": maybe(pick),
    }
    return {
        "transformer": transformer,
        "text_encoder": encoder,
        "tokenizer": pick.choice(GEMMA),
        "vae": {"_class_name": kind, **coder, "latent_channels": channels},
        "settings": {
            "use_resolution_binning": False,
            "skip_text_cleaning": pick.choice([False, False, True]),
            "tokenizer_max_length": pick.choice([0, 9]),
        },
    }


def build(options: Options, scheduler: Any) -> Any:
    """The original's."""
    import diffusers
    from transformers import GemmaTokenizer

    tokenizer = GemmaTokenizer.from_pretrained(TOKENIZERS / options["tokenizer"])
    coder = dict(options["vae"])
    kind = getattr(diffusers, coder.pop("_class_name"))
    return diffusers.PRXPipeline(
        transformer=diffusers.PRXTransformer2DModel(**options["transformer"]),
        scheduler=scheduler,
        text_encoder=t5_gemma.build({"vocab_size": len(tokenizer), **options["text_encoder"]}),
        tokenizer=tokenizer,
        vae=kind(**coder),
    )


def call(
    pipe: Any, prompts: Sequence[str], steps: int, guidance: float | None, **settings: Any
) -> np.ndarray:
    """Pictures from 0 to 1."""
    height, width = (
        cells * pipe.vae_scale_factor * pipe.transformer.config.patch_size for cells in CELLS
    )
    told = {"num_inference_steps": steps, "guidance_scale": guidance, "output_type": "np"}
    return np.asarray(pipe(list(prompts), height=height, width=width, **told, **settings).images)


def texts(pipe: Any, prompts: Sequence[str], **settings: Any) -> dict[str, Any]:
    """Tokens of prompts, and which are no padding."""
    told = {name: value for name, value in settings.items() if name != "use_resolution_binning"}
    tokens, mask, _, _ = pipe.encode_prompt(list(prompts), "cpu", False, **told)
    return {"tokens": tokens, "mask": mask.int()}


def caption(options: Options, pick: random.Random) -> list[str]:
    """One caption: with guidance, the original draws no more at a time."""
    return odd_captions(options, pick)[:1]


KIND = PipelineKind(
    draw,
    build,
    call,
    caption,
    SCHEDULERS,
    guidance=(1.0, 4.0),
    texts=texts,
    gain=0.7,
    single_sines=True,
)
