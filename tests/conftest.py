"""What every test starts from: eight CPU devices, checked shapes, one compilation cache."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import jaxtyping
import pytest

from tests.annotations import checked

# Whatever started the tests, each process of theirs is alone unless a test says otherwise.
LAUNCHERS = ("SLURM_", "OMPI_", "PMI_", "MV2_", "TPU_", "MEGASCALE_", "WORLD_", "SKYPILOT_")
ALONE = (*LAUNCHERS, "JOB_COMPLETION_", "JAX_COORDINATOR_", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
for _name in [name for name in os.environ if name.startswith(ALONE)]:
    del os.environ[_name]

# JAX is not imported yet (neither module above does). It and the processes that tests start read
# its settings from the environment.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache/jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
EIGHT_DEVICES = "--xla_force_host_platform_device_count=8"
# Most of the time goes into compiling thousands of programs that run once: this takes three times
# less of it, and the programs longer (see the mark `optimized`).
QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), EIGHT_DEVICES, QUICK_TO_COMPILE]
)

# From here on the annotations in diffusion_jax are checked on every call.
jaxtyping.install_import_hook("diffusion_jax", f"{checked.__module__}.{checked.__name__}")

# The first example of a property compiles, so a deadline would measure only that.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("repeatable")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Looks for no garbage among the modules that are imported here, now and later: all stay."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True, scope="module")
def _compiled_programs_go_with_their_module() -> Iterator[None]:
    """Drops compiled programs after each file: a process may only map so many (65,530 pieces)."""
    yield
    import jax

    jax.clear_caches()


@pytest.fixture(autouse=True)
def _compiled_as_for_users(request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs of a test that is marked `optimized` take longer to run than to compile."""
    if request.node.get_closest_marker("optimized") is None:
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def x64() -> Iterator[None]:
    """Runs a test in double precision: what it makes, it must make inside."""
    import jax

    with jax.enable_x64(True):
        yield
