"""JSON that every reader can read, and that says what is no number."""

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(content: Any, indent: int | None = None) -> str:
    """Strict JSON (RFC 8259) on lines that end, which knows no NaN and no infinity: they are null.

    Args:
        content: plain values, numbers and arrays of numpy, in mappings and sequences.
        indent: spaces a level; None for one line.

    >>> import numpy as np
    >>> to_json({"a": [1.5, float("nan")], "b": np.array([np.inf, 2])})
    '{"a": [1.5, null], "b": [null, 2.0]}\\n'
    """
    return json.dumps(_finite(content), indent=indent, allow_nan=False) + "\n"


def from_null(value: float | None) -> float:
    """A number as `to_json` wrote it: null stands for one that was not finite."""
    return math.nan if value is None else value


def _finite(content: Any) -> Any:
    """Plain values, with None for numbers that are not finite."""
    if hasattr(content, "tolist"):  # of numpy
        return _finite(content.tolist())
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
