"""Goes through a data set once, and says what is in it."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example, Source, label_of, take
from diffusion_jax.data.overview.duplicates import Duplicates, Seen, duplicates, seen
from diffusion_jax.data.overview.scripts import language_teller, script_of

CHUNK = 256  # examples in memory at a time
TRAIN, TEST = "train", "test"


@dataclasses.dataclass(frozen=True)
class SideFacts:
    """What one side of a data set holds.

    Attributes:
        count: examples.
        looked_at: of them, evenly spread.
        sizes: (height, width) of the pictures as they were → how many; empty for vectors.
        captions_each: number of captions → examples that have so many.
        words: words of a caption → captions.
        tokens: tokens of a caption → captions.
        distinct: different captions.
        scripts: script → captions.
        languages: language → captions; None where no library tells.
        labels: class → examples.
        damaged: key → what is wrong, of records in whose place others stood.
    """

    count: int
    looked_at: int
    sizes: Mapping[tuple[int, int], int]
    captions_each: Mapping[int, int]
    words: Mapping[int, int]
    tokens: Mapping[int, int]
    distinct: int
    scripts: Mapping[str, int]
    languages: Mapping[str, int] | None
    labels: Mapping[str, int]
    damaged: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Overview:
    """What a data set holds.

    Attributes:
        name: of the set.
        form: what its examples are.
        sides: "train", and "test" if there is one.
        keys: of the pictures that were looked at, "train: KEY" or "test: KEY".
        duplicates: among them, of both sides; None for vectors.
        shared: groups of duplicates that lie on both sides.
        same_captions: captions of the test side that are in training too.
        examples: some of the training side, evenly spread.
    """

    name: str
    form: str
    sides: Mapping[str, SideFacts]
    keys: Sequence[str]
    duplicates: Duplicates | None
    shared: tuple[tuple[int, ...], ...]
    same_captions: int
    examples: Sequence[Example]


def look_at(
    data: Dataset,
    most: int = 100_000,
    shown: int = 24,
    tokens_of: Callable[[str], int] = lambda caption: len(caption.split()),
    report: Callable[[int, int], None] = lambda done, all: None,
) -> Overview:
    """Goes through a data set, in chunks.

    Args:
        data: to look at.
        most: examples of each side; of more, so many evenly spread.
        shown: examples to keep.
        tokens_of: a caption → how many tokens it is.
        report: called with how many examples are done, and of how many.
    """
    sources = {TRAIN: data.train} | ({TEST: data.test} if len(data.test) else {})
    chosen = {name: spread(len(source), most) for name, source in sources.items()}
    total = sum(map(len, chosen.values()))
    keys: list[str] = []
    pictures: list[Seen] = []
    texts: dict[str, set[str]] = {}
    sides, done = {}, 0
    tell = language_teller()
    for name, source in sources.items():
        gathered = _Gathered(data, tokens_of, tell)
        for start in range(0, len(chosen[name]), CHUNK):
            for example in take(source, chosen[name][start : start + CHUNK]):
                gathered.add(example)
                if "image" in example:
                    keys.append(f"{name}: {example.get('key')}")
                    pictures.append(seen(example["image"]))
            done = min(done + CHUNK, total)
            report(done, total)
        sides[name] = gathered.facts(source, len(chosen[name]))
        texts[name] = gathered.texts
    found = duplicates(pictures) if pictures else None
    groups = (*found.exact, *found.near) if found else ()
    shared = tuple(g for g in groups if len({keys[k].partition(":")[0] for k in g}) > 1)
    return Overview(
        data.name,
        data.form,
        sides,
        keys,
        found,
        shared,
        len(texts[TRAIN] & texts.get(TEST, set())),
        take(data.train, spread(len(data.train), shown)),
    )


def spread(count: int, most: int) -> list[int]:
    """At most so many positions, evenly spread."""
    if count <= most:
        return list(range(count))
    return np.linspace(0, count - 1, most).astype(int).tolist()


class _Gathered:
    """Counts of one side."""

    def __init__(
        self,
        data: Dataset,
        tokens_of: Callable[[str], int],
        tell: Callable[[str], str] | None,
    ) -> None:
        self._names, self._tokens_of, self._tell = data.class_names, tokens_of, tell
        self._counts: dict[str, Counter[Any]] = {
            name: Counter()
            for name in ("sizes", "captions_each", "words", "tokens", "scripts", "languages")
        }
        self._labels: Counter[str] = Counter()
        self.texts: set[str] = set()

    def add(self, example: Example) -> None:
        """Counts an example."""
        counts, captions = self._counts, example.get("captions", ())
        if "image" in example:
            size = example.get("original_size", example["image"].shape[:2])
            counts["sizes"][tuple(int(edge) for edge in size)] += 1
        counts["captions_each"][len(captions)] += 1
        for caption in captions:
            counts["words"][len(caption.split())] += 1
            counts["tokens"][self._tokens_of(caption)] += 1
            counts["scripts"][script_of(caption)] += 1
            if self._tell is not None:
                counts["languages"][self._tell(caption)] += 1
        self.texts.update(captions)
        if 0 <= label_of(example) < len(self._names):
            self._labels[self._names[label_of(example)]] += 1

    def facts(self, source: Source, looked_at: int) -> SideFacts:
        """What was counted."""
        damage = getattr(source, "damage", None)
        known = {name: dict(count.most_common()) for name, count in self._counts.items()}
        languages = known.pop("languages")
        return SideFacts(
            count=len(source),
            looked_at=looked_at,
            distinct=len(self.texts),
            languages=languages if self._tell is not None else None,
            labels=dict(self._labels.most_common()),
            damaged=dict(damage.found) if damage is not None else {},
            **known,
        )
