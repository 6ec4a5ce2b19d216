"""A data set of arrays in memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Check
from diffusion_jax.data.indexed_random import uniforms
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.errors import UserError, shown

CHANNELS = (1, 2, 3, 4)
LARGEST = 1_000_000  # classes


def arrays(
    x0: np.ndarray,
    captions: Sequence[str | Sequence[str]] | None = None,
    labels: Sequence[int] | np.ndarray | None = None,
    class_names: Sequence[str] = (),
    prompts: Sequence[str] = (),
    held_out: float = 0.1,
    check: Check | None = None,
    name: str = "arrays",
    latents: bool = False,
    **conditions: np.ndarray,
) -> Dataset:
    """Pictures, vectors, sequences or latents in memory as a data set.

    Args:
        x0: pictures, uint8 (n, height, width, channels) with 1 to 4 channels; or vectors, float
            (n, features), sequences of them, float (n, length, features), or latents, float
            (n, height, width, channels), best scaled to about [-1, 1].
        captions: of each: a text, or several, of which training draws one at a time.
        labels: the class of each, from 0 up, or -1 for none.
        class_names: of the classes; their numbers if left out.
        prompts: captions worth sampling; the first of each example if left out.
        held_out: share that is for testing only; which examples depends on their index alone.
        check: reads from pictures whether they show what captions say.
        name: in messages and reports.
        latents: whether x0, float of four axes, is what an autoencoder has made of pictures.
        **conditions: further arrays of n rows, under the names by which conditioners read them.

    Raises:
        UserError: x0 is none of these, empty or not finite; labels, captions or conditions are not
            of their kind; the lengths differ, or a split would be wrong.

    >>> data = arrays(np.random.default_rng(0).normal(size=(100, 2)), labels=[0, 1] * 50)
    >>> len(data.train), len(data.test), data.shape, data.class_names
    (94, 6, (2,), ('0', '1'))
    """
    values = _values(np.asarray(x0), latents)
    if not isinstance(held_out, int | float) or not 0 <= held_out < 1:
        raise UserError(f"held_out={held_out!r} is not a share from 0 to less than 1.")
    if taken := sorted({"image", "vector", "label", "key"} & set(conditions)):
        raise UserError(f"A condition cannot be called {taken[0]!r}, which examples have already.")
    known = None if labels is None else _labels(labels)
    columns = {key: _column(key, column) for key, column in conditions.items()}
    _check_captions(captions)
    everything = ArraySource(values, known, captions, others=columns)
    test = uniforms(0, np.arange(len(values)), 1)[:, 0] < held_out
    texts = [text for k in range(len(values)) for text in everything[k]["captions"]]
    return Dataset(
        name,
        train=_rows(everything, ~test),
        shape=values.shape[1:],
        test=_rows(everything, test),
        class_names=_class_names(known, class_names),
        captions=tuple(texts),
        prompts=tuple(prompts) or tuple(dict.fromkeys(texts)),
        check=check,
    )


def _values(x0: np.ndarray, latents: bool) -> np.ndarray:
    if not x0.size and x0.ndim > 1:
        raise UserError(f"x0 has shape {x0.shape}: there are no examples in it.")
    if x0.dtype == np.uint8 and x0.ndim == 4 and x0.shape[-1] in CHANNELS and not latents:
        return x0
    if x0.dtype.kind == "f" and x0.ndim in ((4,) if latents else (2, 3)):
        if bad := int(len(x0) - np.isfinite(x0).all(axis=tuple(range(1, x0.ndim))).sum()):
            raise UserError(f"{bad} of the {len(x0)} examples in x0 are not finite.")
        return x0.astype(np.float32, copy=False)
    raise UserError(
        f"x0 is {x0.dtype} of shape {x0.shape}: give pictures, uint8 (n, height, width, channels) "
        "with 1 to 4 channels, vectors, float (n, features), sequences, float (n, length, "
        "features), or with latents=True latents, float (n, height, width, channels)."
    )


def _labels(labels: Any) -> np.ndarray:
    """Labels as whole numbers from -1 up."""
    found = np.asarray(labels)
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise UserError(
            f"labels are {found.dtype} of shape {found.shape}: give whole numbers, one for each "
            "example, -1 for none."
        )
    if found.size and not -1 <= found.min() <= found.max() < LARGEST:
        raise UserError(
            f"labels go from {found.min()} to {found.max()}: they must be from -1 (none) to less "
            f"than {LARGEST:,}."
        )
    return found.astype(np.int64)


def _column(name: str, given: Any) -> np.ndarray:
    """A further array as numbers, a row for each example."""
    column = np.asarray(given)
    if column.dtype.kind not in "biuf" or not column.ndim:
        raise UserError(f"{name!r} must be an array of numbers, a row for each example.")
    return column


def _check_captions(captions: Any) -> None:
    """Raises UserError unless captions are a list of texts, or of lists of texts."""
    if captions is None:
        return
    if isinstance(captions, str) or not isinstance(captions, Sequence | np.ndarray):
        raise UserError(f"captions must be a list, a text or several for each, not {captions!r}.")
    for row, caption in enumerate(captions):
        texts = (caption,) if isinstance(caption, str) else caption
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            raise UserError(f"captions[{row}] is {shown(caption)}, neither a text nor several.")


def _class_names(labels: np.ndarray | None, names: Sequence[str]) -> tuple[str, ...]:
    last = -1 if labels is None else int(labels.max(initial=-1))
    if names and last >= len(names):
        raise UserError(f"A label is {last}, and there are {len(names)} class names.")
    return tuple(names) or tuple(map(str, range(last + 1)))


def _rows(source: ArraySource, chosen: np.ndarray) -> ArraySource:
    rows = np.flatnonzero(chosen).tolist()
    return ArraySource(
        source.values[rows],
        None if source.labels is None else source.labels[rows],
        None if source.captions is None else [source.captions[row] for row in rows],
        rows,
        {name: column[rows] for name, column in source.others.items()},
    )
