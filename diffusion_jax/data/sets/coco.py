"""COCO's captions: five for each of its photographs."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureFile, PictureFiles, captioned
from diffusion_jax.data.records.annotations import read_annotations
from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path

YEARS = ("2014", "2017")


@datasets.register("coco")
def coco(
    path: str,
    size: int | tuple[int, int] = 64,
    year: int = 2017,
    channels: int = 3,
    crop: str = "center",
    damaged: float = 0.01,
    memory: bool | None = None,
) -> Dataset:
    """The photographs of COCO with their captions, as its files unpack.

    `annotations/captions_trainYEAR.json` and `captions_valYEAR.json` name them, and they lie in
    `trainYEAR/` and `valYEAR/`. Those for validation are for testing.

    Args:
        path: of the folder that holds these.
        size: height and width, or one number for both.
        year: 2014 or 2017.
        channels: 3, or 1 for grey.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the photographs that may be damaged or missing.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: a file is missing or is not of COCO.

    Source: Chen et al. 2015, Microsoft COCO Captions, arXiv:1504.00325.
    """
    one_of(str(year), YEARS, "year of the data set 'coco'")
    root = user_path(path)
    train, test = (_records(root, f"{side}{year}") for side in ("train", "val"))
    return captioned("coco", train, size, channels, 0.0, crop, damaged, test, memory=memory)


def _records(root: Path, side: str) -> PictureFiles:
    annotations = read_annotations(root / "annotations" / f"captions_{side}.json", "coco")
    captions: dict[Any, list[str]] = defaultdict(list)
    try:
        for each in annotations["annotations"]:
            captions[each["image_id"]].append(" ".join(str(each["caption"]).split()))
        files = [
            PictureFile(str(each["file_name"]), tuple(dict.fromkeys(captions[each["id"]])))
            for each in annotations["images"]
            if captions[each["id"]]
        ]
    except (KeyError, TypeError) as error:
        raise UserError(f"{root}: captions_{side}.json is not one of COCO ({error!r}).") from error
    return PictureFiles(root / side, sorted(files, key=lambda file: file.name))
