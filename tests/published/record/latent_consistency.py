"""Records a tiny model of LCM, which is told the scale of guidance, and what diffusers draws.

    PYTHON -m tests.published.record.latent_consistency tests/published/data

PYTHON is as for `record.prompts`.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from diffusers import LatentConsistencyModelPipeline, LCMScheduler
from diffusers.schedulers import scheduling_lcm
from transformers import CLIPTextModel, CLIPTokenizer

from tests.published.record.prompts import (
    BETAS,
    FIRST,
    HEIGHT,
    PROMPTS,
    WIDTH,
    autoencoder,
    network,
    text,
)

CASES = [(1.0, 1), (1.6, 4)]  # guidance, steps
MOST = max(steps for _, steps in CASES)


def main(data: Path) -> None:
    """Writes the folder, and in it what it draws."""
    torch.manual_seed(0)
    tokenizer, folder = CLIPTokenizer.from_pretrained(FIRST), data / "latent_consistency"
    pipe = LatentConsistencyModelPipeline(
        vae=autoencoder(),
        text_encoder=text(CLIPTextModel, tokenizer, "quick_gelu", tokenizer.eos_token_id),
        tokenizer=tokenizer,
        unet=network(cross_attention_dim=8, time_cond_proj_dim=6),
        scheduler=LCMScheduler(**BETAS),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(MOST, 2, 4, HEIGHT // 2, WIDTH // 2)
    drawn = {"noise": noise.numpy()}
    for i, (guidance, steps) in enumerate(CASES):
        later = iter(noise[1:])

        def draw(shape: Sequence[int], later: Any = later, **told: Any) -> torch.Tensor:
            return next(later)

        with mock.patch.object(scheduling_lcm, "randn_tensor", draw), torch.no_grad():
            drawn[f"latent{i}"] = pipe(
                PROMPTS,
                height=HEIGHT,
                width=WIDTH,
                latents=noise[0].clone(),
                guidance_scale=guidance,
                num_inference_steps=steps,
                output_type="latent",
            ).images.numpy()
    pipe.to(torch.float16).save_pretrained(folder)
    shutil.rmtree(folder / "tokenizer")
    leave = shutil.ignore_patterns("recorded.json")
    shutil.copytree(FIRST, folder / "tokenizer", ignore=leave)
    np.savez_compressed(folder / "drawn.npz", **drawn)
    told = {"prompts": PROMPTS, "cases": CASES, "size": [HEIGHT, WIDTH]}
    (folder / "cases.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
