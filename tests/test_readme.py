"""What the README says to write works as it stands there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = re.search(r"## Adding to it\n(.*?)\n## ", README, re.DOTALL)
BLOCKS = re.findall(r"```python\n(.*?)```", SECTION[1] if SECTION else "", re.DOTALL)

IMPORTS = """
import jax, jax.numpy as jnp, numpy as np
from diffusion_jax.process.level import Level
from diffusion_jax.process.schedules import schedules
from diffusion_jax.sampling.solvers.base import OneStep, State, predicted_noise, solvers
from diffusion_jax.data.arrays import arrays
from diffusion_jax.data.dataset import Dataset, datasets
from diffusion_jax.struct import pytree
"""

# Trains nothing: an exact oracle is sampled with the new solver over the new schedule.
USE = """
from diffusion_jax.verification.oracles import Gaussian
from diffusion_jax.sampling.grids import grids, make
from diffusion_jax.sampling.sample import prior, sample, sample_keys
data = Gaussian(mean=jnp.array([0.3]), std=jnp.array([0.5]))
nodes = make(grids.make("karras"), schedules.make("trigonometric"), 50)
keys = sample_keys(jax.random.key(0), 4000)
x, _ = sample(data.denoise, solvers.make("again"), nodes, prior(nodes, keys, (1,)), keys)
assert abs(x.mean() - 0.3) < 0.05 and abs(x.std() - 0.5) < 0.05, (x.mean(), x.std())
assert datasets.make("plain(size=8)").train[1]["captions"] == ("all white",)
"""


def test_additions_work_and_are_under_ten_lines_of_code() -> None:
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        lines = [line for line in block.splitlines() if line.strip() and '"""' not in line]
        assert len(lines) < 10, block
    # In a process of its own: the new members must not join the families that tests go over.
    program = "\n".join([IMPORTS, *BLOCKS, USE])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_catalog_in_readme_and_docs_is_the_present_one(tmp_path: Path) -> None:
    # In a process of its own: other tests may have registered members here by now.
    page = tmp_path / "catalog.md"
    program = (
        "from experiments import catalog\n"
        f"catalog.main(['--names'])\ncatalog.main(['--markdown={page}'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = done.stdout.rsplit("\n", 2)[0]
    assert names in README, "put in what `python -m experiments.catalog --names` prints"
    committed = Path(__file__).parents[1] / "docs/catalog.md"
    assert page.read_text() == committed.read_text(), (
        "run `python -m experiments.catalog --markdown=docs/catalog.md`"
    )


def test_the_sweep_is_one() -> None:
    (block,) = re.findall(r"## Sweeps\n.*?```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    sweep = names["get_sweep"]()
    assert sweep.arms[0] == "cosine-fast" and len(sweep.arms) == 6 and len(sweep.choices) == 18
