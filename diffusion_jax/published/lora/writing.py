"""Adapters written as LoRA files, which diffusers and peft load."""

from pathlib import Path as FilePath
from typing import Any

import numpy as np

from diffusion_jax.networks.adapters.base import BACKBONE, Params, flat
from diffusion_jax.networks.adapters.lora import DOWN, KERNEL, UP, LoRA
from diffusion_jax.published.names import names_of
from diffusion_jax.published.writing import write_safetensors


def write_lora(adapter: LoRA, trained: Params, module: Any, part: str, path: FilePath) -> FilePath:
    """Writes what was trained as `PART.MODULE.lora_A.weight` and `lora_B.weight`.

    alpha/rank is multiplied into B, so that readers that know nothing of alpha take it as well.

    Args:
        adapter: with its alpha.
        trained: A and B, of a network or of a `ScoreNetwork`.
        module: the network, whose tensors have the original's names.
        part: what its folder is called, such as "unet".
        path: of the file.

    Returns:
        The path.
    """
    names, found = names_of(module), {}
    terms = flat(trained.get(BACKBONE, trained))
    for path_in, down in terms.items():
        if path_in[-1] != DOWN:
            continue
        owner = path_in[:-1]
        stem = f"{part}.{names.tensor((*owner, KERNEL)).removesuffix('.weight')}"
        a = np.moveaxis(np.asarray(down), (-1, -2), (0, 1))
        b = float(adapter.scale) * np.asarray(terms[*owner, UP]).T
        found[f"{stem}.lora_A.weight"] = a
        found[f"{stem}.lora_B.weight"] = b.reshape(*b.shape, *[1] * (a.ndim - 2))
    return write_safetensors(found, path)
