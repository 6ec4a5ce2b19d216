"""Records tiny models that are asked in words, and what diffusers draws from them.

    PYTHON -m tests.published.record.prompts tests/published/data

PYTHON has torch 2.13, diffusers 0.42 and transformers 5.24; the tests need none of them. Tokenizers
are those of `record.tokenizers`, in the files that published folders have.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    PixArtAlphaPipeline,
    PixArtTransformer2DModel,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

TOKENIZERS = Path(__file__).parents[1] / "data" / "tokenizers"
FIRST, SECOND = TOKENIZERS / "clip", TOKENIZERS / "clip_padded_with_a_mark"
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SAMPLER = {**BETAS, "set_alpha_to_one": False, "steps_offset": 1}
PROMPTS = ["A photograph of a dog!", "the fox jumps " * 8]
# Guidance, negative prompts, steps.
CASES: list[tuple[float, list[str] | None, int]] = [
    (1.0, None, 3),
    (5.0, None, 3),
    (3.0, ["", ""], 3),
    (7.5, ["a blue square", "a hat"], 4),
]
HEIGHT, WIDTH = 8, 16


def randomised(model: Any, std: float = 0.3) -> Any:
    """Parameters of which none leaves a part without effect, as float16 holds them."""
    for name, tensor in model.named_parameters():
        torch.nn.init.normal_(tensor, std=min(std, 1.2 * tensor[0].numel() ** -0.5))
        if "norm" in name and name.endswith("weight") and tensor.ndim == 1:
            tensor.data += 1
    return model.half().float().eval()


def text(kind: Any, tokenizer: CLIPTokenizer, act: str, end: int) -> Any:
    """A text encoder for a tokenizer."""
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        hidden_act=act,
        projection_dim=6,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
    )
    return randomised(kind(config), 0.5)


def autoencoder() -> Any:
    """An autoencoder of 2 × 2 pixels a cell."""
    return randomised(
        AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=2,
            sample_size=8,
            mid_block_add_attention=False,
        )
    )


def network(**settings: Any) -> Any:
    """A U-Net that attends on its finest level."""
    return randomised(
        UNet2DConditionModel(
            sample_size=4,
            block_out_channels=(8, 8),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            mid_block_type=None,
            norm_num_groups=4,
            layers_per_block=1,
            attention_head_dim=2,
            **settings,
        )
    )


def stable_diffusion() -> Any:
    """Stable Diffusion 1: one text encoder."""
    tokenizer = CLIPTokenizer.from_pretrained(FIRST)
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text(CLIPTextModel, tokenizer, "quick_gelu", 2),
        tokenizer=tokenizer,
        unet=network(cross_attention_dim=8),
        scheduler=PNDMScheduler(skip_prk_steps=True, **SAMPLER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def stable_diffusion_xl() -> Any:
    """SDXL: two text encoders, a pooled vector and sizes."""
    first, second = map(CLIPTokenizer.from_pretrained, (FIRST, SECOND))
    return StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=text(CLIPTextModel, first, "quick_gelu", first.eos_token_id),
        tokenizer=first,
        text_encoder_2=text(CLIPTextModelWithProjection, second, "gelu", second.eos_token_id),
        tokenizer_2=second,
        unet=network(
            cross_attention_dim=16,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + 6,
        ),
        scheduler=DDIMScheduler(clip_sample=False, **SAMPLER),
        add_watermarker=False,
    )


def pixart() -> Any:
    """PixArt-alpha, told the size of the picture."""
    tokenizer = T5Tokenizer.from_pretrained(TOKENIZERS / "t5")
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=8,
        d_kv=4,
        d_ff=12,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        relative_attention_num_buckets=8,
        relative_attention_max_distance=20,
    )
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=6,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        cross_attention_dim=12,
        sample_size=128,
        caption_channels=8,
    )
    return PixArtAlphaPipeline(
        tokenizer=tokenizer,
        text_encoder=randomised(T5EncoderModel(config), 0.5),
        vae=autoencoder(),
        transformer=randomised(transformer),
        scheduler=DPMSolverMultistepScheduler(),
    )


def main(data: Path) -> None:
    """Writes a folder for each pipeline, and in it what it draws."""
    for make in (stable_diffusion, stable_diffusion_xl, pixart):
        torch.manual_seed(0)
        pipe, folder = make(), data / make.__name__
        plain = {"use_resolution_binning": False, "clean_caption": False}
        more = plain if make is pixart else {}
        pipe.set_progress_bar_config(disable=True)
        noise = torch.randn(2, 4, HEIGHT // 2, WIDTH // 2)
        drawn = {"noise": noise.numpy()}
        for i, (guidance, negative, steps) in enumerate(CASES):
            for form in ("latent", "pt"):
                drawn[f"{form}{i}"] = pipe(
                    prompt=PROMPTS,
                    negative_prompt="" if negative is None and make is pixart else negative,
                    guidance_scale=guidance,
                    num_inference_steps=steps,
                    height=HEIGHT,
                    width=WIDTH,
                    latents=noise.clone(),
                    output_type=form,
                    **more,
                ).images.numpy()
        sources = {"tokenizer": TOKENIZERS / "t5" if make is pixart else FIRST}
        if make is stable_diffusion_xl:
            sources["tokenizer_2"] = SECOND
        finish(pipe, folder, sources, drawn, CASES)


def finish(
    pipe: Any,
    folder: Path,
    tokenizers: dict[str, Path],
    drawn: dict[str, np.ndarray],
    cases: list[Any],
) -> None:
    """Writes a model with the files of tokenizers that published folders have, and what it drew."""
    pipe.to(torch.float16).save_pretrained(folder)
    for name, source in tokenizers.items():
        shutil.rmtree(folder / name)
        leave = shutil.ignore_patterns("recorded.json")
        shutil.copytree(source, folder / name, ignore=leave)
    np.savez_compressed(folder / "drawn.npz", **drawn)
    told = {"prompts": PROMPTS, "cases": cases, "size": [HEIGHT, WIDTH]}
    (folder / "cases.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
