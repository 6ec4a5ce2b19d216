"""A damaged entry of the cache of compiled programs is removed, and so written again."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from experiments.compile_cache import remove_unreadable


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    before = jax.config.jax_compilation_cache_dir
    compilation_cache.reset_cache()
    compilation_cache.set_cache_dir(str(tmp_path))
    yield tmp_path
    compilation_cache.reset_cache()
    compilation_cache.set_cache_dir(before)


def double(x: float) -> float:
    @jax.jit
    def doubled_somewhere(x: jax.Array) -> jax.Array:
        return x + x

    return float(doubled_somewhere(x))


def test_a_damaged_program_is_told_once_and_written_again(
    cache: Path, recwarn: pytest.WarningsRecorder
) -> None:
    assert double(2.0) == 4.0
    (entry,) = cache.glob("jit_doubled_somewhere-*-cache")
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    jax.clear_caches()
    assert double(3.0) == 6.0
    (warning,) = recwarn
    other = cache / "jit_double-0-cache"
    other.touch()
    assert remove_unreadable(cache, str(warning.message))
    assert not entry.exists() and other.exists()
    jax.clear_caches()
    assert double(3.0) == 6.0 and entry.exists()
    jax.clear_caches()
    assert double(4.0) == 8.0 and len(recwarn) == 1
    assert not remove_unreadable(cache, "something else")
