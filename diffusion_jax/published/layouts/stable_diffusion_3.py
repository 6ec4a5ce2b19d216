"""Stability AI's names of the transformer of Stable Diffusion 3 and 3.5.

Queries, keys and values are one layer, and the last modulation gives its shift before its scale.

Source: mmditx.py of Stability-AI/sd3.5.
"""

import re

from diffusion_jax.networks.transformers.sd3 import SD3
from diffusion_jax.published.layouts.origin import Origin, renamed, third

RULES = (
    (r"^pos_embed\.pos_embed$", "pos_embed"),
    (r"^pos_embed\.proj\.", "x_embedder.proj."),
    (r"^time_text_embed\.timestep_embedder\.linear_1\.", "t_embedder.mlp.0."),
    (r"^time_text_embed\.timestep_embedder\.linear_2\.", "t_embedder.mlp.2."),
    (r"^time_text_embed\.text_embedder\.linear_1\.", "y_embedder.mlp.0."),
    (r"^time_text_embed\.text_embedder\.linear_2\.", "y_embedder.mlp.2."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^transformer_blocks\.", "joint_blocks."),
    (r"\.norm1\.linear\.", ".x_block.adaLN_modulation.1."),
    (r"\.norm1_context\.linear\.", ".context_block.adaLN_modulation.1."),
    (r"\.(attn2?)\.norm_([qk])\.", r".x_block.\1.ln_\2."),
    (r"\.attn\.norm_added_([qk])\.", r".context_block.attn.ln_\1."),
    (r"\.(attn2?)\.to_out\.0\.", r".x_block.\1.proj."),
    (r"\.attn\.to_add_out\.", ".context_block.attn.proj."),
    (r"\.ff\.net\.0\.proj\.", ".x_block.mlp.fc1."),
    (r"\.ff\.net\.2\.", ".x_block.mlp.fc2."),
    (r"\.ff_context\.net\.0\.proj\.", ".context_block.mlp.fc1."),
    (r"\.ff_context\.net\.2\.", ".context_block.mlp.fc2."),
)
QKV = re.compile(
    r"^transformer_blocks\.(\d+)\.(attn2?)\.(to|add)_([qkv])(?:_proj)?\.(weight|bias)$"
)


def transformer(name: str, module: SD3) -> Origin:
    """Where a tensor of SD3Transformer2DModel is in the authors' file.

    >>> transformer("transformer_blocks.0.attn.add_v_proj.bias", SD3()).name
    'joint_blocks.0.context_block.attn.qkv.bias'
    """
    if found := QKV.match(name):
        block = "context_block" if found[3] == "add" else "x_block"
        rows = third("qkv".index(found[4]), module.num_attention_heads * module.attention_head_dim)
        return Origin(f"joint_blocks.{found[1]}.{block}.{found[2]}.qkv.{found[5]}", rows)
    last = f"transformer_blocks.{module.num_layers - 1}.norm1_context."
    return Origin(renamed(name, RULES), swapped=name.startswith(("norm_out.", last)))
