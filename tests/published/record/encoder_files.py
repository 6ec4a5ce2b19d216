"""Records what files of CLIP and DINOv2, as their authors wrote them, give.

    PYTHON -m tests.published.record.encoder_files tests/published/data/encoder_files

PYTHON has torch 2.13 and transformers 5.24. Modules here have the authors' names of tensors; what
they give is held against transformers' classes with the same tensors under transformers' names.
"""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn
from torch.nn import functional
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from tests.published.encoder_files import GRID, SIDE, photographs, pictures, tensors

IDS = [[140, 5, 7, 141, 0, 0], [140, 9, 141, 3, 4, 2], [140, 1, 2, 3, 4, 141]]
CLOSE = 2e-5


class QuickGELU(nn.Module):
    """OpenAI's activation."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """A layer by CLIP's names."""

    def __init__(self, width: int, heads: int, hidden: int, act: nn.Module):
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, hidden))
        self.mlp.add_module("gelu", act)
        self.mlp.add_module("c_proj", nn.Linear(hidden, width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        h = self.ln_1(x)
        x = x + self.attn(h, h, h, need_weights=False, attn_mask=mask)[0]
        return x + self.mlp(self.ln_2(x))


class Blocks(nn.Module):
    """Layers by CLIP's names."""

    def __init__(self, layers: int, *settings: Any):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(*settings) for _ in range(layers))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        x = x.transpose(0, 1)
        for block in self.resblocks:
            x = block(x, mask)
        return x.transpose(0, 1)


class Visual(nn.Module):
    """The encoder of pictures by CLIP's names."""

    def __init__(self, width: int, side: int, patch: int, features: int, *settings: Any):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch, patch, bias=False)
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros((side // patch) ** 2 + 1, width))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.transformer = Blocks(2, width, *settings)
        self.proj = nn.Parameter(torch.zeros(width, features))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_embedding.expand(x.shape[0], 1, -1), x], 1)
        x = self.transformer(self.ln_pre(x + self.positional_embedding))
        return self.ln_post(x[:, 0]) @ self.proj


class Clip(nn.Module):
    """CLIP by its authors' names."""

    def __init__(self, wide: int, heads: int, act: type[nn.Module]):
        super().__init__()
        self.visual = Visual(wide, SIDE, 4, 6, heads, 8, act())
        self.transformer = Blocks(1, 64, 1, 8, act())
        self.token_embedding = nn.Embedding(142, 64)
        self.positional_embedding = nn.Parameter(torch.zeros(6, 64))
        self.ln_final = nn.LayerNorm(64)
        self.text_projection = nn.Parameter(torch.zeros(64, 6))
        self.logit_scale = nn.Parameter(torch.ones([]))

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = torch.full((ids.shape[1], ids.shape[1]), -math.inf).triu(1)
        h = self.transformer(self.token_embedding(ids) + self.positional_embedding, mask)
        end = self.ln_final(h)[torch.arange(ids.shape[0]), ids.argmax(-1)]
        return self.visual(x), end @ self.text_projection


class Dino(nn.Module):
    """DINOv2 by its authors' names."""

    def __init__(self, heads: int, registers: int, gated: bool):
        super().__init__()
        width, self.heads, self.antialias = 64 * heads, heads, bool(registers)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, GRID**2 + 1, width))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, 14, 14)
        self.blocks = nn.ModuleList(self.block(width, gated) for _ in range(2))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    @staticmethod
    def block(width: int, gated: bool) -> nn.Module:
        """The tensors of a layer."""
        found = nn.Module()
        found.norm1, found.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        found.attn, found.mlp = nn.Module(), nn.Module()
        found.attn.qkv, found.attn.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        for name in ("ls1", "ls2"):
            scale = nn.Module()
            scale.gamma = nn.Parameter(torch.ones(width))
            found.add_module(name, scale)
        hidden = (int(4 * width * 2 / 3) + 7) // 8 * 8 if gated else 4 * width
        names = ("w12", "w3") if gated else ("fc1", "fc2")
        found.mlp.add_module(names[0], nn.Linear(width, hidden * (2 if gated else 1)))
        found.mlp.add_module(names[1], nn.Linear(hidden, width))
        return found

    def places(self, rows: int, columns: int) -> torch.Tensor:
        """The table of places, resampled: a little moved without registers, smoothed with them."""
        side = math.isqrt(self.pos_embed.shape[1] - 1)
        if rows == columns == side:
            return self.pos_embed
        table = self.pos_embed[:, 1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
        if self.antialias:
            told: dict[str, Any] = {"size": (rows, columns), "antialias": True}
        else:
            told = {"scale_factor": ((rows + 0.1) / side, (columns + 0.1) / side)}
        table = functional.interpolate(table, mode="bicubic", **told)
        return torch.cat([self.pos_embed[:, :1], table.flatten(2).transpose(1, 2)], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = self.patch_embed.proj(x)
        x = torch.cat([self.cls_token.expand(len(x), 1, -1), cells.flatten(2).transpose(1, 2)], 1)
        x = x + self.places(*cells.shape[2:])
        if self.antialias:
            x = torch.cat([x[:, :1], self.register_tokens.expand(len(x), -1, -1), x[:, 1:]], 1)
        for block in self.blocks:
            x = x + block.ls1.gamma * self.attention(block.attn, block.norm1(x))
            x = x + block.ls2.gamma * self.feed(block.mlp, block.norm2(x))
        return self.norm(x)

    def attention(self, attn: Any, x: torch.Tensor) -> torch.Tensor:
        """Heads of queries, keys and values of one layer."""
        q, k, v = attn.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return attn.proj(mixed.transpose(1, 2).flatten(2))

    @staticmethod
    def feed(mlp: Any, x: torch.Tensor) -> torch.Tensor:
        """Two layers, or gated ones."""
        if hasattr(mlp, "w12"):
            gate, value = mlp.w12(x).chunk(2, -1)
            return mlp.w3(functional.silu(gate) * value)
        return mlp.fc2(functional.gelu(mlp.fc1(x)))


CLIP_NAMES = (
    (r"^visual\.(ln_pre|ln_post|conv1|class_embedding|positional_embedding)", r"vision_model.\1"),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^visual\.proj$", "visual_projection.weight"),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"^(token_embedding|positional_embedding|ln_final)", r"text_model.\1"),
    (r"^text_projection$", "text_projection.weight"),
    (r"\.conv1\.", ".embeddings.patch_embedding."),
    (r"\.(class_embedding|token_embedding)", r".embeddings.\1"),
    (r"\.positional_embedding$", ".embeddings.position_embedding.weight"),
    (r"\.ln_pre\.", ".pre_layrnorm."),
    (r"\.ln_post\.", ".post_layernorm."),
    (r"\.ln_final\.", ".final_layer_norm."),
    (r"\.ln_([12])\.", r".layer_norm\1."),
    (r"\.c_fc\.", ".fc1."),
    (r"\.c_proj\.", ".fc2."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
)
DINO_NAMES = (
    (r"^(cls_token|register_tokens|mask_token)$", r"embeddings.\1"),
    (r"^pos_embed$", "embeddings.position_embeddings"),
    (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
    (r"^norm\.", "layernorm."),
    (r"^blocks\.", "encoder.layer."),
    (r"\.attn\.proj\.", ".attention.o_proj."),
    (r"\.ls([12])\.gamma$", r".layer_scale\1.lambda1"),
    (r"\.w3\.", ".down_proj."),
)


JOINT = (
    (r"\.attn\.in_proj_", [f".self_attn.{letter}_proj." for letter in "qkv"]),
    (r"\.attn\.qkv\.", [f".attention.{letter}_proj." for letter in "qkv"]),
    (r"\.mlp\.w12\.", [".mlp.gate_proj.", ".mlp.up_proj."]),
)


def theirs(state: dict[str, torch.Tensor], rules: Any) -> dict[str, Any]:
    """The same tensors under transformers' names."""
    found = {}
    for name, value in state.items():
        renamed = name
        for pattern, replacement in rules:
            renamed = re.sub(pattern, replacement, renamed)
        turned = renamed in ("text_projection.weight", "visual_projection.weight")
        parts = {renamed: value.T if turned else value}
        for joint, names in JOINT:
            if re.search(joint, renamed):
                several = value.chunk(len(names))
                parts = {re.sub(joint, n, renamed): v for n, v in zip(names, several, strict=True)}
        found |= parts
    return found


def filled(model: nn.Module) -> nn.Module:
    """A module with the tensors that tests make too."""
    held = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    made = {name: torch.from_numpy(value) for name, value in tensors(held).items()}
    model.load_state_dict(made)
    return model.eval()


def clip(folder: Path, wide: int, heads: int, act: str) -> None:
    """CLIP's numbers; OpenAI's as an archive of TorchScript besides."""
    kinds: dict[str, type[nn.Module]] = {"quick_gelu": QuickGELU, "gelu": nn.GELU}
    model = filled(Clip(wide, heads, kinds[act]))
    shape = {"hidden_act": act, "intermediate_size": 8}
    text = shape | {"vocab_size": 142, "max_position_embeddings": 6, "num_hidden_layers": 1}
    text |= {"hidden_size": 64, "num_attention_heads": 1, "eos_token_id": 2}
    vision = shape | {"image_size": SIDE, "patch_size": 4, "num_hidden_layers": 2}
    vision |= {"hidden_size": wide, "num_attention_heads": heads}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=6)
    original = transformers.CLIPModel(config).eval()
    state = theirs(model.state_dict(), CLIP_NAMES)
    original.load_state_dict(state)
    ids, x = torch.tensor(IDS), torch.from_numpy(pictures()).permute(0, 3, 1, 2)
    shown = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size=SIDE)
    scaled = shown(photographs(), return_tensors="pt")["pixel_values"]
    own = model(x, ids)
    first = original.get_image_features(x).pooler_output
    second = original.get_text_features(input_ids=ids).pooler_output
    close(own[0], first)
    close(own[1], second)
    found = {"pictures": first, "text": second, "photographs": model(scaled, ids)[0]}
    write(folder / f"clip_{act}", model, found | {"alike": original(ids, x).logits_per_image})
    if act == "quick_gelu":
        names = ("input_resolution", "context_length", "vocab_size")
        for name, value in zip(names, (SIDE, 6, 142), strict=True):
            model.register_buffer(name, torch.tensor(value))
        torch.jit.trace(model, (x, ids)).half().save(folder / "clip.pt")  # as OpenAI has it


def dinov2(folder: Path, heads: int, registers: int, gated: bool) -> None:
    """DINOv2's numbers, at the size of its table of places and at that of its authors' pictures."""
    model = filled(Dino(heads, registers, gated))
    told: dict[str, Any] = {"hidden_size": 64 * heads, "num_attention_heads": heads}
    told |= {
        "num_hidden_layers": 2,
        "image_size": 14 * GRID,
        "patch_size": 14,
        "use_swiglu_ffn": gated,
    }
    if registers:
        config = transformers.Dinov2WithRegistersConfig(num_register_tokens=registers, **told)
        original: Any = transformers.Dinov2WithRegistersModel(config)
    else:
        original = transformers.Dinov2Model(transformers.Dinov2Config(**told))
    original.eval().load_state_dict(theirs(model.state_dict(), DINO_NAMES))
    x = torch.from_numpy(pictures(14 * GRID)).permute(0, 3, 1, 2)
    shown = BitImageProcessorPil(
        size={"shortest_edge": 256},
        crop_size={"height": 224, "width": 224},
        image_mean=[0.485, 0.456, 0.406],
        image_std=[0.229, 0.224, 0.225],
    )
    first, scaled = original(x), shown(photographs(), return_tensors="pt")["pixel_values"]
    close(model(x), first.last_hidden_state)
    if registers:  # whose table transformers resamples as the authors do
        close(model(scaled)[:, 0], original(scaled).pooler_output)
    found = {"tokens": first.last_hidden_state, "photographs": model(scaled)[:, 0]}
    write(folder / f"dinov2_{registers}_{'gated' if gated else 'plain'}", model, found)


def close(own: torch.Tensor, original: torch.Tensor) -> None:
    """Stops where the module here and transformers' differ."""
    off = float((own - original).abs().max() / original.pow(2).mean().sqrt())
    if off > CLOSE:
        raise SystemExit(f"The module here is {off:.2g} off transformers'.")


def write(path: Path, model: nn.Module, found: dict[str, torch.Tensor]) -> None:
    """What a model gives, and the shapes of its tensors."""
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    arrays = {name: value.numpy() for name, value in found.items()}
    np.savez_compressed(path, shapes=np.array(json.dumps(shapes)), ids=np.array(IDS), **arrays)


def main(folder: Path) -> None:
    """Writes all files."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        clip(folder, 64, 1, "quick_gelu")
        clip(folder, 128, 2, "gelu")
        for registers, gated in ((0, False), (4, False), (0, True), (3, True)):
            dinov2(folder, 2, registers, gated)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
