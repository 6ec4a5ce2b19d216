"""OpenCLIP's names of a text encoder, as in files of Stable Diffusion 2 and XL.

Source: src/open_clip/transformer.py of mlfoundations/open_clip.
"""

import re

from diffusion_jax.networks.encoders.clip_text import CLIPText
from diffusion_jax.published.layouts.origin import Origin, renamed, third

RULES = (
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_projection\.weight$", "text_projection"),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
)
PROJECTION = re.compile(r"\.self_attn\.([qkv])_proj\.(weight|bias)$")


def text_encoder(name: str, module: CLIPText) -> Origin:
    """Where a tensor of CLIPTextModel is in OpenCLIP's.

    >>> text_encoder("text_model.encoder.layers.3.self_attn.k_proj.bias", CLIPText()).rows
    (768, 1536)
    """
    if found := PROJECTION.search(name):
        start = renamed(name[: found.start()], RULES)
        rows = third("qkv".index(found[1]), module.hidden_size)
        return Origin(f"{start}.attn.in_proj_{found[2]}", rows)
    return Origin(renamed(name, RULES), transposed=name == "text_projection.weight")
