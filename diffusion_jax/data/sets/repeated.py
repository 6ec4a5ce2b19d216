"""Another data set, of which some pictures come again and again."""

import dataclasses
from collections.abc import Sequence

from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.data.example import Example, Source, take
from diffusion_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class RepeatedSource:
    """A source whose first examples come again after all others.

    Attributes:
        source: of n examples.
        first: how many of them come again.
        times: how often each of those is there.
    """

    source: Source
    first: int
    times: int

    def __len__(self) -> int:
        return len(self.source) + self.first * (self.times - 1)

    @property
    def fingerprint(self) -> str:
        """That of the source, and what comes again."""
        known = getattr(self.source, "fingerprint", "")
        return f"{known}, {self.first} examples {self.times} times" if known else ""

    def __getitem__(self, index: int) -> Example:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples at once; each has its own index as key."""
        found = take(self.source, [self._row(index) for index in indices])
        return [{**each, "key": index} for each, index in zip(found, indices, strict=True)]

    def _row(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"{index} is not in 0..{len(self) - 1}")
        beyond = index - len(self.source)
        return index if beyond < 0 else beyond % self.first


@datasets.register("repeated")
def repeated(data: str = "shapes()", first: int = 10, times: int = 50) -> Dataset:
    """Another data set, of which the first training examples come several times.

    What a model copies of it, an audit should find (`python -m experiments.audit`).

    Args:
        data: the spec of the other one.
        first: how many examples come again.
        times: how often each of those is there.

    Raises:
        UserError: there are not so many examples, or a number is less than 1.

    >>> train = repeated("shapes(count=100)", first=2, times=3).train
    >>> len(train), [bool((train[row]["image"] == train[1]["image"]).all()) for row in (101, 103)]
    (104, [True, True])
    """
    other = datasets.make(data)
    if not 1 <= first <= len(other.train) or times < 1:
        raise UserError(
            f"Data set 'repeated': first={first}, times={times}; give 1 to {len(other.train)} "
            "examples, each 1 time or more."
        )
    train = RepeatedSource(other.train, first, times)
    return dataclasses.replace(other, name="repeated", train=train)
