"""Records a tiny PRX model, and what diffusers draws from it.

    PYTHON -m tests.published.record.prx tests/published/data

PYTHON has torch 2.13, diffusers 0.42, transformers 5.24 and ftfy 6.3. A case has the original's
arguments by their names, and a scheduler's settings; prompts are drawn one after another, as the
original takes but one with guidance.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    FlowMatchEulerDiscreteScheduler,
    PRXPipeline,
    PRXTransformer2DModel,
)
from transformers import GemmaTokenizer
from transformers.models.t5gemma.modeling_t5gemma import T5GemmaEncoder, T5GemmaModuleConfig

from tests.published.record.prompts import TOKENIZERS, randomised

SOURCE = TOKENIZERS / "gemma"
HEIGHT, WIDTH = 8, 16
CHANNELS = 4
PROMPTS = ["A photograph of a dog!", "free download: the “red” fox's hat (12x34), img_01.png"]
FLOW = {
    "use_flow_sigmas": True,
    "flow_shift": 3.0,
    "prediction_type": "flow_prediction",
    "solver_order": 2,
}
Case = dict[str, Any]
CASES: list[Case] = [
    {"num_inference_steps": 3},
    {
        "num_inference_steps": 3,
        "guidance_scale": 1.0,
        "skip_text_cleaning": True,
        "tokenizer_max_length": 9,
    },
    {
        "num_inference_steps": 4,
        "guidance_scale": 2.5,
        "negative_prompt": "a blue square, blur...",
        "scheduler": {"_class_name": "DPMSolverMultistepScheduler", **FLOW},
    },
    {
        "num_inference_steps": 3,
        "scheduler": {"_class_name": "FlowMatchHeunDiscreteScheduler", "shift": 3.0},
    },
    {
        "num_inference_steps": 4,
        "scheduler": {"_class_name": "UniPCMultistepScheduler", **FLOW},
    },
]


def model() -> Any:
    """PRX with the deep-compression autoencoder, 2 × 2 pixels a cell."""
    tokenizer = GemmaTokenizer.from_pretrained(SOURCE)
    config = T5GemmaModuleConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        query_pre_attn_scalar=4,
        sliding_window=4,
    )
    config.dropout_rate = 0.0
    blocks = {
        f"{part}_{name}": value
        for part in ("encoder", "decoder")
        for name, value in {
            "block_types": ("ResBlock", "EfficientViTBlock"),
            "block_out_channels": (8, 16),
            "layers_per_block": (1, 1),
            "qkv_multiscales": ((), (3,)),
        }.items()
    }
    coder = AutoencoderDC(
        attention_head_dim=8, latent_channels=CHANNELS, scaling_factor=0.5, **blocks
    )
    transformer = PRXTransformer2DModel(
        in_channels=CHANNELS,
        patch_size=2,
        context_in_dim=8,
        hidden_size=12,
        num_heads=2,
        depth=2,
        axes_dim=[2, 4],
    )
    return PRXPipeline(
        transformer=randomised(transformer, 0.15),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        text_encoder=randomised(T5GemmaEncoder(config), 0.5),
        tokenizer=tokenizer,
        vae=randomised(coder),
        default_sample_size=256,
    )


def drawn(pipe: Any, noise: torch.Tensor, case: Case) -> dict[str, np.ndarray]:
    """Latents and pictures of a case."""
    told = {name: value for name, value in case.items() if name != "scheduler"}
    told |= {"height": HEIGHT, "width": WIDTH, "use_resolution_binning": False}
    own, found = pipe.scheduler, {}
    for form in ("latent", "pt"):
        rows = []
        for prompt, start in zip(PROMPTS, noise, strict=True):
            pipe.scheduler = scheduler(case.get("scheduler")) or own
            made = pipe(prompt, latents=start[None].clone(), output_type=form, **told)
            rows.append(made.images[0].numpy())
        found[form] = np.stack(rows)
    pipe.scheduler = own
    return found


def scheduler(settings: dict[str, Any] | None) -> Any:
    """One of the original's, from the settings of its file."""
    if settings is None:
        return None
    told = {name: value for name, value in settings.items() if name != "_class_name"}
    return getattr(diffusers, settings["_class_name"])(**told)


def main(data: Path) -> None:
    """Writes the folder, and in it what is drawn."""
    torch.manual_seed(0)
    pipe, folder = model(), data / "prx"
    pipe.set_progress_bar_config(disable=True)
    noise = torch.randn(2, CHANNELS, HEIGHT // 2, WIDTH // 2)
    arrays = {"noise": noise.numpy()}
    for i, case in enumerate(CASES):
        arrays |= {f"{form}{i}": array for form, array in drawn(pipe, noise, case).items()}
    pipe.to(torch.float16).save_pretrained(folder)
    shutil.rmtree(folder / "tokenizer")
    leave = shutil.ignore_patterns("recorded.json")
    shutil.copytree(SOURCE, folder / "tokenizer", ignore=leave)
    np.savez_compressed(folder / "drawn.npz", **arrays)
    told = {"prompts": PROMPTS, "cases": CASES, "size": [HEIGHT, WIDTH]}
    (folder / "cases.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
