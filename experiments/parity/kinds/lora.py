"""StableDiffusionPipeline with low-rank terms that peft draws and diffusers saves."""

import dataclasses
import random
from pathlib import Path
from typing import Any

from experiments.parity.kind import Options
from experiments.parity.kinds import stable_diffusion

UNET = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2", "proj_in", "time_emb_proj")
TEXT = ("q_proj", "v_proj", "fc1", "fc2")


def draw(pick: random.Random) -> Options:
    """As of Stable Diffusion, with ranks, factors and targets of terms."""
    return stable_diffusion.draw(pick) | {
        "lora": {
            "seed": pick.randrange(2**31),
            "rank": pick.choice([1, 2, 3]),
            "alpha": pick.choice([1, 2, 5]),
            "rank_stabilised": pick.choice([True, False]),
            "unet": pick.sample(UNET, 3) + ["to_q"],
            "text": pick.sample(TEXT, 2),
        }
    }


def adapt(pipe: Any, options: Options, file: Path) -> None:
    """Adds the terms to the U-Net and the text encoder, and writes them as diffusers does."""
    import numpy as np
    import torch
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from transformers.integrations import peft as bridge

    bridge.MIN_PEFT_VERSION = "0.21"  # it asks for one that is not out yet
    told, random = options["lora"], np.random.default_rng(options["lora"]["seed"])
    layers = {}
    for part, kind in ((pipe.unet, "unet"), (pipe.text_encoder, "text")):
        part.add_adapter(
            LoraConfig(
                r=told["rank"],
                lora_alpha=told["alpha"],
                use_rslora=told["rank_stabilised"],
                target_modules=sorted({*told[kind]}),
            )
        )
        for name, tensor in part.named_parameters():
            if "lora_" in name:
                drawn = 0.3 * random.standard_normal(tuple(tensor.shape)).astype("f4")
                tensor.data = torch.from_numpy(drawn).to(tensor.dtype)
        layers[kind] = get_peft_model_state_dict(part)
    pipe.save_lora_weights(
        file.parent,
        unet_lora_layers=layers["unet"],
        text_encoder_lora_layers=layers["text"],
        weight_name=file.name,
        unet_lora_adapter_metadata=pipe.unet.peft_config["default"].to_dict(),
        text_encoder_lora_adapter_metadata=pipe.text_encoder.peft_config["default"].to_dict(),
    )


def read(folder: Path, dtype: str, file: Path, options: Options) -> Any:
    """The model with the terms of the file."""
    from diffusion_jax.published.model import released

    return released(folder, dtype, lora=file)


KIND = dataclasses.replace(stable_diffusion.KIND, draw=draw, adapt=adapt, read=read)
