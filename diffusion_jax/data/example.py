"""What is known of one example of a data set, and how the rest of the library reads it.

An example is a dict:

| key | value |
|---|---|
| `image` | a picture, uint8 (height, width, channels) with 1 to 4 channels |
| `vector` | in its place: numbers, float32 (…), as networks see them, best within about [-1, 1] |
| `captions` | texts that say what it shows, a tuple of str; none where it is missing or empty |
| `caption_weights` | how often each is drawn, where not equally often, a tuple of float |
| `label` | its class, int; -1, or missing, for none |
| `key` | int or str that tells it from all others; its index where it is missing |

and whatever else a set yields for conditioners to read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from diffusion_jax.errors import UserError

Example = dict[str, Any]
"""See the head of this file."""

Values = UInt8[np.ndarray, "_ ..."] | Float32[np.ndarray, "_ ..."]
"""Pictures or vectors as data sets keep them."""

Check = Callable[[np.ndarray, Sequence[str]], Mapping[str, np.ndarray]]
"""(uint8 pictures (n, h, w, c), n captions) -> attribute name -> bool (n,), with "all"."""

NO_LABEL = -1
KINDS = ("image", "vector")  # what an example is of


@runtime_checkable
class Source(Protocol):
    """Examples by index, in any order, the same every time: a list of examples is one.

    A source that gives several examples at once faster than one by one has `__getitems__` as well.
    """

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, index: int, /) -> Example:
        """One example."""
        ...


def take(source: Source, indices: Sequence[int]) -> list[Example]:
    """Several examples of a source, at once if it can."""
    at_once = getattr(source, "__getitems__", None)
    if at_once is not None:
        return list(at_once(indices))
    return [source[index] for index in indices]


def values_of(examples: Sequence[Example]) -> Values:
    """The pictures or vectors of examples as they are kept, stacked.

    Raises:
        UserError: an example has neither, or they differ in shape.
    """
    kind = "image" if examples and "image" in examples[0] else "vector"
    try:
        return np.stack([example[kind] for example in examples])
    except KeyError:
        raise UserError(
            f"An example has no {kind!r}: each needs an 'image' (uint8, height × width × channels) "
            "or a 'vector' (float32), all of them the same."
        ) from None
    except ValueError:
        shapes = sorted({np.shape(example[kind]) for example in examples})
        raise UserError(f"Examples differ in the shape of their {kind!r}: {shapes}.") from None


def caption_of(example: Example) -> str:
    """What an example shows, in words: its first caption; "" if it has none.

    >>> caption_of({"captions": ("a cat", "an animal")}), caption_of({})
    ('a cat', '')
    """
    captions = example.get("captions") or ("",)
    return str(captions[0])


def label_of(example: Example) -> int:
    """The class of an example, -1 if it has none."""
    return int(example.get("label", NO_LABEL))


def to_unit(values: np.ndarray) -> Float32[np.ndarray, "*shape"]:
    """Pictures and vectors as networks see them: bytes to [-1, 1], other numbers as they are.

    >>> to_unit(np.uint8([0, 255])), to_unit(np.float32([0, 2]))
    (array([-1.,  1.], dtype=float32), array([0., 2.], dtype=float32))
    """
    if values.dtype != np.uint8:
        return values.astype(np.float32, copy=False)
    return values.astype(np.float32) / np.float32(127.5) - np.float32(1)


def to_bytes(images: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """[-1, 1] to bytes, clipped and rounded: the inverse of `to_unit`.

    Raises:
        UserError: a value is not finite, for which no byte stands.

    >>> to_bytes(np.float32([-1.2, 0.0, 1.0]))
    array([  0, 128, 255], dtype=uint8)
    """
    if not np.isfinite(images).all():
        raise UserError("Pictures with values that are not finite cannot be written as bytes.")
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def to_values(x0: Float32[np.ndarray, "n *shape"], pictures: bool) -> Values:
    """What networks make of data, as data sets keep it: pictures as bytes, others as they are.

    >>> to_values(np.zeros((1, 2, 2, 1), np.float32), pictures=True).dtype
    dtype('uint8')
    >>> to_values(np.float32([[2, 3]]), pictures=False)
    array([[2., 3.]], dtype=float32)
    """
    return to_bytes(x0) if pictures else x0
