"""This library's MLP and U-Net in PyTorch, as functions of the same weights.

Layers are called as functions, without modules, which costs PyTorch less than its usual way.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from experiments.peers.problem import Weights

Params = dict[str, Any]
NORM_EPS = 1e-6


def network(spec_name: str, weights: Weights) -> Callable[[Any, Any], Any]:
    """(c_in x, noise label (batch,)) -> prediction; pictures have their channels first."""
    params = {name: _layout(value) for name, value in weights.items()}
    call = {"mlp": _mlp, "unet": _unet}[spec_name]
    return lambda x, label: call(params, x, label)


def _layout(value: Any) -> Any:
    """Kernels as PyTorch wants them: output features first."""
    tensor = torch.from_numpy(value)
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous()
    return tensor.T.contiguous() if tensor.ndim == 2 else tensor


def _dense(p: Params, name: str, x: Any) -> Any:
    return F.linear(x, p[f"{name}/kernel"], p.get(f"{name}/bias"))


def _conv(p: Params, name: str, x: Any) -> Any:
    return F.conv2d(x, p[f"{name}/kernel"], p[f"{name}/bias"], padding=1)


def _group_norm(p: Params, name: str, x: Any) -> Any:
    channels = x.shape[1]
    groups = max((g for g in (2, 4, 8) if channels % g == 0 and channels >= 4 * g), default=1)
    return F.group_norm(x, groups, p.get(f"{name}/scale"), p.get(f"{name}/bias"), NORM_EPS)


def _embedding(p: Params, label: Any) -> Any:
    name = "backbone/NoiseEmbedding_0"
    width = p[f"{name}/Dense_0/bias"].shape[0]
    frequencies = 0.5 * 32.0 ** torch.linspace(0, 1, width // 2)
    angles = label[:, None] * frequencies
    features = torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)
    hidden = F.silu(_dense(p, f"{name}/Dense_0", features))
    return F.silu(_dense(p, f"{name}/Dense_1", hidden))


def _mlp(p: Params, x: Any, label: Any) -> Any:
    """Depth one, as in `problem`."""
    h = _dense(p, "backbone/in", x)
    scale, shift = _dense(p, "backbone/Dense_0", _embedding(p, label)).chunk(2, dim=-1)
    hidden = _dense(p, "backbone/Dense_1", h)
    hidden = F.layer_norm(hidden, hidden.shape[-1:], eps=NORM_EPS)
    h = h + _dense(p, "backbone/Dense_2", F.silu(hidden * (1 + scale) + shift))
    return _dense(p, "backbone/zero_out", h)


def _unet(p: Params, x: Any, label: Any) -> Any:
    embedding = _embedding(p, label)
    levels = 1 + max(int(name.split("_")[1]) for name in _stages(p) if name.startswith("down"))
    blocks = sum(name.startswith("down_0_") for name in _stages(p))
    h = _conv(p, "backbone/stem", x)
    skips = []
    for level in range(levels):
        if level:
            h = F.avg_pool2d(h, 2)
        for i in range(blocks):
            h = _stage(p, f"backbone/down_{level}_{i}", h, embedding)
            skips.append(h)
    h = _stage(p, "backbone/middle", h, embedding)
    for level in reversed(range(levels)):
        for i in range(blocks):
            h = torch.cat([h, skips.pop()], dim=1)
            h = _stage(p, f"backbone/up_{level}_{i}", h, embedding)
        if level:
            h = F.interpolate(h, scale_factor=2, mode="nearest")
    h = F.silu(_group_norm(p, "backbone/GroupNorm_0", h))
    return _conv(p, "backbone/zero_out", h)


def _stages(p: Params) -> set[str]:
    return {name.split("/")[1] for name in p}


def _stage(p: Params, name: str, h: Any, embedding: Any) -> Any:
    h = _residual(p, f"{name}/residual", h, embedding)
    return _attention(p, f"{name}/attention", h) if f"{name}/attention/self_norm/scale" in p else h


def _residual(p: Params, name: str, h: Any, embedding: Any) -> Any:
    modulation = _dense(p, f"{name}/modulation", embedding)[:, :, None, None]
    scale, shift = modulation.chunk(2, dim=1)
    hidden = _conv(p, f"{name}/conv", F.silu(_group_norm(p, f"{name}/GroupNorm_0", h)))
    hidden = _group_norm(p, "no parameters", hidden) * (1 + scale) + shift
    hidden = _conv(p, f"{name}/zero_conv", F.silu(hidden))
    if f"{name}/skip/kernel" in p:
        kernel = p[f"{name}/skip/kernel"]
        h = F.conv2d(h, kernel[:, :, None, None], p[f"{name}/skip/bias"])
    return h + hidden


def _attention(p: Params, name: str, h: Any, head_width: int = 32) -> Any:
    batch, channels, height, width = h.shape
    heads = max(1, channels // head_width)
    x = h.flatten(2).transpose(1, 2)
    norm = [p[f"{name}/self_norm/{part}"] for part in ("scale", "bias")]
    cells = F.layer_norm(x, (channels,), *norm, eps=NORM_EPS)

    def project(part: str) -> Any:
        rows = _dense(p, f"{name}/self/{part}", cells)
        return rows.reshape(batch, height * width, heads, -1).transpose(1, 2)

    query, key, value = (project(part) for part in ("query", "key", "value"))
    mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
    x = x + _dense(p, f"{name}/self/zero_out", mixed)
    return x.transpose(1, 2).reshape(h.shape)
