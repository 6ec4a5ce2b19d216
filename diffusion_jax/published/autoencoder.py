"""An autoencoder alone: of a released model's folder, or its own folder."""

import hashlib
import json
from pathlib import Path

import jax
import numpy as np

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.networks.autoencoders import Autoencoder
from diffusion_jax.published.parts import CONFIG, Part, read_part

FOLDER = "vae"  # of a model's folder


def read_autoencoder(path: str | Path, variant: str = "", dtype: str = "float32") -> Part:
    """Reads an autoencoder.

    Args:
        path: of its folder as diffusers writes it; or of a model's folder, or of a run that has
            trained one, whose `vae` it is.
        variant: which of several files of weights, such as "fp16".
        dtype: of the parameters and of the computation.

    Raises:
        UserError: there is none, it is something else, or something is missing or damaged.
    """
    given = user_path(path)
    # A run's folder has a file of that name too, which is none of an autoencoder.
    places = [each for each in (given / FOLDER, given) if (each / CONFIG).exists()]
    if not places:
        raise UserError(
            f"There is no autoencoder in {given}: neither it nor {given / FOLDER} has a {CONFIG}."
        )
    part = read_part(places[0], dtype, variant)
    if not isinstance(part.module, Autoencoder):
        raise UserError(f"{places[0]} is a {type(part.module).__name__}, and no autoencoder.")
    return part


def part_digest(part: Part) -> str:
    """A digest of a part's settings, of its parameters and of the dtype that it computes in."""
    settings = {k: v for k, v in part.configuration.items() if not k.startswith("_")}
    told = type(part.module).__name__, getattr(part.module, "dtype", ""), settings
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path(part.params):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.view(np.uint8).data)
    return digest.hexdigest()
