"""A whole model's folder as diffusers writes it: its pipeline, parts, scheduler and tokenizers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax.sharding import Sharding

from diffusion_jax.errors import one_of
from diffusion_jax.published.folder import SCHEDULER, read_index
from diffusion_jax.published.latents import latents_by
from diffusion_jax.published.layouts.single_file import read_single_file
from diffusion_jax.published.parts import read_json, read_part
from diffusion_jax.published.pipelines import pipelines
from diffusion_jax.published.pipelines.base import process_of
from diffusion_jax.published.readers import open_weights
from diffusion_jax.published.room import check_room
from diffusion_jax.published.tokenizers import read_tokenizer
from diffusion_jax.registry import Spec


def read_folder(
    folder: Path,
    dtype: str,
    variant: str,
    sharding: Sharding | None,
    strict: bool,
    settings: Mapping[str, Any],
    file: Path | None = None,
) -> dict[str, Any]:
    """What a `ReleasedModel` is made of, by its fields; arguments as of `released`.

    Args:
        file: that has the weights of its parts, in place of the folder.

    Raises:
        UserError: something is missing, damaged or left over, or is not known, a setting that its
            pipeline does not have, or no memory for it.
    """
    index = read_index(folder)
    kind = one_of(index.kind, pipelines, "pipeline")
    pipeline = pipelines.make(Spec(kind, dict(settings)))
    index.check(folder, pipeline.network, pipeline.honoured)
    scheduler = process_of(read_json(folder / SCHEDULER), pipeline)
    if file is not None:
        parts = read_single_file(file, folder, tuple(index.parts), dtype, variant, sharding)
    else:
        stored = [open_weights(folder / name, variant) for name in index.parts]
        tensors = [each for weights in stored for each in weights.values()]
        check_room(tensors, dtype, folder, sharding)
        parts = {name: read_part(folder / name, dtype, variant, sharding) for name in index.parts}
    if "vae" in parts:
        parts["vae"] = latents_by(pipeline.latents_by, parts["vae"])
    return {
        "folder": file or folder,
        "kind": kind,
        "pipeline": pipeline,
        "scheduler": scheduler,
        "unused": index.unused,
        "settings": index.settings,
        "tokenizers": {name: read_tokenizer(folder / name, strict) for name in index.tokenizers},
        "parts": parts,
    }
