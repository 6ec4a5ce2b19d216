"""Data of one's own, as a data set, and what it says to networks without a conditioner."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.data.example import Example, Source, values_of
from diffusion_jax.data.memory import ArraySource
from diffusion_jax.errors import UserError
from diffusion_jax.networks.conditioners.base import encode
from diffusion_jax.networks.functions import AnyNetwork, FunctionNetwork

# What an example holds besides its condition.
ASIDE = {"image", "vector", "captions", "key"}
WIDTHS = {"i": np.int32, "u": np.int32, "f": np.float32}


def as_dataset(data: Any) -> Dataset:
    """Makes a data set of what users have.

    Args:
        data: a `Dataset`; a `Source`; an array x0, (n, ...); or a pair of x0 and its condition, a
            dict of arrays with n rows. Bytes are pictures, floats are taken as they are.

    Raises:
        UserError: it is none of these, empty, or of rows that differ in number.

    >>> as_dataset((np.zeros((8, 2), np.float32), {"angle": np.zeros(8)})).shape
    (2,)
    """
    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], Mapping):
        return _of_arrays(data[0], data[1])
    if hasattr(data, "dtype"):
        return _of_arrays(data, {})
    if isinstance(data, Source) and not isinstance(data, str | bytes | tuple | list | Mapping):
        if not len(data):
            raise UserError("The data set is empty.")
        return Dataset("own", data, values_of([data[0]]).shape[1:])
    raise UserError(
        f"{type(data).__name__} is no data to train on: give a Dataset, an array x0 of shape "
        "(n, ...), a pair (x0, condition) of an array and a dict of arrays, or a Source."
    )


def _of_arrays(x0: ArrayLike, condition: Mapping[str, Any]) -> Dataset:
    values = np.asarray(x0)
    if values.ndim < 2 or (values.dtype != np.uint8 and values.dtype.kind != "f"):
        raise UserError(
            f"x0 is {values.dtype} of shape {values.shape}: give floats, about in [-1, 1], or "
            "bytes, of shape (n, ...)."
        )
    if values.dtype != np.uint8:
        values = values.astype(np.float32, copy=False)
    if not len(values):
        raise UserError("The data set is empty.")
    for name, column in condition.items():
        if not isinstance(name, str):
            raise UserError(f"A condition is called by a word, not {name!r}.")
        if np.asarray(column).dtype.kind not in "biuf" or not np.ndim(column):
            raise UserError(f"Condition {name!r} must be an array of numbers, a row per example.")
    if taken := sorted(ASIDE & condition.keys()):
        raise UserError(f"A condition cannot be called {taken[0]!r}: examples have that already.")
    columns = {name: np.asarray(column) for name, column in condition.items()}
    return Dataset("arrays", ArraySource(values, others=columns), values.shape[1:])


def own_keys(data: Dataset) -> tuple[str, ...]:
    """The numbers of a data set's examples besides x0: what networks without conditioner are shown.

    A label counts where the set has classes.
    """
    first = data.train[0]
    names = [name for name, value in first.items() if np.asarray(value).dtype.kind in "biuf"]
    unlabelled = not data.class_names and np.array_equal(first.get("label", -1), -1)
    aside = ASIDE | ({"label"} if unlabelled else set())
    return tuple(name for name in names if name not in aside)


def shown(
    networks: Iterable[AnyNetwork], data: Dataset, examples: Sequence[Example]
) -> dict[str, np.ndarray]:
    """The condition that examples of a data set are to networks, a row for each.

    Those without a conditioner are shown the examples' own numbers, as in training.
    """
    listed = list(networks)
    rows = encode([part for each in listed if (part := each.conditioner)], examples)
    if any(isinstance(each, FunctionNetwork) for each in listed):
        return own_condition(examples, own_keys(data)) | dict(rows)
    return dict(rows)


def own_condition(
    examples: Sequence[Mapping[str, Any]], names: Iterable[str]
) -> dict[str, np.ndarray]:
    """These entries of examples, a row for each, in 32 bits as on the device."""
    found = {name: np.stack([np.asarray(each[name]) for each in examples]) for name in names}
    return {
        name: rows.astype(WIDTHS.get(rows.dtype.kind, rows.dtype)) for name, rows in found.items()
    }
