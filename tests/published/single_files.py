"""Models in one file, put together from the tensors of a folder; see `record/single_files.py`.

    python -m tests.published.single_files NAMES.json

writes what the tensors of such files are called, for the recorder.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from diffusion_jax.published.layouts import flux, latent_diffusion, open_clip, stable_diffusion_3
from diffusion_jax.published.layouts.origin import Layout
from diffusion_jax.published.names import names_of, parameter_names, to_tensors
from diffusion_jax.published.parts import make_module, parameter_shapes

UNET = {
    "_class_name": "UNet2DConditionModel",
    "in_channels": 4,
    "out_channels": 4,
    "cross_attention_dim": 8,
    "norm_num_groups": 2,
    "attention_head_dim": 2,
}
CODER = {"_class_name": "AutoencoderKL", "in_channels": 3, "norm_num_groups": 2}
CLIP = {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
CLIP |= {"max_position_embeddings": 5, "eos_token_id": 8, "hidden_act": "gelu"}
CASES: dict[str, tuple[Layout, dict[str, Any]]] = {
    "stable_diffusion": (
        latent_diffusion.unet,
        UNET
        | {
            "block_out_channels": [4, 8, 8],
            "down_block_types": ["CrossAttnDownBlock2D"] * 2 + ["DownBlock2D"],
            "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 2,
            "layers_per_block": 2,
        },
    ),
    "stable_diffusion_xl": (
        latent_diffusion.unet,
        UNET
        | {
            "block_out_channels": [4, 8],
            "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
            "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
            "transformer_layers_per_block": [1, 2],
            "use_linear_projection": True,
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 4,
            "projection_class_embeddings_input_dim": 32,
            "layers_per_block": 1,
        },
    ),
    "autoencoder": (
        latent_diffusion.autoencoder,
        CODER
        | {
            "block_out_channels": [4, 8, 8],
            "down_block_types": ["DownEncoderBlock2D"] * 3,
            "up_block_types": ["UpDecoderBlock2D"] * 3,
            "layers_per_block": 2,
        },
    ),
    "open_clip": (
        open_clip.text_encoder,
        CLIP
        | {
            "architectures": ["CLIPTextModelWithProjection"],
            "num_hidden_layers": 2,
            "projection_dim": 6,
        },
    ),
    "stable_diffusion_3": (
        stable_diffusion_3.transformer,
        {
            "_class_name": "SD3Transformer2DModel",
            "num_layers": 3,
            "num_attention_heads": 2,
            "attention_head_dim": 8,
            "in_channels": 4,
            "out_channels": 4,
            "joint_attention_dim": 12,
            "caption_projection_dim": 16,
            "pooled_projection_dim": 6,
            "pos_embed_max_size": 4,
            "sample_size": 4,
            "dual_attention_layers": [0, 1],
            "qk_norm": "rms_norm",
        },
    ),
    "flux": (
        flux.transformer,
        {
            "_class_name": "FluxTransformer2DModel",
            "num_layers": 1,
            "num_single_layers": 1,
            # Diffusers converts files of this width alone.
            "num_attention_heads": 24,
            "attention_head_dim": 128,
            "axes_dims_rope": [16, 56, 56],
            "in_channels": 16,
            "joint_attention_dim": 12,
            "pooled_projection_dim": 6,
            "guidance_embeds": True,
        },
    ),
}


def in_one_file(
    layout: Layout, module: Any, tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The tensors of a folder as a file of another layout has them."""
    pieces: dict[str, list[tuple[int, np.ndarray]]] = {}
    for name, array in tensors.items():
        origin = layout(name, module)
        if origin.swapped:
            array = np.roll(array, len(array) // 2, axis=0)
        if origin.transposed:
            array = array.T
        pieces.setdefault(origin.name, []).append(((origin.rows or (0, 0))[0], array))
    return {
        name: np.concatenate([array for _, array in sorted(held, key=lambda each: each[0])])
        for name, held in pieces.items()
    }


def module_of(case: str) -> tuple[Any, Any]:
    """The module of a case and the shapes of its parameters."""
    configuration = CASES[case][1]
    module = make_module(configuration, case)
    return module, parameter_shapes(module, configuration)


def main(file: Path) -> None:
    """Writes configurations, and shapes by name, of all cases."""
    found = {}
    for case, (layout, configuration) in CASES.items():
        module, shapes = module_of(case)
        params = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.int8), shapes)
        held = in_one_file(layout, module, to_tensors(params, names_of(module)))
        held = {name: array.shape for name, array in held.items()}
        wanted = list(parameter_names(shapes, names_of(module)))
        found[case] = {"config": configuration, "file": held, "wanted": wanted}
    file.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
