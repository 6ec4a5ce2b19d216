"""Flickr30k: five captions for each of its photographs."""

from collections import defaultdict
from pathlib import Path

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.records import PictureFile, PictureFiles, captioned
from diffusion_jax.data.records.annotations import read_annotations
from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path

SPLIT, TOKENS = "dataset_flickr30k.json", "results_20130124.token"
PICTURES = ("flickr30k-images", "flickr30k_images", "images")


@datasets.register("flickr30k")
def flickr30k(
    path: str,
    size: int | tuple[int, int] = 64,
    channels: int = 3,
    held_out: float = 0.03,
    crop: str = "center",
    damaged: float = 0.01,
    memory: bool | None = None,
) -> Dataset:
    """The photographs of Flickr30k with their captions, as its files unpack.

    Where there is `dataset_flickr30k.json`, Karpathy's split is used: "test" is for testing, "val"
    for nothing, and all else to train on. Else `results_20130124.token` says the captions, and a
    share is held out. The photographs lie in `flickr30k-images/`.

    Args:
        path: of the folder that holds these.
        size: height and width, or one number for both.
        channels: 3, or 1 for grey.
        held_out: share for testing, where there is no split.
        crop: "center" or "random", see `records.captioned`.
        damaged: share of the photographs that may be damaged or missing.
        memory: keep decoded pictures; None keeps what takes at most 1 GiB.

    Raises:
        UserError: a file is missing or is not of Flickr30k.

    Source: Young et al. 2014, From image descriptions to visual denotations; Karpathy & Fei-Fei
    2015, arXiv:1412.2306, of the split.
    """
    root = user_path(path)
    folder = next((root / name for name in PICTURES if (root / name).is_dir()), root)
    if not (root / SPLIT).exists():
        records = PictureFiles(folder, _of_tokens(root / TOKENS))
        return captioned(
            "flickr30k", records, size, channels, held_out, crop, damaged, memory=memory
        )
    sides = _of_split(root / SPLIT)
    train, test = (PictureFiles(folder, files) for files in sides)
    return captioned("flickr30k", train, size, channels, 0.0, crop, damaged, test, memory=memory)


def _of_split(path: Path) -> tuple[list[PictureFile], list[PictureFile]]:
    train: list[PictureFile] = []
    test: list[PictureFile] = []
    try:
        for each in read_annotations(path, "flickr30k")["images"]:
            captions = (" ".join(sentence["raw"].split()) for sentence in each["sentences"])
            file = PictureFile(str(each["filename"]), tuple(dict.fromkeys(captions)))
            if each["split"] != "val":
                (test if each["split"] == "test" else train).append(file)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not Karpathy's split of Flickr30k ({error!r}).") from error
    return train, test


def _of_tokens(path: Path) -> list[PictureFile]:
    """Lines such as `1000092795.jpg#0`, a tab, and a caption."""
    captions: dict[str, list[str]] = defaultdict(list)
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"Data set 'flickr30k': there is neither {SPLIT} nor {TOKENS} in {path.parent} "
            f"({error.strerror})."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text.") from error
    for number, line in enumerate(lines, 1):
        name, tab, caption = line.partition("\t")
        if not tab or "#" not in name:
            raise UserError(f"{path}, line {number}: there is no NAME#NUMBER, tab and caption.")
        captions[name.rpartition("#")[0]].append(" ".join(caption.split()))
    return [PictureFile(name, tuple(dict.fromkeys(texts))) for name, texts in captions.items()]
