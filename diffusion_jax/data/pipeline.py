"""Batches of examples for training: shuffled epochs that can be resumed anywhere.

Training step k always sees the same global batch of a (data set, seed), whatever came before
and however many processes share it; so the whole state is how many examples have been taken.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diffusion_jax.data.example import Example, Source, take, to_unit, values_of
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.errors import UserError

Batch = dict[str, Any]
"""{"x0": float32 (b, ...) in [-1, 1], "condition": {key: array (b, ...)}}"""

Encode = Callable[[Sequence[Example]], dict[str, np.ndarray]]
"""Examples → the arrays of their condition by key, a row per example."""

ENDLESS = 2**62  # examples, far more than are ever taken
AHEAD = 4  # batches prepared while the device computes


@dataclasses.dataclass(frozen=True)
class _Load:
    """Turns the example indices of the global batch k into this process's arrays."""

    source: Source
    encode: Encode
    seed: int
    rows: slice
    augment_flip: bool

    def __call__(self, step: int, indices: np.ndarray) -> Batch:
        taken = step * len(indices) + np.arange(len(indices))
        flip, caption = uniforms(self.seed, taken, 2)[self.rows].T
        examples = take(self.source, [int(i) for i in indices[self.rows]])
        examples = [_with_one_caption(*each) for each in zip(examples, caption, strict=True)]
        images = to_unit(values_of(examples))
        if self.augment_flip:
            flip = flip < 0.5
            images = np.where(flip[:, None, None, None], images[:, :, ::-1], images)
        return {"x0": images, "condition": self.encode(examples)}


def _with_one_caption(example: Example, u: float) -> Example:
    """An example with one of its captions, each equally often."""
    captions = example.get("captions", ())
    if len(captions) < 2:
        return example
    return example | {"captions": (captions[int(u * len(captions))],)}


class BatchIterator:
    """Endless batches; see `batches`."""

    def __init__(self, loader: Any, identity: dict[str, int]):
        self._iterator = iter(loader)
        self._identity = identity
        self._size = identity["batch_size"]

    def __iter__(self) -> "BatchIterator":
        return self

    def __next__(self) -> Batch:
        return next(self._iterator)

    def state(self) -> dict[str, int]:
        """Where the iterator is, as JSON-able integers; the same for every process."""
        steps = self._iterator.get_state()["next_index"]
        return self._identity | {"examples": steps * self._size}

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
        self._iterator.set_state({"next_index": state["examples"] // self._size})


def batches(
    source: Source,
    encode: Encode,
    batch_size: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
    augment_flip: bool = False,
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

    Raises:
        UserError: the batch cannot be divided among the processes, or the source is empty.

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
    load = _Load(source, encode, seed, rows, augment_flip)
    # Grain counts the batches of an endless repetition in floats, which overflows for batches of 1.
    epochs = ENDLESS // len(source)
    indices = grain.MapDataset.range(len(source)).seed(seed).shuffle().repeat(epochs)
    loader = indices.batch(batch_size).map_with_index(load)
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=AHEAD)
    identity = {"batch_size": batch_size, "seed": seed, "source": len(source)}
    return BatchIterator(loader.to_iter_dataset(options), identity)
