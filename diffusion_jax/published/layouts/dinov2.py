"""DINOv2's names, as its authors' files have them.

Source: dinov2/models/vision_transformer.py of facebookresearch/dinov2.
"""

import re

from diffusion_jax.networks.encoders.dinov2 import Dinov2
from diffusion_jax.published.layouts.origin import Origin, renamed, third

RULES = (
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.register_tokens$", "register_tokens"),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^layernorm\.", "norm."),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.weights_in\.", ".mlp.w12."),
    (r"\.mlp\.weights_out\.", ".mlp.w3."),
)
ATTENTION = re.compile(r"\.attention\.attention\.(query|key|value)\.(weight|bias)$")
ORDER = ("query", "key", "value")


def encoder(name: str, module: Dinov2) -> Origin:
    """Where a tensor of Dinov2Model is.

    >>> encoder("encoder.layer.0.attention.attention.value.bias", Dinov2(hidden_size=24))
    Origin(name='blocks.0.attn.qkv.bias', rows=(48, 72), swapped=False, transposed=False)
    """
    if found := ATTENTION.search(name):
        start = renamed(name[: found.start()], RULES)
        rows = third(ORDER.index(found[1]), module.hidden_size)
        return Origin(f"{start}.attn.qkv.{found[2]}", rows)
    return Origin(renamed(name, RULES))
