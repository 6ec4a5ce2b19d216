"""This library's MLP, U-Net and DiT in PyTorch, as functions of the same weights.

Layers are called as functions, without modules, which costs PyTorch less than modules do.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.weights import Arrays

Params = dict[str, Tensor]
NORM_EPS = 1e-6


def network(spec_name: str, weights: Arrays) -> Callable[[Tensor, Tensor], Tensor]:
    """(c_in x, noise label (batch,)) -> prediction; pictures have their channels first."""
    params, call = parameters(weights), forward(spec_name)
    return lambda x, label: call(params, x, label)


def forward(spec_name: str, head_width: int = 32) -> Callable[[Params, Tensor, Tensor], Tensor]:
    """The same as a function of the parameters too, which may want gradients."""
    if spec_name == "mlp":
        return _mlp
    return functools.partial({"unet": _unet, "dit": _dit}[spec_name], head_width=head_width)


def parameters(weights: Arrays) -> Params:
    """The weights as tensors."""
    return {name: _layout(value) for name, value in weights.items()}


def _layout(value: np.ndarray) -> Tensor:
    """Kernels as PyTorch wants them: output features first."""
    tensor = torch.from_numpy(value)
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor


def _dense(p: Params, name: str, x: Tensor) -> Tensor:
    return F.linear(x, p[f"{name}/kernel"], p.get(f"{name}/bias"))


def _conv(p: Params, name: str, x: Tensor) -> Tensor:
    return F.conv2d(x, p[f"{name}/kernel"], p[f"{name}/bias"], padding=1)


def _group_norm(p: Params, name: str, x: Tensor) -> Tensor:
    channels = x.shape[1]
    groups = max((g for g in (2, 4, 8) if channels % g == 0 and channels >= 4 * g), default=1)
    return F.group_norm(x, groups, p.get(f"{name}/scale"), p.get(f"{name}/bias"), NORM_EPS)


def _embedding(p: Params, label: Tensor, classes: Tensor | None = None) -> Tensor:
    name = "backbone/NoiseEmbedding_0"
    width = p[f"{name}/Dense_0/bias"].shape[0]
    frequencies = 0.5 * 32.0 ** torch.linspace(0, 1, width // 2, device=label.device)
    angles = label[:, None] * frequencies
    features = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
    hidden = F.silu(_dense(p, f"{name}/Dense_0", features))
    embedding = _dense(p, f"{name}/Dense_1", hidden)
    if classes is not None:
        pooled = F.embedding(classes, p["encoder/classes/embedding"].T)
        embedding = embedding + _dense(p, f"{name}/pooled", pooled)
    return F.silu(embedding)


def _mlp(p: Params, x: Tensor, label: Tensor) -> Tensor:
    """Depth one, as in `problem`."""
    h = _dense(p, "backbone/in", x)
    scale, shift = _dense(p, "backbone/Dense_0", _embedding(p, label)).chunk(2, dim=-1)
    hidden = _dense(p, "backbone/Dense_1", h)
    hidden = F.layer_norm(hidden, hidden.shape[-1:], eps=NORM_EPS)
    h = h + _dense(p, "backbone/Dense_2", F.silu(hidden * (1 + scale) + shift))
    return _dense(p, "backbone/zero_out", h)


def _unet(p: Params, x: Tensor, label: Tensor, head_width: int) -> Tensor:
    embedding = _embedding(p, label)
    levels = 1 + max(int(name.split("_")[1]) for name in _stages(p) if name.startswith("down"))
    blocks = sum(name.startswith("down_0_") for name in _stages(p))

    def stage(name: str, h: Tensor) -> Tensor:
        return _stage(p, f"backbone/{name}", h, embedding, head_width)

    h = _conv(p, "backbone/stem", x)
    skips = []
    for level in range(levels):
        if level:
            h = F.avg_pool2d(h, 2)
        for i in range(blocks):
            h = stage(f"down_{level}_{i}", h)
            skips.append(h)
    h = stage("middle", h)
    for level in reversed(range(levels)):
        for i in range(blocks):
            h = torch.cat([h, skips.pop()], dim=1)
            h = stage(f"up_{level}_{i}", h)
        if level:
            h = F.interpolate(h, scale_factor=2, mode="nearest")
    h = F.silu(_group_norm(p, "backbone/GroupNorm_0", h))
    return _conv(p, "backbone/zero_out", h)


def _stages(p: Params) -> set[str]:
    return {name.split("/")[1] for name in p}


def _stage(p: Params, name: str, h: Tensor, embedding: Tensor, head_width: int) -> Tensor:
    h = _residual(p, f"{name}/residual", h, embedding)
    if f"{name}/attention/self_norm/scale" not in p:
        return h
    return _grid_attention(p, f"{name}/attention", h, head_width)


def _residual(p: Params, name: str, h: Tensor, embedding: Tensor) -> Tensor:
    modulation = _dense(p, f"{name}/modulation", embedding)[:, :, None, None]
    scale, shift = modulation.chunk(2, dim=1)
    hidden = _conv(p, f"{name}/conv", F.silu(_group_norm(p, f"{name}/GroupNorm_0", h)))
    hidden = _group_norm(p, "no parameters", hidden) * (1 + scale) + shift
    hidden = _conv(p, f"{name}/zero_conv", F.silu(hidden))
    if f"{name}/skip/kernel" in p:
        kernel = p[f"{name}/skip/kernel"]
        h = F.conv2d(h, kernel[:, :, None, None], p[f"{name}/skip/bias"])
    return h + hidden


def _grid_attention(p: Params, name: str, h: Tensor, head_width: int) -> Tensor:
    channels = h.shape[1]
    x = h.flatten(2).transpose(1, 2)
    norm = [p[f"{name}/self_norm/{part}"] for part in ("scale", "bias")]
    cells = F.layer_norm(x, (channels,), *norm, eps=NORM_EPS)
    mixed = _attention(p, f"{name}/self", cells, head_width)
    x = x + _dense(p, f"{name}/self/zero_out", mixed)
    return x.transpose(1, 2).reshape(h.shape)


def _attention(p: Params, name: str, x: Tensor, head_width: int) -> Tensor:
    """Up to the last linear map."""
    batch, rows, width = x.shape
    heads = max(1, width // head_width)

    def project(part: str) -> Tensor:
        return _dense(p, f"{name}/{part}", x).reshape(batch, rows, heads, -1).transpose(1, 2)

    query, key, value = (project(part) for part in ("query", "key", "value"))
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)


def _dit(
    p: Params, x: Tensor, label: Tensor, head_width: int, classes: Tensor | None = None
) -> Tensor:
    """Classes are rows of their table, the last of which is "no class"."""
    batch, channels, rows, columns = x.shape
    width, features = p["backbone/patches/kernel"].shape
    patch = math.isqrt(features // channels)
    rows, columns = rows // patch, columns // patch
    embedding = _embedding(p, label, classes)
    cells = x.reshape(batch, channels, rows, patch, columns, patch).permute(0, 2, 4, 3, 5, 1)
    h = _dense(p, "backbone/patches", cells.reshape(batch, rows * columns, features))
    # Given where a compiler should not trace how they are made.
    h = h + (p["positions"] if "positions" in p else positions(rows, columns, width)).to(h)
    depth = sum(name.endswith("expand/kernel") for name in p)
    for i in range(depth):
        h = _dit_block(p, f"backbone/block_{i}", h, embedding, head_width)
    shift, scale = _dense(p, "backbone/zero_modulation", embedding)[:, None].chunk(2, dim=-1)
    h = _dense(p, "backbone/zero_out", _plain_norm(h) * (1 + scale) + shift)
    h = h.reshape(batch, rows, columns, patch, patch, channels).permute(0, 5, 1, 3, 2, 4)
    return h.reshape(x.shape)


def _dit_block(p: Params, name: str, h: Tensor, embedding: Tensor, head_width: int) -> Tensor:
    steer = _dense(p, f"{name}/zero_modulation", embedding)[:, None].chunk(6, dim=-1)
    mixed = _attention(p, f"{name}/self", _plain_norm(h) * (1 + steer[1]) + steer[0], head_width)
    h = h + steer[2] * _dense(p, f"{name}/self/out", mixed)
    hidden = _dense(p, f"{name}/expand", _plain_norm(h) * (1 + steer[4]) + steer[3])
    return h + steer[5] * _dense(p, f"{name}/contract", F.gelu(hidden, approximate="tanh"))


def _plain_norm(h: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:], eps=NORM_EPS)


@functools.cache
def positions(rows: int, columns: int, width: int) -> Tensor:
    """Sines and cosines of row and column, (rows * columns, width)."""

    def sines(length: int) -> Tensor:
        frequencies = 1e4 ** -np.linspace(0, 1, width // 4, endpoint=False)
        angles = np.arange(length)[:, None] * frequencies
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)

    both = [np.repeat(sines(rows), columns, axis=0), np.tile(sines(columns), (rows, 1))]
    return torch.from_numpy(np.concatenate(both, axis=-1).astype(np.float32))
