"""How many floating-point operations a network needs, by formula.

Those of matrix products and convolutions, a multiplication and an addition counting as two; all
else is small beside them. A training step needs three times the forward pass: the backward pass
multiplies as often for the inputs of each product, and again for its weights. What is computed
twice to save memory does not count, so that utilisation by these is the field's MFU (Chowdhery et
al. 2022, PaLM, appendix B).
"""

import flax.linen as nn

from diffusion_jax.networks import MLP, DiT, UNet

TRAINING = 3  # forward passes that a step is worth


def forward(backbone: nn.Module, shape: tuple[int, ...]) -> float:
    """Operations for one picture; those for its condition, which are few, left out.

    Args:
        backbone: a `DiT`, `UNet` or `MLP`.
        shape: of a picture, (height, width, channels), or of a vector, (features,).

    >>> round(forward(DiT(patch=2, width=768, depth=12, heads=12), (32, 32, 4)) / 2e9, 1)
    23.0
    """
    if isinstance(backbone, DiT):
        return _dit(backbone, shape)
    if isinstance(backbone, UNet):
        return _unet(backbone, shape)
    if isinstance(backbone, MLP):
        return _mlp(backbone, shape)
    raise TypeError(f"no formula for the operations of {type(backbone).__name__}")


def _dit(network: DiT, shape: tuple[int, ...]) -> float:
    height, width, channels = shape
    w, features = network.width, network.patch**2 * channels
    tokens = height * width / network.patch**2
    attention = tokens * (_dense(w, 4 * w) + 4 * tokens * w)
    block = attention + 2 * tokens * _dense(w, 4 * w) + _dense(w, 6 * w)
    ends = tokens * _dense(w, features * (1 + network.outputs))
    return network.depth * block + ends + _dense(w, 2 * w) + _noise(w)


def _unet(network: UNet, shape: tuple[int, ...]) -> float:
    height, width, channels = shape
    cells = height * width / network.patch**2
    widths, embedding = network.channels, 4 * network.channels[0]
    features = channels * network.patch**2

    def stage(inputs: int, level: int) -> float:
        outputs, grid = widths[level], cells / 4**level
        maps = 9 * (_dense(inputs, outputs) + _dense(outputs, outputs))
        skip = _dense(inputs, outputs) if inputs != outputs else 0
        attends = level in network.attention
        mixing = grid * (_dense(outputs, 4 * outputs) + 4 * grid * outputs) if attends else 0
        return grid * (maps + skip) + _dense(embedding, 2 * outputs) + mixing

    total, h, skips = 9 * cells * _dense(features, widths[0]), widths[0], []
    for level, own in enumerate(widths):
        for _ in range(network.blocks):
            total += stage(h, level)
            h = own
            skips.append(h)
    total += stage(h, len(widths) - 1)
    for level in reversed(range(len(widths))):
        for _ in range(network.blocks):
            total += stage(h + skips.pop(), level)
            h = widths[level]
    return total + 9 * cells * _dense(h, network.outputs * features) + _noise(embedding)


def _mlp(network: MLP, shape: tuple[int, ...]) -> float:
    (features,), w = shape, network.width
    layer = _dense(w, 2 * w) + 2 * _dense(w, w)
    return network.depth * layer + _dense(features, w * (1 + network.outputs)) + _noise(w)


def _noise(width: int) -> float:
    """Of the embedding of the noise level."""
    return 2 * _dense(width, width)


def _dense(inputs: int, outputs: int) -> float:
    """Of one row."""
    return 2.0 * inputs * outputs
