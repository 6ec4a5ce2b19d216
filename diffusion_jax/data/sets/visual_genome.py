"""Visual Genome: what is said of regions of photographs, as captions of the whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureFile, PictureFiles, captioned
from diffusion_jax.data.records.annotations import read_annotations
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

FOLDERS = ("VG_100K", "VG_100K_2")


@datasets.register("visual_genome")
def visual_genome(
    path: str,
    size: int | tuple[int, int] = 64,
    region: float = 0.25,
    objects: int = 5,
    channels: int = 3,
    held_out: float = 0.01,
    crop: str = "center",
    damaged: float = 0.01,
    memory: bool | None = None,
) -> Dataset:
    """The photographs of Visual Genome, with captions made of its regions and attributes.

    The captions of a photograph are what is said of each region that covers enough of it, the
    largest region if none does, and one that lists its largest objects with their attributes: "tall
    brick building, red car". `image_data.json`, `region_descriptions.json` and `attributes.json`
    say them; photographs lie in `VG_100K/` and `VG_100K_2/`.

    Args:
        path: of the folder that holds these.
        size: height and width, or one number for both.
        region: share of the photograph that a region must cover.
        objects: how many are listed; 0 makes no list, and `attributes.json` is not read.
        channels: 3, or 1 for grey.
        held_out: share for testing, by name.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the photographs that may be damaged or missing.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: a file is missing or is not of Visual Genome, or a setting is wrong.

    Source: Krishna et al. 2017, Visual Genome, arXiv:1602.07332.
    """
    if not 0 <= region <= 1 or objects < 0:
        raise UserError(
            f"Data set 'visual_genome': region={region} must be a share from 0 to 1, and "
            f"objects={objects} a number from 0."
        )
    root = user_path(path)
    records = PictureFiles(root, list(_photographs(root, region, objects)))
    return captioned(
        "visual_genome", records, size, channels, held_out, crop, damaged, memory=memory
    )


def _photographs(root: Path, region: float, objects: int) -> Iterator[PictureFile]:
    folders = [name for name in FOLDERS if (root / name).is_dir()]
    if not folders:
        raise UserError(f"Data set 'visual_genome': there is no {' or '.join(FOLDERS)} in {root}.")
    there = {file.name: folder for folder in folders for file in (root / folder).iterdir()}
    try:
        areas = {
            each["image_id"]: each["width"] * each["height"]
            for each in read_annotations(root / "image_data.json", "visual_genome")
        }
        listed = {}
        if objects:
            for each in read_annotations(root / "attributes.json", "visual_genome"):
                listed[each["image_id"]] = _list(each["attributes"], objects)
        for each in read_annotations(root / "region_descriptions.json", "visual_genome"):
            number = each.get("id", each.get("image_id"))
            name = f"{number}.jpg"
            captions = [*_said(each["regions"], region * areas[number]), listed.get(number, "")]
            known = tuple(dict.fromkeys(filter(None, captions)))
            if known:
                yield PictureFile(f"{there.get(name, folders[0])}/{name}", known)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{root} is not Visual Genome as it was published ({error!r}).") from error


def _said(regions: list[dict[str, Any]], least: float) -> list[str]:
    """Of the regions of an area at least, the largest first; of the largest if none is."""
    ordered = sorted(regions, key=_area, reverse=True)
    large = [each for each in ordered if _area(each) >= least] or ordered[:1]
    return [" ".join(str(each["phrase"]).split()) for each in large]


def _list(objects: list[dict[str, Any]], most: int) -> str:
    """The largest objects with their attributes."""
    largest = sorted(objects, key=lambda each: each["w"] * each["h"], reverse=True)
    named = [
        " ".join([*each.get("attributes", []), each["names"][0]])
        for each in largest
        if each["names"]
    ]
    return ", ".join(list(dict.fromkeys(named))[:most])


def _area(region: dict[str, Any]) -> float:
    return float(region["width"] * region["height"])
