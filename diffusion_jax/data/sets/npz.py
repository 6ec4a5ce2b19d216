"""Arrays in a NumPy file as a data set: latents with what an encoder made of captions, or any."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

EXAMPLES = "x0"


@datasets.register("npz")
def npz(path: str, held_out: float = 0.1) -> Dataset:
    """The arrays of a .npz file, see `arrays`; nothing in it is run.

    Args:
        path: of the file. Its `x0` are the examples: pictures as bytes, vectors, sequences, or,
            floats with four axes, latents. `labels`, `class_names`, `captions` and `prompts` are
            optional; further arrays of as many rows are for conditioners, by their names.
        held_out: share that is for testing only.

    Raises:
        UserError: there is no such file, it is no .npz, or its arrays are no data set.
    """
    file = user_path(path)
    found = _read(file)
    if EXAMPLES not in found:
        listed = ", ".join(sorted(found)) or "nothing"
        raise UserError(f"{file} has no array {EXAMPLES!r} of examples; it has {listed}.")
    x0 = found.pop(EXAMPLES)
    told: dict[str, Any] = {
        name: found.pop(name).tolist()
        for name in ("captions", "class_names", "prompts")
        if name in found
    }
    latents = x0.dtype.kind == "f" and x0.ndim == 4
    try:
        return arrays(x0, held_out=held_out, name="npz", latents=latents, **(told | found))
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _read(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise UserError(f"There is no {file}.") from None
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise UserError(f"{file} cannot be read as a .npz file: {error}.") from None
