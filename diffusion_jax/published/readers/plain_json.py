"""JSON of others, read strictly and within bounds."""

import json
import math
from collections import Counter
from typing import Any

from diffusion_jax.errors import UserError, shown
from diffusion_jax.published.readers.tensor import brief

INFINITIES = {"Infinity": math.inf, "-Infinity": -math.inf}
MOST_VALUES = 2_000_000  # commas and brackets in one text


def parsed(text: bytes, where: str, infinities: bool = False) -> Any:
    """The value of a JSON text (RFC 8259).

    Args:
        text: as UTF-8.
        where: what it is, for the message.
        infinities: take the words Infinity and -Infinity, which diffusers writes.

    Raises:
        UserError: it is no JSON, has NaN or an infinity, a key twice, or more values than is meant.
    """
    if sum(text.count(sign) for sign in (b",", b"[", b"{")) > MOST_VALUES:
        raise UserError(f"{where} has more than {MOST_VALUES:,} values.")

    def refuse(word: str) -> Any:
        if infinities and word in INFINITIES:
            return INFINITIES[word]
        raise UserError(f"{where} has the number {word}, which is no JSON.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            twice = next(key for key in counts if counts[key] > 1)
            raise UserError(f"{where} has the key {shown(twice)} twice.")
        return found

    try:
        return json.loads(text.decode(), parse_constant=refuse, object_pairs_hook=unique)
    except UserError:
        raise
    except RecursionError as error:
        raise UserError(f"{where} has values nested too deeply.") from error
    except ValueError as error:
        raise UserError(f"{where} is no JSON: {str(error)[:100]}.") from error


def begins(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a JSON object, and not a number in binary."""
    return head.lstrip(b" \t\r\n")[:1] == b"{" and b"\0" not in head[:8]


def follows_its_length(head: bytes) -> bool:
    """Whether a file begins as safetensors do: eight bytes for a length, then a JSON object.

    Lengths are such that the bytes may look like the start of a pickle or of msgpack.

    >>> follows_its_length((0x28).to_bytes(8, "little") + b"{"), follows_its_length(b"(dp0")
    (True, False)
    """
    return head[4:9] == b"\0\0\0\0{"


def table(value: Any, where: str) -> dict[str, Any]:
    """A value that must be a JSON object.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(value, dict):
        raise UserError(f"{where} must be a JSON object, not {brief(value)}.")
    return value
