"""Sources whose examples are drawn from a seed when asked for."""

import abc
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from diffusion_jax.data.example import Example


class DrawnSource(abc.ABC):
    """A random-access source; example i depends on its settings and i, and on nothing else.

    Attributes:
        count: number of examples.
    """

    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples, drawn together, which is several times faster than one by one."""
        positions = np.asarray(indices, np.int64)
        if np.any((positions < 0) | (positions >= self.count)):
            raise IndexError(f"{indices} are not all in 0..{self.count - 1}")
        return self.draw(positions)

    @abc.abstractmethod
    def draw(self, positions: Int64[np.ndarray, " n"]) -> list[Example]:
        """The examples at n positions, each from 0 to count - 1."""
