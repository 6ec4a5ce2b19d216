"""LoRA files read, and their terms added to the kernels of a model."""

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from jaxtyping import Array

from diffusion_jax.errors import UserError, shown
from diffusion_jax.files import user_path
from diffusion_jax.hints import fits
from diffusion_jax.networks.adapters.base import Path, flat
from diffusion_jax.networks.adapters.lora import KERNEL, low_rank
from diffusion_jax.published.lora.keys import ALPHA, DOWN, UP, Modules, TermKey, parsed
from diffusion_jax.published.names import listed
from diffusion_jax.published.parts import Part, read_json
from diffusion_jax.published.readers import Weights, open_weights

METADATA, CONFIG = "lora_adapter_metadata", "adapter_config.json"

Terms = dict[str, str]
"""Side → key of the file."""


def with_lora(
    parts: Mapping[str, Part], network: str, path: str | FilePath, scale: float = 1.0
) -> dict[str, Part]:
    """The parts of a model with the terms of a LoRA file: W + scale · alpha/rank · B A.

    Args:
        parts: by the names of their folders.
        network: which of them is the network, whose terms name no part in some files.
        path: of the file, in any of the conventions in `keys`; or of a folder with it alone.
        scale: of all terms.

    Raises:
        UserError: it cannot be read, a tensor of it has no place in the model, or one half of a
            term is missing or of another shape.
    """
    if not isinstance(scale, int | float) or not math.isfinite(scale):
        raise UserError(f"The scale of a LoRA must be a finite number, not {scale!r}.")
    file = user_path(path)
    weights = open_weights(file)
    told = _alphas(weights, file)
    found = dict(parts)
    for part, terms in _terms(parts, network, weights, file).items():
        leaves = dict(flat(parts[part].params))
        for module, keys in terms.items():
            leaf = leaves[*module, KERNEL]
            leaves[*module, KERNEL] = _added(leaf, keys, weights, told, float(scale), file)
        params = unflatten_dict(leaves)
        found[part] = dataclasses.replace(found[part], params=params)
    return found


def _terms(
    parts: Mapping[str, Part], network: str, weights: Weights, file: FilePath
) -> dict[str, dict[Path, Terms]]:
    """Part → module → the keys of its term."""
    modules, left = Modules(parts, network), []
    found: dict[str, dict[Path, Terms]] = {}
    for key in weights:
        known = parsed(key)
        place = modules.find(known) if known else None
        if known is None or place is None:
            left.append(key)
            continue
        part, module = place
        term = found.setdefault(part, {}).setdefault(module, {})
        if known.side in term:
            raise UserError(f"{file} has two terms for one module: {key!r}, {term[known.side]!r}.")
        term[known.side] = key
    if left:
        raise UserError(
            f"{len(left)} of {len(weights)} tensors of {file} have no place in this model: "
            f"{listed(left)}. This is a LoRA of another model, or of another kind."
        )
    for term in (term for each in found.values() for term in each.values()):
        for side, other in ((DOWN, UP), (UP, DOWN)):
            if side not in term:
                there = term.get(other) or term[ALPHA]
                raise UserError(f"{file} has {there!r} without the other half of its term.")
    return found


def _added(
    kernel: Array,
    keys: Terms,
    weights: Weights,
    told: "_Alphas",
    scale: float,
    file: FilePath,
) -> Array:
    down, up = (np.asarray(weights[keys[side]].read()) for side in (DOWN, UP))
    rank, outputs = (each.shape[0] if each.ndim else 0 for each in (down, up))
    makes_kernel = (
        min(down.ndim, up.ndim) >= 2
        and rank > 0
        and down.size == math.prod(kernel.shape[:-1]) * rank
        and (outputs, up.size) == (kernel.shape[-1], outputs * rank)
    )
    if not makes_kernel:
        raise UserError(
            f"{keys[DOWN]!r} and {keys[UP]!r} of {file} have shapes {down.shape} and {up.shape}, "
            f"which do not make a kernel of shape {kernel.shape}: this is a LoRA of another model."
        )
    if ALPHA in keys:
        alpha = np.asarray(weights[keys[ALPHA]].read())
        if alpha.size != 1:
            raise UserError(f"{keys[ALPHA]!r} of {file} has shape {alpha.shape}, not one number.")
        factor = float(alpha.reshape(())) / rank
    else:
        factor = told.factor(keys[DOWN], rank, file)
    wide = jnp.promote_types(kernel.dtype, jnp.float32)
    turned = np.moveaxis(down, (0, 1), (-1, -2)).reshape(*kernel.shape[:-1], rank)
    term = low_rank(
        jnp.asarray(turned, wide), jnp.asarray(up.reshape(outputs, rank).T, wide), scale * factor
    )
    added: Array = (kernel.astype(wide) + term).astype(kernel.dtype)
    return jax.block_until_ready(added)


@dataclasses.dataclass(frozen=True)
class _Alphas:
    """What a file says of alpha beside its tensors: settings of peft, by the parts' prefixes."""

    settings: Mapping[str, Mapping[str, Any]]

    def factor(self, key: str, rank: int, file: FilePath) -> float:
        """alpha/rank of a term; 1 where nothing is said.

        Raises:
            UserError: what is said is no number, or its pattern of names is none.
        """
        owners = [part for part in self.settings if key.startswith(f"{part}.") or not part]
        if not owners:
            return 1.0
        part = max(owners, key=len)
        told, known = self.settings[part], parsed(key)
        assert isinstance(known, TermKey)
        module, alpha = known.modules[0], told.get("lora_alpha", rank)
        patterns = told.get("alpha_pattern") or {}
        try:
            for pattern, own in patterns.items() if isinstance(patterns, Mapping) else ():
                if re.match(rf"(.*\.)?({pattern})$", module):
                    alpha = own
                    break
        except re.error as error:
            raise UserError(f"{file}: its alpha_pattern {pattern!r} is none: {error}.") from None
        if not fits(alpha, float):
            raise UserError(f"{file}: its lora_alpha must be a number, not {shown(alpha)}.")
        return float(alpha) / (math.sqrt(rank) if told.get("use_rslora") else rank)


def _alphas(weights: Weights, file: FilePath) -> _Alphas:
    """The settings of peft in a file's header, or in the config beside it."""
    beside = (file if file.is_dir() else file.parent) / CONFIG
    if METADATA in weights.metadata:
        try:
            packed = json.loads(weights.metadata[METADATA])
        except (ValueError, RecursionError) as error:
            raise UserError(f"{file}: its {METADATA} is damaged: {error}.") from None
        if not isinstance(packed, dict):
            raise UserError(f"{file}: its {METADATA} must be a JSON object, not {shown(packed)}.")
        settings: dict[str, dict[str, Any]] = {}
        for name, value in packed.items():
            part, _, setting = name.rpartition(".")
            settings.setdefault(part, {})[setting] = value
        return _Alphas(settings)
    return _Alphas({"": read_json(beside)} if beside.exists() else {})
