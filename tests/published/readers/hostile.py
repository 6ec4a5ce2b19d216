"""What is asserted of every file that means harm: one line, bounded memory, nothing run."""

import sys
import tracemalloc
from pathlib import Path

import pytest

from diffusion_jax.errors import UserError
from diffusion_jax.published.readers import open_weights
from tests.annotations import unchecked

MEMORY = 64 * 2**20  # bytes that a refusal may take, however large a file says it is


def refused(path: Path, *words: str, read: bool = False, memory: int = MEMORY) -> str:
    """Opens a file, and reads its tensors if `read`; it must be refused with these words.

    Returns:
        The line.
    """
    modules = set(sys.modules)
    tracemalloc.start()
    try:
        # Annotations are checked in other tests; here a file may have a great many instructions.
        with unchecked(), pytest.raises(UserError) as caught:
            _open(path, read)
        assert tracemalloc.get_traced_memory()[1] < memory
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    for word in words:
        assert word in message, message
    assert set(sys.modules) == modules, "a module was imported"
    return message


def _open(path: Path, read: bool) -> None:
    weights = open_weights(path)
    for tensor in weights.values() if read else ():
        tensor.read()
