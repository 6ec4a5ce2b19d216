"""The API reference is written from docstrings, whatever letters their formulas have."""

import doctest
import importlib.util
from pathlib import Path

from diffusion_jax import process
from diffusion_jax.process import schedules

FILE = Path(__file__).parents[2] / "docs/reference.py"
SPEC = importlib.util.spec_from_file_location("reference", FILE)
assert SPEC and SPEC.loader
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)


def test_examples_hold() -> None:
    assert doctest.testmod(reference).failed == 0


def test_a_family_is_listed_with_every_member_and_where_it_is() -> None:
    page = reference.page(schedules)
    for name in schedules.schedules:
        member = schedules.schedules[name]
        assert f"| `{name}` | " in page
        assert f"{member.__module__}.{member.__qualname__}" in page


def test_every_module_has_its_section_and_every_package_its_link() -> None:
    page = reference.page(process)
    assert "automodule:: diffusion_jax.process.level" in page
    assert "diffusion_jax.process.schedules" in page
    assert "Objective" in page
