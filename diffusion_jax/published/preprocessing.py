"""What encoders of pictures do to them first, as a preprocessor_config.json says.

Pictures are scaled by Pillow and normalised in single precision, as transformers' processors do
that are not "fast": the numbers are the same to the last bit.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from diffusion_jax.errors import UserError, nearest
from diffusion_jax.published.parts import read_json

FILE = "preprocessor_config.json"
PROCESSORS = ("CLIPImageProcessor", "CLIPFeatureExtractor", "BitImageProcessor")
# What the classes take where a file says nothing.
DEFAULTS: Mapping[str, Any] = {
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": (0.48145466, 0.4578275, 0.40821073),
    "image_std": (0.26862954, 0.26130258, 0.27577711),
}
# What changes nothing of pictures in three colours.
UNUSED = (
    *("data_format", "device", "disable_grouping", "do_convert_rgb", "feature_extractor_type"),
    *("image_processor_type", "image_seq_length", "input_data_format", "processor_class"),
    *("return_tensors", "default_to_square"),
)
FIXED = {"do_pad": (None, False), "pad_size": (None,)}

Picture = Shaped[np.ndarray, "..."]
"""Bytes, (height, width, 3); what is not is refused in a line."""


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """Scales pictures, cuts out their middle, and normalises their numbers.

    Attributes:
        size: their shorter side in pixels, or height and width; None leaves them.
        crop: height and width of the middle that is kept, with black around where a picture is
            smaller; None for all.
        resample: Pillow's number of the filter, 2 the linear and 3 the cubic one.
        scale: what bytes are multiplied by; None leaves them.
        mean: of each colour, which is taken away; None for none.
        std: of each colour, which is divided by; None for none.

    Raises:
        UserError: a size or a filter that there is not.

    >>> black = np.zeros((30, 20, 3), np.uint8)
    >>> Preprocessing(size=8, crop=(8, 8), mean=(0.5,) * 3, std=(0.5,) * 3)([black]).shape
    (1, 8, 8, 3)
    """

    size: int | tuple[int, int] | None = 224
    crop: tuple[int, int] | None = (224, 224)
    resample: int = 3
    scale: float | None = 1 / 255
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        sides = [self.size] if isinstance(self.size, int) else [*(self.size or ())]
        for side in [*sides, *(self.crop or ())]:
            if not isinstance(side, int) or isinstance(side, bool) or side < 1:
                raise UserError(f"Pictures cannot be brought to a side of {side!r} pixels.")
        if self.resample not in range(6):
            raise UserError(f"resample={self.resample!r} is no filter of Pillow's: 0 to 5.")

    def __call__(self, pictures: Sequence[Picture]) -> Float32[np.ndarray, "batch rows columns 3"]:
        """What an encoder is given.

        Args:
            pictures: bytes, (height, width, 3) each, of any sizes.

        Raises:
            UserError: something else, or pictures that end in different sizes.
        """
        found = [self._prepared(picture) for picture in pictures]
        sizes = sorted({each.shape[:2] for each in found})
        if len(sizes) != 1:
            raise UserError(
                f"Pictures of one call must end in one size, and these have {sizes or 'none'}: "
                "give them one by one."
            )
        return np.stack(found)

    def _prepared(self, picture: Picture) -> Float32[np.ndarray, "rows columns 3"]:
        array = np.asarray(picture)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[-1] != 3 or not array.size:
            raise UserError(
                "A picture must be an array of bytes (uint8), (height, width, 3), got "
                f"{array.dtype} of shape {array.shape}."
            )
        array = self._cropped(self._resized(array))
        scaled = array if self.scale is None else array.astype(np.float64) * self.scale
        found = scaled.astype(np.float32)
        if self.mean is not None:
            found = found - np.array(self.mean, np.float32)
        return found if self.std is None else found / np.array(self.std, np.float32)

    def _resized(self, array: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        from PIL import Image

        if self.size is None:
            return array
        height, width = array.shape[:2]
        if isinstance(self.size, tuple):
            rows, columns = self.size
        else:
            longer = int(self.size * max(height, width) / min(height, width))
            rows, columns = (self.size, longer) if height <= width else (longer, self.size)
        return np.asarray(Image.fromarray(array).resize((columns, rows), self.resample))

    def _cropped(self, array: UInt8[np.ndarray, "..."]) -> UInt8[np.ndarray, "..."]:
        if self.crop is None:
            return array
        for axis, side in enumerate(self.crop):
            length = array.shape[axis]
            start = (length - side) // 2
            if start < 0:
                before = math.ceil((side - length) / 2)
                around = [(0, 0)] * 3
                around[axis] = before, side - length - before
                array, start = np.pad(array, around), 0
            array = array.take(np.arange(start, start + side), axis)
        return array


def read_preprocessing(folder: Path) -> Preprocessing:
    """What a folder's preprocessor_config.json says.

    Raises:
        UserError: there is none, or it says what is not known here.
    """
    path = folder / FILE
    told = {key: value for key, value in read_json(path).items() if not key.startswith("_")}
    named = told.get("image_processor_type") or told.get("feature_extractor_type")
    if str(named).removesuffix("Fast") not in PROCESSORS:
        raise UserError(f"{path} is of a {named}; known are {', '.join(PROCESSORS)}.")
    for name, value in told.items():
        if name in FIXED and value not in FIXED[name]:
            raise UserError(f"{path}: {name}={value!r} is not known here.")
        if name not in DEFAULTS and name not in UNUSED and name not in FIXED:
            hint = nearest(name, DEFAULTS)
            raise UserError(f"{path}: the setting {name!r} is not known here.{hint}")
    said = dict(DEFAULTS) | {name: v for name, v in told.items() if v is not None}
    normal = said["do_normalize"]
    return Preprocessing(
        _size(said["size"], path) if said["do_resize"] else None,
        _crop(said["crop_size"], path) if said["do_center_crop"] else None,
        said["resample"],
        said["rescale_factor"] if said["do_rescale"] else None,
        _three(said["image_mean"], path) if normal else None,
        _three(said["image_std"], path) if normal else None,
    )


def _size(told: Any, path: Path) -> int | tuple[int, int]:
    """A shorter side, or height and width."""
    told = {"shortest_edge": told} if isinstance(told, int) else told
    if isinstance(told, Mapping) and told.keys() == {"shortest_edge"}:
        return int(told["shortest_edge"])
    return _crop(told, path)


def _crop(told: Any, path: Path) -> tuple[int, int]:
    """Height and width."""
    told = {"height": told, "width": told} if isinstance(told, int) else told
    if not isinstance(told, Mapping) or told.keys() != {"height", "width"}:
        raise UserError(f"{path}: a size must say shortest_edge, or height and width, not {told}.")
    return int(told["height"]), int(told["width"])


def _three(told: Any, path: Path) -> tuple[float, ...]:
    """A number for each colour."""
    told = [told] * 3 if isinstance(told, int | float) else told
    if not isinstance(told, list | tuple) or len(told) != 3:
        raise UserError(f"{path}: a mean or deviation must be a number for each of three colours.")
    return tuple(map(float, told))
