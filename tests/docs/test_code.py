"""The code of the guide and the notebooks runs as it stands there."""

import importlib
import pkgutil
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

import diffusion_jax
import launch
from diffusion_jax.registry import Registry

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs/guide").glob("*.md"))
NOTEBOOKS = sorted((ROOT / "docs/notebooks").glob("*.md"))
PYTHON = re.compile(r"^```(?:python|\{code-cell\}[^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SHELL = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
OPTIONS = re.compile(r"^(:[^\n]*|---\n.*?---)\n", re.DOTALL | re.MULTILINE)


def code(page: Path) -> str:
    """The blocks of a page in order, each at its own line, so that a traceback names the line."""
    text, lines = page.read_text(encoding="utf-8"), []
    for block in PYTHON.finditer(text):
        missing = text[: block.start(1)].count("\n") - sum(part.count("\n") for part in lines)
        lines += ["\n" * missing, OPTIONS.sub("\n", block[1])]
    return "".join(lines)


@pytest.fixture
def as_before() -> Iterator[None]:
    """Takes back what a page changes for others: members of families, and JAX's precision."""
    precise = jax.config.jax_enable_x64
    families = {}
    for package in (diffusion_jax, launch):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for value in vars(importlib.import_module(found.name)).values():
                if isinstance(value, Registry):
                    families[id(value)] = (value, dict(value._members))
    yield
    for family, before in families.values():
        family._members.clear()
        family._members.update(before)
    jax.config.update("jax_enable_x64", precise)


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests").symlink_to(ROOT / "tests")  # whose tiny models pages may use
    exec(compile(code(page), page, "exec"), {"__name__": "__main__"})


@pytest.mark.optimized
@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_a_notebook_runs(notebook: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")
    exec(compile(code(notebook), notebook, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_commands_name_what_there_is(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for block in SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if "-m" in words and (module := words[words.index("-m") + 1]).startswith(
                ("experiments", "launch", "tests")
            ):
                assert importlib.util.find_spec(module), line
            for path in re.findall(r"configs/[\w/]+\.py", line):
                assert (ROOT / path).exists(), line


def test_the_blocks_of_a_page_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\na = 1\n```\n\n```{code-cell}\n:tags: [x]\n\nb = a + 1\n```\n"
    )
    names: dict[str, int] = {}
    exec(code(page), names)
    assert names["b"] == 2
    assert code(page).splitlines()[3] == "a = 1"
