"""Latent diffusion's names: the U-Net and autoencoder of Stable Diffusion 1, 2 and XL.

Blocks are counted through all levels, so that `input_blocks.7.0` is the first residual block of the
third level; diffusers counts within each. The autoencoder counts the levels of its decoder from the
finest, diffusers from the coarsest.

Source: ldm/modules/diffusionmodules/openaimodel.py and model.py of CompVis/latent-diffusion.
"""

import re

from diffusion_jax.networks.autoencoders.autoencoder_kl import AutoencoderKL
from diffusion_jax.networks.unet2d.unet2d_condition import UNet2DCondition
from diffusion_jax.published.layouts.origin import Origin, renamed

EMBEDDINGS = (
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^conv_norm_out\.", "out.0."),
    (r"^conv_out\.", "out.2."),
    (r"^time_embedding\.linear_1\.", "time_embed.0."),
    (r"^time_embedding\.linear_2\.", "time_embed.2."),
    (r"^(add|class)_embedding\.linear_1\.", "label_emb.0.0."),
    (r"^(add|class)_embedding\.linear_2\.", "label_emb.0.2."),
)
RESNET = (
    (r"\.norm1\.", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
)
MIDDLE = {"resnets.0": "0", "attentions.0": "1", "resnets.1": "2"}
BLOCK = re.compile(r"^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)")
MIDDLE_BLOCK = re.compile(r"^mid_block\.((?:resnets|attentions)\.\d)")


def unet(name: str, module: UNet2DCondition) -> Origin:
    """Where a tensor of UNet2DConditionModel is in a U-Net of latent diffusion.

    >>> unet("down_blocks.1.resnets.0.conv1.bias", UNet2DCondition()).name
    'input_blocks.4.0.in_layers.2.bias'
    """
    if middle := MIDDLE_BLOCK.match(name):
        rest = name[middle.end() :]
        found = f"middle_block.{MIDDLE[middle[1]]}{_inner(middle[1], rest)}"
    elif block := BLOCK.match(name):
        found = _block(block, module) + _inner(block[3], name[block.end() :])
    else:
        found = renamed(name, EMBEDDINGS)
    return Origin(found)


def _block(block: re.Match[str], module: UNet2DCondition) -> str:
    side, level, kind, number = block[1], int(block[2]), block[3], int(block[4])
    layers = layers_of(module)
    if side == "down":
        first = 1 + sum(layers[:level]) + level
        if kind == "downsamplers":
            return f"input_blocks.{first + layers[level]}.0"
        return f"input_blocks.{first + number}.{int(kind == 'attentions')}"
    backwards = layers[::-1]
    first = sum(backwards[:level]) + level
    if kind == "upsamplers":
        attends = "CrossAttn" in module.up_block_types[level]
        return f"output_blocks.{first + backwards[level]}.{1 + attends}"
    return f"output_blocks.{first + number}.{int(kind == 'attentions')}"


def layers_of(module: UNet2DCondition) -> tuple[int, ...]:
    """Residual blocks of each level on the way down."""
    layers = module.layers_per_block
    return (layers,) * len(module.block_out_channels) if isinstance(layers, int) else layers


def _inner(kind: str, rest: str) -> str:
    if kind.startswith("resnets"):
        return renamed(rest, RESNET)
    return rest.replace(".conv.", ".op.") if kind == "downsamplers" else rest


CODER = (
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.attn_1\.group_norm\.", ".attn_1.norm."),
    (r"\.attn_1\.to_([qkv])\.", r".attn_1.\1."),
    (r"\.attn_1\.to_out\.0\.", ".attn_1.proj_out."),
    (r"\.down_blocks\.(\d+)\.resnets\.", r".down.\1.block."),
    (r"\.down_blocks\.(\d+)\.downsamplers\.0\.", r".down.\1.downsample."),
    (r"\.up_blocks\.(\d+)\.resnets\.", r".up.\1.block."),
    (r"\.up_blocks\.(\d+)\.upsamplers\.0\.", r".up.\1.upsample."),
)


def autoencoder(name: str, module: AutoencoderKL) -> Origin:
    """Where a tensor of AutoencoderKL is in an autoencoder of latent diffusion.

    >>> autoencoder("decoder.up_blocks.0.resnets.2.conv_shortcut.bias", AutoencoderKL()).name
    'decoder.up.0.block.2.nin_shortcut.bias'
    """
    levels = len(module.block_out_channels)

    def turned(level: re.Match[str]) -> str:
        return f".up.{levels - 1 - int(level[1])}."

    return Origin(re.sub(r"\.up\.(\d+)\.", turned, renamed(name, CODER)))
