"""Records LoRA files of several conventions, and what diffusers and peft make of them.

    PYTHON -m tests.published.record.lora tests/published/data

PYTHON has torch 2.13, diffusers 0.42, peft 0.21 and transformers 5.24; the tests need none of them.
The model is that of `record.prompts`.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers.integrations import peft as bridge

bridge.MIN_PEFT_VERSION = "0.21"  # it asks for one that is not out yet

SCALE, STEPS, GUIDANCE = 0.7, 3, 3.0
PROMPTS = ["a blue square", "A photograph of a dog!"]
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
Tensors = dict[str, torch.Tensor]


def loaded(folder: Path) -> Any:
    """The pipeline in single precision."""
    pipe = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def randomised(model: Any) -> None:
    """Terms as float16 holds them, none of them zero."""
    for name, tensor in model.named_parameters():
        if "lora_" in name:
            tensor.data = (0.4 * torch.randn(tensor.shape)).half().float()


def peft(folder: Path, place: Path) -> None:
    """As diffusers writes it: alphas in the header, other ranks and convolutions, two parts."""
    pipe = loaded(folder)
    wide = {"conv1": 3, "to_q": 1}
    config = LoraConfig(
        r=2,
        lora_alpha=3,
        target_modules=[*ATTENTION, "conv1", "proj_in", "ff.net.0.proj"],
        rank_pattern=wide,
        alpha_pattern={"conv1": 5},
    )
    pipe.unet.add_adapter(config)
    pipe.text_encoder.add_adapter(
        LoraConfig(r=2, lora_alpha=1, use_rslora=True, target_modules=["q_proj", "fc1"])
    )
    randomised(pipe.unet)
    randomised(pipe.text_encoder)
    pipe.save_lora_weights(
        place.parent,
        unet_lora_layers=get_peft_model_state_dict(pipe.unet),
        text_encoder_lora_layers=get_peft_model_state_dict(pipe.text_encoder),
        weight_name=place.name,
        unet_lora_adapter_metadata=config.to_dict(),
        text_encoder_lora_adapter_metadata=pipe.text_encoder.peft_config["default"].to_dict(),
    )


def terms(folder: Path) -> Tensors:
    """Random terms of the attentions, by peft's names."""
    pipe = loaded(folder)
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=ATTENTION))
    randomised(pipe.unet)
    found: Tensors = get_peft_model_state_dict(pipe.unet)
    return found


def older(folder: Path, place: Path) -> None:
    """`unet.MODULE.lora.down.weight`."""
    names = {".lora_A.": ".lora.down.", ".lora_B.": ".lora.up."}
    save_file(renamed(terms(folder), names), place)


def oldest(folder: Path, place: Path) -> None:
    """`unet.ATTENTION.processor.to_q_lora.down.weight`."""
    names = {f".to_{x}.lora_": f".processor.to_{x}_lora." for x in "qkv"}
    names |= {".to_out.0.lora_": ".processor.to_out_lora.", ".A.": ".down.", ".B.": ".up."}
    save_file(renamed(terms(folder), names), place)


def kohya(folder: Path, place: Path) -> None:
    """`lora_unet_MODULE.lora_down.weight`, with an alpha each, and the text encoder's."""
    pipe, found = loaded(folder), {}
    targets = [*ATTENTION, "conv1", "proj_in"]
    pipe.unet.add_adapter(LoraConfig(r=2, target_modules=targets))
    pipe.text_encoder.add_adapter(LoraConfig(r=2, target_modules=["v_proj", "out_proj"]))
    for prefix, model in (("lora_unet_", pipe.unet), ("lora_te_text_model_", pipe.text_encoder)):
        randomised(model)
        for name, tensor in get_peft_model_state_dict(model).items():
            module, _, side = name.removesuffix(".weight").rpartition(".")
            stem = prefix + module.removeprefix("text_model.").replace(".", "_")
            told = {"lora_A": "lora_down", "lora_B": "lora_up"}[side]
            found[f"{stem}.{told}.weight"] = tensor.contiguous()
            found[f"{stem}.alpha"] = torch.tensor(1.5)
    save_file(found, place)


def renamed(tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    """With parts of names replaced, and "unet." before them."""
    found = {}
    for name, tensor in tensors.items():
        for old, new in names.items():
            name = name.replace(old, new)
        found[f"unet.{name}"] = tensor.contiguous()
    return found


CONVENTIONS = (peft, older, oldest, kohya)


def drawn(folder: Path, file: Path, noise: torch.Tensor) -> dict[str, np.ndarray]:
    """What is drawn with a file, and all parameters that it changes, as peft merges them."""
    pipe = loaded(folder)
    before = {
        part: {name: tensor.clone() for name, tensor in getattr(pipe, part).state_dict().items()}
        for part in ("unet", "text_encoder")
    }
    pipe.load_lora_weights(file)
    pipe.fuse_lora(lora_scale=SCALE)
    pipe.unload_lora_weights()
    found = {}
    for part, tensors in before.items():
        for name, tensor in getattr(pipe, part).state_dict().items():
            if not torch.equal(tensor, tensors[name]):
                found[f"{part}/{name}"] = tensor.numpy()
    assert found
    found["latents"] = pipe(
        prompt=PROMPTS,
        guidance_scale=GUIDANCE,
        num_inference_steps=STEPS,
        height=8,
        width=16,
        latents=noise.clone(),
        output_type="latent",
    ).images.numpy()
    return found


def main(data: Path) -> None:
    """Writes a file of each convention, and beside it what diffusers makes of it."""
    folder, place = data / "stable_diffusion", data / "lora"
    place.mkdir(exist_ok=True)
    torch.manual_seed(0)
    noise = torch.randn(2, 4, 4, 8)
    for make in CONVENTIONS:
        file = place / f"{make.__name__}.safetensors"
        make(folder, file)
        np.savez_compressed(
            place / f"{make.__name__}.npz", noise=noise, **drawn(folder, file, noise)
        )
    told = {"prompts": PROMPTS, "scale": SCALE, "steps": STEPS, "guidance": GUIDANCE}
    (place / "cases.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
