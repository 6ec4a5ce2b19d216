"""Records tiny SD3 and FLUX.1 models, and what diffusers draws from them.

    PYTHON -m tests.published.record.flows tests/published/data

PYTHON is as for `record.prompts`, with sentencepiece. A case has the original's arguments by their
names.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.published.record.prompts import (
    FIRST,
    HEIGHT,
    PROMPTS,
    SECOND,
    TOKENIZERS,
    WIDTH,
    finish,
    randomised,
    text,
)

THIRD = TOKENIZERS / "t5"
CHANNELS = 4
Case = dict[str, Any]


def t5(width: int) -> Any:
    """A T5 encoder, and its tokenizer."""
    tokenizer = T5Tokenizer.from_pretrained(THIRD)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=4,
        d_ff=12,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
    )
    return randomised(T5EncoderModel(config), 0.5), tokenizer


def autoencoder() -> Any:
    """An autoencoder of 2 × 2 pixels a cell whose latents are shifted, without outer maps."""
    return randomised(
        AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=CHANNELS,
            norm_num_groups=2,
            sample_size=8,
            mid_block_add_attention=False,
            use_quant_conv=False,
            use_post_quant_conv=False,
            scaling_factor=1.5305,
            shift_factor=0.0609,
        )
    )


def stable_diffusion_3() -> Any:
    """SD3.5 medium: attention of its own in the first block, norms of queries and keys."""
    first, second = map(CLIPTokenizer.from_pretrained, (FIRST, SECOND))
    encoder, pieces = t5(20)
    transformer = SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=20,
        caption_projection_dim=16,
        pooled_projection_dim=12,
        pos_embed_max_size=6,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
    )
    end = first.eos_token_id
    return StableDiffusion3Pipeline(
        transformer=randomised(transformer),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(),
        text_encoder=text(CLIPTextModelWithProjection, first, "quick_gelu", end),
        tokenizer=first,
        text_encoder_2=text(CLIPTextModelWithProjection, second, "gelu", end),
        tokenizer_2=second,
        text_encoder_3=encoder,
        tokenizer_3=pieces,
    )


def flux() -> Any:
    """FLUX.1-dev: a shift that grows with the picture, and a network that is told guidance."""
    first = CLIPTokenizer.from_pretrained(FIRST)
    encoder, pieces = t5(8)
    transformer = FluxTransformer2DModel(
        in_channels=4 * CHANNELS,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=10,
        num_attention_heads=2,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        guidance_embeds=True,
        axes_dims_rope=(2, 4, 4),
    )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, shift=3.0, base_image_seq_len=4, max_image_seq_len=64
        ),
        vae=autoencoder(),
        text_encoder=text(CLIPTextModel, first, "quick_gelu", first.eos_token_id),
        tokenizer=first,
        text_encoder_2=encoder,
        tokenizer_2=pieces,
        transformer=randomised(transformer),
    )


NEGATIVE = ["a blue square", "a hat"]
CASES: dict[Callable[[], Any], list[Case]] = {
    stable_diffusion_3: [
        {"num_inference_steps": 3, "guidance_scale": 1.0},
        {"num_inference_steps": 3, "guidance_scale": 5.0, "clip_skip": 1},
        {"num_inference_steps": 4, "negative_prompt": NEGATIVE, "max_sequence_length": 12},
    ],
    flux: [
        {"num_inference_steps": 3},
        {"num_inference_steps": 4, "guidance_scale": 1.0, "max_sequence_length": 12},
        {"num_inference_steps": 3, "true_cfg_scale": 2.0, "negative_prompt": NEGATIVE},
    ],
}


def drawn(pipe: Any, noise: torch.Tensor, case: Case) -> dict[str, np.ndarray]:
    """Latents and pictures of a case; latents with their channels first."""
    packed = isinstance(pipe, FluxPipeline)
    batch, channels, height, width = noise.shape
    start = noise.clone()
    if packed:
        start = pipe._pack_latents(start, batch, channels, height, width)
    found = {}
    for form in ("latent", "pt"):
        told = {"height": HEIGHT, "width": WIDTH, "latents": start.clone(), "output_type": form}
        found[form] = pipe(prompt=PROMPTS, **told, **case).images
    if packed:
        found["latent"] = pipe._unpack_latents(found["latent"], HEIGHT, WIDTH, 2)
    return {form: array.detach().numpy() for form, array in found.items()}


def main(data: Path) -> None:
    """Writes a folder for each pipeline, and in it what it draws."""
    for make, cases in CASES.items():
        torch.manual_seed(0)
        pipe, folder = make(), data / make.__name__
        pipe.set_progress_bar_config(disable=True)
        noise = torch.randn(2, CHANNELS, HEIGHT // 2, WIDTH // 2)
        arrays = {"noise": noise.numpy()}
        for i, case in enumerate(cases):
            arrays |= {f"{form}{i}": array for form, array in drawn(pipe, noise, case).items()}
        sources = {"tokenizer": FIRST, "tokenizer_2": THIRD}
        if make is stable_diffusion_3:
            sources |= {"tokenizer_2": SECOND, "tokenizer_3": THIRD}
            encoder, pipe.text_encoder_3 = pipe.text_encoder_3, None
            arrays |= {f"{form}_no_t5": a for form, a in drawn(pipe, noise, cases[0]).items()}
            pipe.register_modules(text_encoder_3=encoder)
        finish(pipe, folder, sources, arrays, cases)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
