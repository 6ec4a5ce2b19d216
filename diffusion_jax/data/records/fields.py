"""Which of the fields that come with a picture are its captions, and how often each is drawn."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from diffusion_jax.data.example import NO_LABEL
from diffusion_jax.errors import UserError, shown

USUAL = ("txt", "caption", "text", "captions", "prompt")


@dataclasses.dataclass(frozen=True)
class CaptionFields:
    """The fields that hold captions.

    Attributes:
        names: of fields, each a text or a list of them; fields that a record lacks are passed over.
        weights: of each field, shared by its texts; () is the same for every text.
        owner: data set, for messages.

    Raises:
        UserError: there is no name, or not a weight above 0 for each.
    """

    names: tuple[str, ...]
    weights: tuple[float, ...] = ()
    owner: str = "data set"

    def __post_init__(self) -> None:
        if not self.names or not all(isinstance(name, str) and name for name in self.names):
            raise UserError(f"Data set {self.owner!r}: captions={self.names!r} names no field.")
        right = all(isinstance(w, int | float) and 0 < w < np.inf for w in self.weights)
        if self.weights and (len(self.weights) != len(self.names) or not right):
            raise UserError(
                f"Data set {self.owner!r}: weights={self.weights!r} must be numbers above 0, one "
                f"for each of captions={self.names!r}."
            )

    def of(self, record: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, ...]]:
        """The captions of a record, each once, and their weights.

        Raises:
            UserError: it has none; the message is the end of a sentence.
        """
        found: dict[str, float] = {}
        for name, weight in zip(self.names, self.weights or [1.0] * len(self.names), strict=True):
            texts = texts_of(record.get(name))
            for text in texts:
                found.setdefault(text, weight / len(texts))
        if not found:
            raise UserError(f"it has no caption under {' or '.join(map(repr, self.names))}")
        return tuple(found), tuple(found.values()) if self.weights else ()


def texts_of(given: object) -> list[str]:
    """The texts of a field that have a letter at least: of a text, of bytes, of a list of these.

    Raises:
        UserError: it holds something else, or bytes that are not UTF-8; the message is the end of a
            sentence.
    """
    texts = []
    for each in given if isinstance(given, list | tuple) else [given]:
        try:
            text = each.decode() if isinstance(each, bytes) else each
        except UnicodeDecodeError:
            raise UserError("its caption is not UTF-8 text") from None
        if text is not None and not isinstance(text, str):
            raise UserError(f"its caption is {shown(text)}, which is no text")
        texts.append((text or "").strip())
    return [text for text in texts if text]


def read_fields(content: bytes) -> dict[str, Any]:
    """The fields of a JSON object.

    Raises:
        UserError: it is none; the message is the end of a sentence.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError):
        raise UserError("its JSON is damaged") from None
    if not isinstance(fields, dict):
        raise UserError("its JSON is not an object")
    return fields


def class_of(given: object, num_classes: int) -> int:
    """A label as a file says it; -1 where there are no classes.

    Raises:
        UserError: it is not one of them; the message is the end of a sentence.
    """
    if not num_classes:
        return NO_LABEL
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < num_classes:
        raise UserError(f"its class is {shown(given)}, not one of {num_classes}, from 0")
    return given
