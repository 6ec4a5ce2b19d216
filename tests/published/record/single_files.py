"""Records which tensors diffusers makes of a model in one file, by its own conversions.

    python -m tests.published.single_files NAMES.json
    python -m tests.published.record.single_files NAMES.json tests/published/data/single_files.json

The second needs torch and diffusers, in an environment of its own. Each row of the file's tensors
has a number of its own, by which it is found again in what diffusers makes of them.
"""

import json
import sys
import types
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import single_file_utils as original

ROWS = 100_000  # more than any tensor has
UNET, CODER = "model.diffusion_model.", "first_stage_model."
OPEN_CLIP = "conditioner.embedders.1.model."


def convert(case: str, config: dict[str, Any], held: dict[str, torch.Tensor]) -> dict[str, Any]:
    """What diffusers makes of the tensors of a file."""
    if case.startswith("stable_diffusion_3"):
        return original.convert_sd3_transformer_checkpoint_to_diffusers(dict(held))
    if case == "flux":
        return original.convert_flux_transformer_checkpoint_to_diffusers(dict(held))
    if case == "open_clip":
        model = types.SimpleNamespace(config=types.SimpleNamespace(**config))
        given = {OPEN_CLIP + name: tensor for name, tensor in held.items()}
        return original.convert_open_clip_checkpoint(model, given, OPEN_CLIP)
    if case == "autoencoder":
        given = {CODER + name: tensor for name, tensor in held.items()}
        return original.convert_ldm_vae_checkpoint(given, config)
    whole = dict(UNet2DConditionModel.from_config(config).config)
    given = {UNET + name: tensor for name, tensor in held.items()}
    return original.convert_ldm_unet_checkpoint(given, whole)


def numbered(shapes: dict[str, list[int]]) -> dict[str, torch.Tensor]:
    """Tensors whose every row holds ROWS times the tensor's number, plus its own."""
    found = {}
    for number, (name, shape) in enumerate(shapes.items()):
        rows = number * ROWS + torch.arange(shape[0], dtype=torch.float64)
        found[name] = rows.reshape(-1, *[1] * (len(shape) - 1)).expand(*shape)
    return found


def rows_of(tensor: torch.Tensor) -> list[int]:
    """The numbers of a tensor's rows; of its columns, where it was transposed."""
    flat = tensor.reshape(tensor.shape[0], -1)
    if (flat == flat[:, :1]).all():
        return [int(value) for value in flat[:, 0]]
    assert (flat == flat[:1]).all()
    return [int(value) for value in flat[0]]


def main(names: Path, file: Path) -> None:
    """Writes for each case where diffusers' tensors come from: the file's tensor and its rows."""
    cases = {}
    for case, told in json.loads(names.read_text()).items():
        given = numbered(told["file"])
        listed = list(given)
        made = convert(case, told["config"], given)
        origins = {}
        for name, tensor in made.items():
            rows = rows_of(tensor)
            origins[name] = [listed[rows[0] // ROWS], [row % ROWS for row in rows]]
        cases[case] = {name: [of, runs(rows)] for name, (of, rows) in origins.items()}
    file.write_text(json.dumps(cases, indent=None, separators=(",", ":")))


def runs(rows: list[int]) -> list[list[int]]:
    """Rows as [start, stop] of those that follow one another.

    >>> runs([2, 3, 0, 1])
    [[2, 4], [0, 2]]
    """
    found = [[rows[0], rows[0] + 1]]
    for row in rows[1:]:
        if row == found[-1][1]:
            found[-1][1] += 1
        else:
            found.append([row, row + 1])
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
