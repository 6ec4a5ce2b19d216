"""What the formats call their dtypes, and which numbers may become which."""

from typing import Any

import ml_dtypes
import numpy as np

from diffusion_jax.errors import UserError

NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
BY_NAME = {
    **{name: np.dtype(name) for name in NAMES},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float8_e4m3fn": np.dtype(ml_dtypes.float8_e4m3fn),
    "float8_e4m3fnuz": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "float8_e5m2fnuz": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "float8_e8m0fnu": np.dtype(ml_dtypes.float8_e8m0fnu),
}
"""NumPy's and PyTorch's name -> dtype"""

FLOATS, WHOLE, BOOLEAN, COMPLEX = range(4)
ALIGNED = 64  # bytes: where XLA wants an array to begin


def dtype_named(name: str, where: str) -> np.dtype:
    """The dtype of a name.

    Args:
        name: as NumPy or PyTorch writes it, such as "bfloat16".
        where: whose it is, for the message.

    Raises:
        UserError: no array here has such a dtype.
    """
    if name not in BY_NAME:
        raise UserError(f"{where} has the dtype {name[:40]!r}, which is not read.")
    return BY_NAME[name]


def convert(part: np.ndarray, dtype: np.dtype, where: str) -> np.ndarray:
    """A copy of an array in another dtype, its numbers rounded where they have to be.

    Args:
        part: any array, also one of mapped memory.
        dtype: float or complex numbers may become wider or narrower ones of their kind, whole
            numbers and booleans any that hold them.
        where: whose it is, for the message.

    Raises:
        UserError: the numbers are of another kind, or too large for the dtype.
    """
    if part.dtype == dtype:
        return _copied(part, dtype)
    before, after = kind(part.dtype), kind(dtype)
    if (before, after) not in ALLOWED:
        raise UserError(f"{where} has numbers of dtype {part.dtype}, which cannot be {dtype}.")
    try:
        with np.errstate(over="raise"):
            found = _copied(part, dtype)
    except FloatingPointError as error:
        raise UserError(f"{where} has numbers too large for {dtype}.") from error
    if after == WHOLE and dtype.itemsize <= part.dtype.itemsize and (found != part).any():
        raise UserError(f"{where} has numbers that {dtype} does not hold.")
    return found


def _copied(part: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy in C order, where JAX on a CPU takes it over without another copy."""
    count = part.size * dtype.itemsize
    memory = np.empty(count + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    copy = memory[start : start + count].view(dtype).reshape(part.shape)
    np.copyto(copy, part, casting="unsafe")
    return copy


ALLOWED = {
    *((kind, kind) for kind in (FLOATS, WHOLE, BOOLEAN, COMPLEX)),
    *((WHOLE, FLOATS), (BOOLEAN, FLOATS), (BOOLEAN, WHOLE), (FLOATS, COMPLEX), (WHOLE, COMPLEX)),
}


def kind(dtype: Any) -> int:
    """Which of the four kinds of numbers a dtype has; those of ml_dtypes are floats."""
    return {"b": BOOLEAN, "i": WHOLE, "u": WHOLE, "c": COMPLEX}.get(np.dtype(dtype).kind, FLOATS)
