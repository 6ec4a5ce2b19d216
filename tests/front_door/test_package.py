"""What `pip install .` installs, and that it says what it needs."""

import ast
import configparser
import re
import sys
from pathlib import Path

from setuptools import find_namespace_packages

import diffusion_jax as dj

ROOT = Path(__file__).parents[2]
# What a package is imported as, where that is not its name.
IMPORTED_AS = {"PIL": "pillow", "absl": "absl-py", "orbax": "orbax-checkpoint"}

OPTIONAL = ("captions", "emoji", "languages")  # extras that the package does without


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def test_the_library_is_installed_alone_and_whole() -> None:
    parser = setup_cfg()
    include = parser["options.packages.find"]["include"].split()
    found = find_namespace_packages(str(ROOT), include=include)
    assert {name.split(".")[0] for name in found} == {"diffusion_jax"}
    folders = {ROOT.joinpath(*name.split(".")) for name in found}
    patterns = [each.strip() for each in parser["options.package_data"]["*"].split(",")]
    files = [path for path in (ROOT / "diffusion_jax").rglob("*") if path.is_file()]
    for file in files:
        if file.suffix != ".pyc":
            assert file.parent in folders
            assert file.suffix == ".py" or any(map(file.match, patterns)), file
    assert ROOT / "diffusion_jax/py.typed" in files


def test_every_package_that_is_imported_is_declared() -> None:
    parser = setup_cfg()
    extras = parser["options.extras_require"]
    given = [parser["options"]["install_requires"], *(extras[e] for e in OPTIONAL)]
    declared = {
        re.split(r"[><=\[]", line)[0].lower().replace("_", "-")
        for lines in given
        for line in lines.split("\n")
        if line and not line.startswith("#")
    }
    for file in (ROOT / "diffusion_jax").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            for name in {name.split(".")[0] for name in names} - {"diffusion_jax"}:
                if name not in sys.stdlib_module_names:
                    package = IMPORTED_AS.get(name, name).lower().replace("_", "-")
                    assert package in declared, f"{file} imports {name}, which setup.cfg lacks"


def test_the_version_is_written_once() -> None:
    assert setup_cfg()["metadata"]["version"] == "attr: diffusion_jax.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", dj.__version__)
