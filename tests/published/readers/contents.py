"""What the files of these tests hold, whatever their format: it needs NumPy and ml_dtypes alone."""

import ml_dtypes
import numpy as np

RNG = np.random.default_rng(14)


def _numbers(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


TENSORS: dict[str, np.ndarray] = {
    "model.conv.weight": _numbers((4, 3, 2, 2), np.float32),
    "model.conv.bias": _numbers((4,), np.float16),
    "model.norm.weight": _numbers((5,), ml_dtypes.bfloat16),
    "model.exact": _numbers((2, 3), np.float64),
    "model.steps": np.array(1234567890123, np.int64),
    "model.mask": np.array([[True, False, True]]),
    "model.bytes": np.arange(6, dtype=np.uint8),
    "model.nothing": np.zeros((0, 3), np.float32),
    "scale": np.array(-0.18215, np.float32),
}
"""Name -> array; names are joined by dots where a format nests."""


def nested() -> dict[str, object]:
    """The same, nested."""
    inner = {n.removeprefix("model."): a for n, a in TENSORS.items() if n.startswith("model.")}
    return {"model": inner, "scale": TENSORS["scale"]}
