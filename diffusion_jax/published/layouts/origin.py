"""Where in a file of another layout a tensor of diffusers' comes from."""

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diffusion_jax.published.readers.tensor import Ranges, Tensor

# (name in diffusers, the module) → where the tensor is in the file.
Layout = Callable[[str, Any], "Origin"]


@dataclasses.dataclass(frozen=True)
class Origin:
    """A tensor of a file, or rows of it.

    Attributes:
        name: in the file.
        rows: (start, stop) of the first axis, of layers that the file has in one; None is all.
        swapped: the halves of the first axis are the other way round.
        transposed: it is a matrix with its axes the other way round.
    """

    name: str
    rows: tuple[int, int] | None = None
    swapped: bool = False
    transposed: bool = False

    def of(self, tensor: Tensor, axes: int) -> Tensor:
        """The tensor as diffusers has it; nothing is read.

        Args:
            tensor: of the file.
            axes: that diffusers' has; 1 × 1 convolutions are dense layers there.
        """
        if tensor.ndim == axes + 2 and tensor.shape[axes:] == (1, 1):
            tensor = tensor.reshape(tensor.shape[:axes])
        if self.transposed:
            tensor = tensor.transpose((1, 0))
        if self.rows is not None:
            tensor = rows_of(tensor, *self.rows)
        return with_halves_swapped(tensor) if self.swapped else tensor


def rows_of(tensor: Tensor, start: int, stop: int) -> Tensor:
    """A tensor's rows from start to stop, as far as it has them."""
    start, stop = min(start, tensor.shape[0]), min(stop, tensor.shape[0])

    def source(ranges: Ranges) -> np.ndarray:
        first, *others = ranges
        return tensor.source((slice(first.start + start, first.stop + start), *others))

    return dataclasses.replace(tensor, shape=(stop - start, *tensor.shape[1:]), source=source)


def with_halves_swapped(tensor: Tensor) -> Tensor:
    """A tensor whose second half of rows comes first; read whole, whatever rows are asked for."""
    half = tensor.shape[0] // 2

    def source(ranges: Ranges) -> np.ndarray:
        first, *others = ranges
        whole = tensor.source((slice(0, tensor.shape[0]), *others))
        return np.concatenate([whole[half:], whole[:half]])[first]

    return dataclasses.replace(tensor, source=source)


def renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    """A name with all rules applied in turn, as patterns of `re.sub`.

    >>> renamed("mid.norm1.weight", [("^mid", "middle"), (r"\\.norm1\\.", ".in.0.")])
    'middle.in.0.weight'
    """
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def third(which: int, width: int) -> tuple[int, int]:
    """Rows of queries (0), keys (1) or values (2) in a layer that gives all three."""
    return which * width, (which + 1) * width
