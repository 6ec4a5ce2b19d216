"""Records a tiny refiner of SDXL, and what diffusers makes of pictures with it.

    PYTHON -m tests.published.record.refiner tests/published/data

PYTHON is as for `record.prompts`. The picture is given as the mean of its latents.
"""

import sys
from pathlib import Path
from unittest import mock

import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLImg2ImgPipeline
from diffusers.pipelines.stable_diffusion_xl import pipeline_stable_diffusion_xl_img2img as original
from transformers import CLIPTextModelWithProjection, CLIPTokenizer

from tests.published.record.prompts import (
    BETAS,
    HEIGHT,
    PROMPTS,
    SECOND,
    WIDTH,
    autoencoder,
    finish,
    network,
    text,
)

# Guidance, negative prompts, steps, strength.
CASES = [(5.0, None, 10, 0.3), (1.0, None, 4, 1.0), (3.0, ["a hat", "a cat"], 6, 0.5)]


def refiner() -> StableDiffusionXLImg2ImgPipeline:
    """One text encoder, which is called the second, a pooled vector, sizes and a score."""
    tokenizer = CLIPTokenizer.from_pretrained(SECOND)
    return StableDiffusionXLImg2ImgPipeline(
        vae=autoencoder(),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=text(CLIPTextModelWithProjection, tokenizer, "gelu", tokenizer.eos_token_id),
        tokenizer_2=tokenizer,
        unet=network(
            cross_attention_dim=8,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=5 * 4 + 6,
        ),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **BETAS),
        requires_aesthetics_score=True,
        add_watermarker=False,
    )


def main(data: Path) -> None:
    """Writes the folder, and in it what it draws."""
    torch.manual_seed(0)
    pipe, folder = refiner(), data / "stable_diffusion_xl_refiner"
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 4, HEIGHT // 2, WIDTH // 2)
    pictures = torch.rand(2, 3, HEIGHT, WIDTH) * 2 - 1
    with torch.no_grad():
        known = pipe.vae.encode(pictures).latent_dist.mode() * pipe.vae.config.scaling_factor
    drawn = {"noise": noise.numpy(), "pictures": pictures.numpy()}
    for i, (guidance, negative, steps, strength) in enumerate(CASES):
        for form in ("latent", "pt"):
            with mock.patch.object(original, "randn_tensor", return_value=noise.clone()):
                drawn[f"{form}{i}"] = pipe(
                    prompt=PROMPTS,
                    negative_prompt=negative,
                    image=known.clone(),
                    guidance_scale=guidance,
                    num_inference_steps=steps,
                    strength=strength,
                    # It reads sizes off latents as if they were pictures.
                    original_size=(HEIGHT, WIDTH),
                    target_size=(HEIGHT, WIDTH),
                    output_type=form,
                ).images.numpy()
    finish(pipe, folder, {"tokenizer_2": SECOND}, drawn, CASES)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
