"""OpenAI's and OpenCLIP's names of CLIP; those of captions are in files of Stable Diffusion too.

Source: clip/model.py of openai/CLIP, src/open_clip/transformer.py of mlfoundations/open_clip.
"""

import re

from diffusion_jax.networks.encoders.clip import CLIP
from diffusion_jax.networks.encoders.clip_text import CLIPText
from diffusion_jax.networks.encoders.clip_vision import CLIPVision
from diffusion_jax.published.layouts.origin import Origin, renamed, third

TEXT = (
    (r"^text_model\.embeddings\.token_embedding\.", "token_embedding."),
    (r"^text_model\.embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^text_model\.final_layer_norm\.", "ln_final."),
    (r"^text_projection\.weight$", "text_projection"),
    (r"^text_model\.encoder\.layers\.", "transformer.resblocks."),
)
PICTURES = (
    (r"^vision_model\.embeddings\.class_embedding$", "visual.class_embedding"),
    (r"^vision_model\.embeddings\.patch_embedding\.", "visual.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight$", "visual.positional_embedding"),
    (r"^vision_model\.pre_layrnorm\.", "visual.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "visual.ln_post."),
    (r"^visual_projection\.weight$", "visual.proj"),
    (r"^vision_model\.encoder\.layers\.", "visual.transformer.resblocks."),
)
LAYER = (
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
)
ATTENTION = re.compile(r"\.self_attn\.([qkv])_proj\.(weight|bias)$")
TRANSPOSED = ("text_projection.weight", "visual_projection.weight")


def text_encoder(name: str, module: CLIPText) -> Origin:
    """Where a tensor of CLIPTextModel is in OpenCLIP's.

    >>> text_encoder("text_model.encoder.layers.3.self_attn.k_proj.bias", CLIPText()).rows
    (768, 1536)
    """
    return _origin(name, TEXT, module.hidden_size)


def image_encoder(name: str, module: CLIPVision) -> Origin:
    """Where a tensor of CLIPVisionModel is in a file of the whole.

    >>> image_encoder("vision_model.pre_layrnorm.bias", CLIPVision()).name
    'visual.ln_pre.bias'
    """
    return _origin(name, PICTURES, module.hidden_size)


def clip(name: str, module: CLIP) -> Origin:
    """Where a tensor of CLIPModel is."""
    if name.startswith(("vision_model.", "visual_projection.")):
        return image_encoder(name, module.halves()[1])
    return text_encoder(name, module.halves()[0])


def _origin(name: str, rules: tuple[tuple[str, str], ...], width: int) -> Origin:
    if found := ATTENTION.search(name):
        start = renamed(name[: found.start()], rules)
        return Origin(f"{start}.attn.in_proj_{found[2]}", third("qkv".index(found[1]), width))
    return Origin(renamed(name, (*rules, *LAYER)), transposed=name in TRANSPOSED)
