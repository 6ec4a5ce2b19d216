"""Whether the library is right on this device: recorded cases of others, and tests of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from diffusion_jax.errors import UserError
from experiments.device.section import Figures

ROOT = Path(__file__).parents[2]
TESTS = (
    "tests/networks/test_memory_and_speed.py",
    "tests/networks/test_parts.py",
    "tests/sampling/test_guidance_contract.py",
)
# Without what `tests/conftest.py` prepares: eight CPU devices, and programs quick to compile.
PLAIN = ("-q", "-p", "no:cacheprovider", "--noconftest")
FEW_CASES = "--only=edm/ablation_sampler"
ONE_TEST = "test_a_dit_may_be_told_the_text_by_its_embedding_alone"
# They compare with double precision.
PRECISE = {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}


def golden(small: bool) -> Figures:
    """How many recorded cases of other libraries agree; a few of them in the small form."""
    words = ["tests.golden", "tests/golden/data", *([FEW_CASES] if small else [])]
    output = _run(words, needed="tests/golden/data")
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (\w+)", output[-1])}
    if "agree" not in counts:
        raise UserError(f"The recorded cases end with: {output[-1]}")
    return counts


def contracts(small: bool) -> Figures:
    """How many tests of a chosen few files pass; one of them in the small form."""
    words = ["pytest", *PLAIN, *(TESTS[:1] if small else TESTS)]
    output = _run([*words, *(["-k", ONE_TEST] if small else [])], needed=TESTS[0])
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (passed|failed)", output[-1])}
    if not counts:
        errors = [line for line in output if "Error" in line or line.startswith("E  ")]
        raise UserError(f"The tests do not run: {(errors or output)[-1]}")
    failed = [line.split(" - ")[0] for line in output if line.startswith("FAILED")]
    return {"passed": 0, "failed": 0} | counts | {"failures": failed}


def _run(words: list[str], needed: str) -> list[str]:
    """The lines that a module prints; it runs at the root of the source tree."""
    if not (ROOT / needed).exists():
        raise UserError(f"{ROOT / needed} is missing: run from a whole source tree.")
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        # They choose the CPU where nothing is said, and an empty word leaves it to JAX.
        env={"JAX_PLATFORMS": ""} | os.environ | PRECISE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return [line for line in done.stdout.splitlines() if line.strip()] or ["nothing printed"]
