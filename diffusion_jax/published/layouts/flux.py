"""Black Forest Labs' names of the transformer of FLUX.1.

Queries, keys and values are one layer, in the later blocks with the first of the feed-forward, and
the last modulation gives its shift before its scale.

Source: src/flux/model.py and modules/layers.py of black-forest-labs/flux.
"""

import re

from diffusion_jax.networks.transformers.flux import Flux
from diffusion_jax.published.layouts.origin import Origin, renamed, third

ALL = 2**62
RULES = (
    (r"^time_text_embed\.timestep_embedder\.", "time_in."),
    (r"^time_text_embed\.guidance_embedder\.", "guidance_in."),
    (r"^time_text_embed\.text_embedder\.", "vector_in."),
    (r"\.linear_1\.", ".in_layer."),
    (r"\.linear_2\.", ".out_layer."),
    (r"^context_embedder\.", "txt_in."),
    (r"^x_embedder\.", "img_in."),
    (r"^norm_out\.linear\.", "final_layer.adaLN_modulation.1."),
    (r"^proj_out\.", "final_layer.linear."),
    (r"^single_transformer_blocks\.(\d+)\.norm\.linear\.", r"single_blocks.\1.modulation.lin."),
    (r"^single_transformer_blocks\.(\d+)\.attn\.", r"single_blocks.\1."),
    (r"^single_transformer_blocks\.(\d+)\.proj_out\.", r"single_blocks.\1.linear2."),
    (r"^(single_blocks\.\d+)\.norm_q\.weight$", r"\1.norm.query_norm.scale"),
    (r"^(single_blocks\.\d+)\.norm_k\.weight$", r"\1.norm.key_norm.scale"),
    (r"^transformer_blocks\.", "double_blocks."),
    (r"\.norm1\.linear\.", ".img_mod.lin."),
    (r"\.norm1_context\.linear\.", ".txt_mod.lin."),
    (r"\.attn\.norm_q\.weight$", ".img_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_k\.weight$", ".img_attn.norm.key_norm.scale"),
    (r"\.attn\.norm_added_q\.weight$", ".txt_attn.norm.query_norm.scale"),
    (r"\.attn\.norm_added_k\.weight$", ".txt_attn.norm.key_norm.scale"),
    (r"\.attn\.to_out\.0\.", ".img_attn.proj."),
    (r"\.attn\.to_add_out\.", ".txt_attn.proj."),
    (r"\.ff\.net\.0\.proj\.", ".img_mlp.0."),
    (r"\.ff\.net\.2\.", ".img_mlp.2."),
    (r"\.ff_context\.net\.0\.proj\.", ".txt_mlp.0."),
    (r"\.ff_context\.net\.2\.", ".txt_mlp.2."),
)
DOUBLE = re.compile(r"^transformer_blocks\.(\d+)\.attn\.(to|add)_([qkv])(?:_proj)?\.(weight|bias)$")
SINGLE = re.compile(
    r"^single_transformer_blocks\.(\d+)\.(?:attn\.to_([qkv])|proj_mlp)\.(weight|bias)$"
)


def transformer(name: str, module: Flux) -> Origin:
    """Where a tensor of FluxTransformer2DModel is in the authors' file.

    >>> transformer("single_transformer_blocks.1.attn.to_v.bias", Flux()).rows
    (6144, 9216)
    """
    width = module.width
    if found := DOUBLE.match(name):
        stream = "txt" if found[2] == "add" else "img"
        rows = third("qkv".index(found[3]), width)
        return Origin(f"double_blocks.{found[1]}.{stream}_attn.qkv.{found[4]}", rows)
    if found := SINGLE.match(name):
        rows = third("qkv".index(found[2]), width) if found[2] else (3 * width, ALL)
        return Origin(f"single_blocks.{found[1]}.linear1.{found[3]}", rows)
    return Origin(renamed(name, RULES), swapped=name.startswith("norm_out."))
