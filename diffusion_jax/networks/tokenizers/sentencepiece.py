"""SentencePiece's files of unigrams, read without the library of that name.

Such a file is a protocol buffer: numbered fields one after the other, each with how it is written.
Of its fields, 1 are the pieces (1: the text, 2: the score, 3: the kind), 2 how it was trained (3:
the kind of model, 35: bytes for what is unknown) and 3 how text is normalised first (2: the table
of characters).

Source: google/sentencepiece, sentencepiece_model.proto; Kudo 2018, Subword Regularization.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from diffusion_jax.errors import UserError

UNIGRAM, UNKNOWN = 1, 2
BYTE_FALLBACK = 35
Fields = Iterator[tuple[int, int | float | bytes]]


def unigrams(path: Path) -> tuple[list[tuple[str, float]], bytes, int]:
    """Pieces with their scores, the table that normalises characters, and which piece is unknown.

    Raises:
        UserError: it cannot be read, or is of another kind of model.
    """
    try:
        content = path.read_bytes()
        return _model(content)
    except OSError as error:
        raise UserError(f"Cannot read the tokenizer {str(path)!r}: {error}.") from None
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no unigrams of SentencePiece: {error}.") from None


def _model(content: bytes) -> tuple[list[tuple[str, float]], bytes, int]:
    pieces: list[tuple[str, float]] = []
    table, unknown, trained = b"", None, False
    for number, value in _fields(content):
        inner = dict(_fields(value)) if number in (1, 2, 3) and isinstance(value, bytes) else {}
        if number == 1:
            if inner.get(3) == UNKNOWN:
                unknown = len(pieces)
            pieces.append((_bytes(inner[1]).decode(), float(inner.get(2, 0.0))))
        elif number == 2:
            trained = True
            if inner.get(3, UNIGRAM) != UNIGRAM or inner.get(BYTE_FALLBACK):
                raise ValueError("it is another kind of model")
        elif number == 3:
            table = _bytes(inner.get(2, b""))
    if unknown is None or not trained:
        raise ValueError("it is not whole")
    return pieces, table, unknown


def _bytes(value: int | float | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("it has a number where text should be")
    return value


def _fields(content: bytes) -> Fields:
    """The fields of a protocol buffer: their numbers and values."""
    at = 0
    while at < len(content):
        key, at = _whole(content, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _whole(content, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _whole(content, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("it has a field of an unknown kind")
        if size > len(content) - at:
            raise ValueError("it ends within a field")
        part, at = content[at : at + size], at + size
        yield number, part if kind != 5 else struct.unpack("<f", part)[0]


def _whole(content: bytes, at: int) -> tuple[int, int]:
    """A whole number, seven bits a byte, and where what follows it begins."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    raise ValueError("it has a number of more than ten bytes")
