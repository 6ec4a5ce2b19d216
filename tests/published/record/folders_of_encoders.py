"""Records what small folders of CLIP and DINOv2 give for pictures and prompts, processors included.

    PYTHON -m tests.published.record.folders_of_encoders tests/published/data

PYTHON has torch 2.13 and transformers 5.24.
"""

import json
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from tests.published.record.recording import randomise

PROMPTS = ["a photograph of a dog", "the fox", ""]
CASES = 12


def main(data: Path) -> None:
    """Writes a folder for each model, and what processors do to pictures."""
    torch.manual_seed(0)
    clip(data / "clip", data / "tokenizers" / "clip")
    dinov2(data / "dinov2")
    processors(data / "preprocessing.npz")


def pictures(seed: int, *sides: tuple[int, int]) -> list[np.ndarray]:
    """Bytes that change slowly enough for filters to differ."""
    pick, found = np.random.default_rng(seed), []
    for height, width in sides:
        noise = pick.normal(size=(height, width, 3)).cumsum(0).cumsum(1)
        found.append((127 + 120 * np.sin(noise)).astype(np.uint8))
    return found


def clip(folder: Path, tokenizer: Path) -> None:
    """CLIPModel with its tokenizer and processor."""
    folder.mkdir(exist_ok=True)
    for file in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copyfile(tokenizer / file, folder / file)
    words = transformers.CLIPTokenizer.from_pretrained(folder)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8}
    text = shape | {"vocab_size": len(words), "max_position_embeddings": 16}
    text |= {"intermediate_size": 16, "eos_token_id": words.eos_token_id}
    vision = shape | {"image_size": 12, "patch_size": 4, "intermediate_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
    side = {"height": 12, "width": 12}
    process = CLIPImageProcessorPil(size={"shortest_edge": 12}, crop_size=side)
    model = transformers.CLIPModel(config)
    shown = pictures(1, (20, 31), (15, 9))
    tokens = words(PROMPTS, padding="max_length", return_tensors="pt")
    given = tokens | {"pixel_values": process(shown, return_tensors="pt")["pixel_values"]}
    finish(folder, model, process)
    with torch.no_grad():
        found = model(**given)
        text_tokens = found.text_model_output.last_hidden_state
    np.savez_compressed(
        folder / "recorded.npz",
        **{f"picture{i}": each for i, each in enumerate(shown)},
        prompts=np.array(PROMPTS),
        text_tokens=text_tokens.numpy(),
        text=model.get_text_features(**tokens).pooler_output.detach().numpy(),
        pictures=model.get_image_features(given["pixel_values"]).pooler_output.detach().numpy(),
        alike=found.logits_per_image.numpy(),
    )


def dinov2(folder: Path) -> None:
    """Dinov2Model with its processor, which cuts pictures smaller than it was trained on."""
    folder.mkdir(exist_ok=True)
    config = transformers.Dinov2Config(
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_size=8,
        image_size=20,
        patch_size=4,
        mlp_ratio=2,
    )
    side = {"height": 12, "width": 12}
    process = BitImageProcessorPil(
        size={"shortest_edge": 14},
        crop_size=side,
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    model, shown = transformers.Dinov2Model(config), pictures(2, (20, 31), (15, 9))
    finish(folder, model, process)
    with torch.no_grad():
        found = model(process(shown, return_tensors="pt")["pixel_values"])
    np.savez_compressed(
        folder / "recorded.npz",
        **{f"picture{i}": each for i, each in enumerate(shown)},
        pictures=found.pooler_output.numpy(),
        tokens=found.last_hidden_state.numpy(),
    )


def finish(folder: Path, model: Any, process: Any) -> None:
    """Random parameters, and the files of the model and its processor."""
    with torch.no_grad():
        randomise(model.eval())
    model.save_pretrained(folder)
    process.save_pretrained(folder)


def processors(path: Path) -> None:
    """Settings of processors as their files say them, pictures, and what becomes of these."""
    found: dict[str, Any] = {}
    pick = random.Random(0)
    for i in range(CASES):
        kind = pick.choice([CLIPImageProcessorPil, BitImageProcessorPil])
        crop = {"height": pick.randint(5, 12), "width": pick.randint(5, 12)}
        size = pick.choice([{"shortest_edge": pick.randint(6, 14)}, {"height": 9, "width": 8}])
        process = kind(
            size=size,
            crop_size=crop,
            do_resize=pick.random() < 0.8,
            do_center_crop=pick.random() < 0.8,
            do_rescale=pick.random() < 0.8,
            do_normalize=pick.random() < 0.8,
            resample=pick.choice([0, 1, 2, 3, 4, 5]),
            image_mean=[pick.random() for _ in range(3)],
            image_std=[pick.uniform(0.1, 1) for _ in range(3)],
        )
        (picture,) = pictures(i, (pick.randint(5, 30), pick.randint(5, 30)))
        given = process([picture], return_tensors="np")["pixel_values"][0]
        found |= {f"told{i}": np.array(json.dumps(process.to_dict())), f"picture{i}": picture}
        found[f"found{i}"] = np.moveaxis(given, 0, -1)
    np.savez_compressed(path, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
