"""How near points are to training pictures, of which duplicates count as one.

For the distances d_1 <= d_2 <= … of a picture to the different training pictures,

    r = d_1 / mean(d_1, …, d_k)

is near 0 for a copy and near 1 for a picture that is like none more than like others. A blurred
or a plain picture, which is near to all, has no small ratio.

Source: Carlini et al. 2023 (extracting training data from diffusion models), section 4.2 and eq. 1
of the adaptive distance; Somepalli et al. 2023 (diffusion art or digital forgery?) for the nearest
training picture in a space of features.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Values
from diffusion_jax.metrics.duplicates import (
    TrainingDuplicates,
    chunk_size,
    chunks,
    mirrored,
    unheard,
)
from diffusion_jax.metrics.features import Extractor
from diffusion_jax.runs.progress import Advance

ROWS = 256  # points compared with a chunk at a time
NONE = -1


@dataclasses.dataclass(frozen=True)
class Closest:
    """What is nearest to each of n pictures.

    Attributes:
        distance: (n, k) to the nearest picture of each of the k nearest groups, rising; a picture
            and its mirror image are as near.
        index: (n,) the nearest training picture.
    """

    distance: Float[np.ndarray, "n k"]
    index: Int[np.ndarray, "n"]

    @property
    def ratio(self) -> Float[np.ndarray, "n"]:
        """r, see the head of this file; 1 where all are equally near."""
        mean = self.distance.mean(axis=1)
        return np.where(mean > 0, self.distance[:, 0] / np.where(mean > 0, mean, 1), 1.0)


@dataclasses.dataclass(frozen=True)
class Sought:
    """Pictures whose nearest training pictures are sought.

    Attributes:
        pictures: n, as data sets keep them.
        without: a training picture for each of the n, which is left out with all that have its
            bytes; None where none is.
    """

    pictures: Values
    without: Int[np.ndarray, "n"] | None = None


def closest(
    sought: Sequence[Sought],
    data: Dataset,
    duplicates: TrainingDuplicates,
    spaces: Mapping[str, Extractor],
    k: int,
    advance: Advance = unheard,
) -> list[dict[str, Closest]]:
    """The nearest training pictures of pictures, in several spaces of features.

    Training pictures with bytes of their own are read once, in chunks.

    Args:
        sought: sets of pictures.
        data: its training pictures.
        duplicates: of those.
        spaces: what makes features, between which distances are taken, by name.
        k: how many groups, of which there must be more.
        advance: is told of each chunk that has been searched.

    Returns:
        For each set, what is nearest in each space.
    """
    searches = [
        {name: _Search.of(each, extract, k) for name, extract in spaces.items()} for each in sought
    ]
    rows, size = duplicates.unique, chunk_size(data)
    for number, chunk in enumerate(chunks(data, rows)):
        here = rows[number * size : number * size + len(chunk)]
        for name, extract in spaces.items():
            features = extract(chunk)
            for each in searches:
                each[name].see(features, here, duplicates)
        advance("", len(chunk))
    return [{name: search.found() for name, search in each.items()} for each in searches]


@dataclasses.dataclass(frozen=True)
class _Search:
    """What is known after some chunks: arrays that are written to."""

    points: list[Float[np.ndarray, "n dim"]]
    middle: Float[np.ndarray, "dim"]
    squares: Float[np.ndarray, "n k"]
    groups: Int[np.ndarray, "n k"]
    least: Float[np.ndarray, "n"]
    index: Int[np.ndarray, "n"]
    left_out: Int[np.ndarray, "n"] | None

    @staticmethod
    def of(sought: Sought, extract: Extractor, k: int) -> "_Search":
        views = [extract(each) for each in (sought.pictures, mirrored(sought.pictures))]
        middle, n = views[0].mean(axis=0), len(views[0])
        return _Search(
            [view - middle for view in views],
            middle,
            np.full((n, k), np.inf),
            np.full((n, k), NONE),
            np.full(n, np.inf),
            np.full(n, NONE),
            sought.without,
        )

    def found(self) -> Closest:
        squares = np.sort(self.squares, axis=1)
        return Closest(np.sqrt(np.maximum(squares, 0)), self.index)

    def see(
        self,
        features: Float[np.ndarray, "m dim"],
        rows: Int[np.ndarray, "m"],
        duplicates: TrainingDuplicates,
    ) -> None:
        """Takes note of training pictures `rows`, whose groups stand together."""
        theirs, group = features - self.middle, duplicates.group[rows]
        starts = np.flatnonzero(np.diff(group, prepend=NONE))
        own = np.einsum("md,md->m", theirs, theirs)
        for part in _blocks(len(self.squares)):
            table = np.minimum(*(_table(view[part], theirs, own) for view in self.points))
            if self.left_out is not None:
                table[duplicates.first[self.left_out[part]][:, None] == rows] = np.inf
            self._nearest(part, table, rows)
            self._merge(part, np.minimum.reduceat(table, starts, axis=1), group[starts])

    def _nearest(
        self, part: slice, table: Float[np.ndarray, "n m"], rows: Int[np.ndarray, "m"]
    ) -> None:
        best = table.argmin(axis=1)
        found = table[np.arange(len(table)), best]
        closer = found < self.least[part]
        self.least[part][closer] = found[closer]
        self.index[part][closer] = rows[best[closer]]

    def _merge(
        self, part: slice, table: Float[np.ndarray, "n g"], group: Int[np.ndarray, "g"]
    ) -> None:
        """Keeps the k nearest groups, of which the first may be known from the chunk before."""
        known, squares = self.groups[part] == group[0], self.squares[part]
        seen = known.any(axis=1)
        squares[known] = np.minimum(squares[known], table[seen, 0])
        table[seen, 0] = np.inf
        both = np.concatenate([squares, table], axis=1)
        names = np.concatenate(
            [self.groups[part], np.broadcast_to(group, (len(table), len(group)))], axis=1
        )
        k = squares.shape[1]
        kept = np.argpartition(both, k - 1, axis=1)[:, :k]
        self.squares[part] = np.take_along_axis(both, kept, axis=1)
        self.groups[part] = np.take_along_axis(names, kept, axis=1)


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, start + ROWS) for start in range(0, count, ROWS))


def _table(
    points: Float[np.ndarray, "n dim"],
    theirs: Float[np.ndarray, "m dim"],
    own: Float[np.ndarray, "m"],
) -> Float[np.ndarray, "n m"]:
    """Squared distances, all to the middle, so that small ones keep their digits."""
    return np.einsum("nd,nd->n", points, points)[:, None] - 2 * points @ theirs.T + own
