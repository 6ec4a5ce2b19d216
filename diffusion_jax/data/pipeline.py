"""Batches of examples for training: shuffled epochs that can be resumed anywhere.

Training step k always sees the same global batch of a (data set, seed), whatever came before
and however many processes share it; so the whole state is how many examples have been taken.
"""

import dataclasses
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from diffusion_jax.data.example import KINDS, Example, Source, Values, take, to_unit, values_of
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError

Batch = dict[str, Any]
"""{"x0": float32 (b, ...) in [-1, 1], "condition": {key: array (b, ...)}}"""

Encode = Callable[[Sequence[Example]], dict[str, np.ndarray]]
"""Examples → the arrays of their condition by key, a row per example."""

ENDLESS = 2**62  # examples, far more than are ever taken
AHEAD = 4  # batches prepared while the device computes


@dataclasses.dataclass(frozen=True)
class _Read:
    """Turns the example indices of the global batch k into this process's examples.

    Of the random numbers of an example the first says whether it is mirrored, the second which
    caption it has, and two more are the source's (see `RecordSource.drawn`).
    """

    source: Source
    seed: int
    rows: slice
    augment_flip: bool
    apart: bool  # in a process from which pictures are sent stacked, and not once more

    def __call__(self, step: int, indices: np.ndarray) -> tuple[Values, list[Example] | np.ndarray]:
        """Pictures or vectors, and all else that examples say; random by (seed, position) alone."""
        taken = (step * len(indices) + np.arange(len(indices)))[self.rows]
        examples = self._drawn(indices[self.rows].tolist(), taken)
        values = values_of(examples)
        if self.augment_flip:
            if values.ndim != 4:
                raise UserError(f"Only pictures can be mirrored, not arrays {values.shape[1:]}.")
            mirrored = uniforms(self.seed, taken, 1)[:, 0] < 0.5
            values = np.where(mirrored[:, None, None, None], values[:, :, ::-1], values)
        if any(len(example.get("captions", ())) > 1 for example in examples):
            u = uniforms(self.seed, taken, 2)[:, 1]
            examples = [_with_one_caption(*each) for each in zip(examples, u, strict=True)]
        if self.apart:
            examples = [{k: v for k, v in e.items() if k not in KINDS} for e in examples]
            # In one piece, as each array that is sent takes a piece of shared memory of its own.
            return values, np.frombuffer(pickle.dumps(examples), np.uint8)
        return values, examples

    def _drawn(self, indices: Sequence[int], taken: np.ndarray) -> list[Example]:
        """Examples of a source, at random where it has something to draw."""
        drawn = getattr(self.source, "drawn", None)
        if drawn is None:
            return take(self.source, indices)
        return list(drawn(indices, uniforms(self.seed, taken, 4)[:, 2:]))


@dataclasses.dataclass(frozen=True)
class _Finish:
    """Makes a batch of what was read."""

    encode: Encode

    def __call__(self, read: tuple[Values, list[Example] | np.ndarray]) -> Batch:
        values, examples = read
        if isinstance(examples, np.ndarray):
            examples = pickle.loads(examples.tobytes())
            kind = "image" if values.dtype == np.uint8 else "vector"
            examples = [each | {kind: row} for each, row in zip(examples, values, strict=True)]
        return {"x0": to_unit(values), "condition": self.encode(examples)}


def _with_one_caption(example: Example, u: float) -> Example:
    """An example with one of its captions, each as often as its weight says, or equally often."""
    captions = example.get("captions", ())
    if len(captions) < 2:
        return example
    chosen = int(u * len(captions))
    if weights := example.get("caption_weights"):
        ends = np.cumsum(weights)
        chosen = min(int(np.searchsorted(ends, u * ends[-1], side="right")), len(captions) - 1)
    return example | {"captions": (captions[chosen],)}


class BatchIterator:
    """Endless batches; see `batches`."""

    def __init__(self, start: Callable[[int], Iterator[Batch]], identity: dict[str, int]):
        self._start = start
        self._identity = identity
        self._step = 0
        self._batches: Iterator[Batch] | None = None

    def __iter__(self) -> "BatchIterator":
        return self

    def __next__(self) -> Batch:
        if self._batches is None:
            self._batches = self._start(self._step)
        batch = next(self._batches)
        self._step += 1
        return batch

    def state(self) -> dict[str, int]:
        """Where the iterator is, as JSON-able integers; the same for every process."""
        return self._identity | {"examples": self._step * self._identity["batch_size"]}

    def restore(self, state: dict[str, int]) -> None:
        """Continues where another iterator's `state()` was, with any number of processes.

        Raises:
            UserError: the state belongs to another data set, seed or batch size.
        """
        for name, mine in self._identity.items():
            if state.get(name) != mine:
                raise UserError(
                    f"Cannot resume the data: {name} was {state.get(name)} and is now {mine}."
                )
        self.close()
        self._step = state["examples"] // self._identity["batch_size"]

    def close(self) -> None:
        """Ends the workers; another batch would start them again."""
        close = getattr(self._batches, "close", None)
        if close is not None:
            close()
        self._batches = None


def batches(
    source: Source,
    encode: Encode,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
    augment_flip: bool = False,
    workers: int = 0,
) -> BatchIterator:
    """Endless batches of a source, every epoch in a new order.

    Process p of P gets the rows [p b, (p + 1) b) of each global batch, b = batch_size / P.

    Args:
        source: of examples.
        encode: what makes the condition of examples.
        batch_size: of the global batch.
        seed: of the orders and the flips.
        process_index: p.
        process_count: P.
        augment_flip: mirror half of the pictures left to right (not where captions say "left").
        workers: processes that read and transform examples; 0 does so in a thread of this one,
            which is faster for what is in memory. The batches are the same for any number.

    Raises:
        UserError: the batch cannot be divided among the processes, the source is empty, or
            `workers` is negative.

    >>> from diffusion_jax.data.dataset import datasets
    >>> data = datasets.make("shapes(level='one', size=16)")
    >>> encode = lambda examples: {"label": np.array([each["label"] for each in examples])}
    >>> batch = next(batches(data.train, encode, batch_size=4, seed=0))
    >>> batch["x0"].shape, batch["condition"]["label"].shape
    ((4, 16, 16, 3), (4,))
    """
    import grain

    if batch_size < 1 or batch_size % process_count:
        raise UserError(
            f"A batch of {batch_size} cannot be divided among {process_count} processes."
        )
    if len(source) == 0:
        raise UserError("The data set is empty.")
    share = batch_size // process_count
    rows = slice(process_index * share, (process_index + 1) * share)
    if workers < 0:
        raise UserError(f"workers={workers}: give 0 or more.")
    apart = workers > 0
    read, finish = _Read(source, seed, rows, augment_flip, apart), _Finish(encode)
    # Grain counts the batches of an endless repetition in floats, which overflows for batches of 1.
    epochs = ENDLESS // len(source)
    indices = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat(epochs)
    loader = indices.batch(batch_size).map_with_index(read)

    def start(step: int) -> Iterator[Batch]:
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=AHEAD)
        if not apart:
            return iter(loader.map(finish)[step:].to_iter_dataset(options))
        _let_grain_start_processes()
        shared = grain.MultiprocessingOptions(workers, per_worker_buffer_size=AHEAD)
        return iter(loader[step:].to_iter_dataset(options).mp_prefetch(shared).map(finish))

    return BatchIterator(start, {"batch_size": batch_size, "seed": seed, "source": len(source)})


def _let_grain_start_processes() -> None:
    """Grain reads flags of its own there, which a program without absl has never parsed."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
