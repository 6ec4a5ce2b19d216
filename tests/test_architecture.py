"""The direction of the arrows: what each layer may import, and what it must say."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIBRARY = "diffusion_jax"

# A layer imports only from itself and from layers earlier in this list.
LAYERS = (
    "foundation",
    "process",
    "sampling",
    "verification",
    "fewstep",
    "parallel",
    "networks",
    "published",
    "data",
    "runs",
    "training",
    "statistics",
    "metrics",
    "inference",
    "sweeps",
    "reports",
    "front door",
    "configs",
    "experiments",
    "launch",
)
FOUNDATION = {
    *(
        "annotations",
        "describe",
        "errors",
        "files",
        "hints",
        "registry",
        "renamed",
        "sealed",
        "streams",
    ),
    *("strict_json", "struct", "words"),
}
MATHEMATICS = {"process", "sampling", "verification", "fewstep"}
# diffrax is jax too: adaptive solvers of ordinary differential equations.
MATHEMATICS_MAY_IMPORT = {"jax", "jaxtyping", "diffrax", LIBRARY} | sys.stdlib_module_names
PACKAGES = (LIBRARY, "configs", "experiments", "launch")
LONGEST_FILE = 400


def modules() -> list[Path]:
    return sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))


def dotted(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer(module: str) -> str:
    """The layer of a dotted module name: `diffusion_jax.process.level` is on `process`."""
    package, *rest = module.split(".")
    if package != LIBRARY:
        return package
    if not rest:
        return "front door"  # it names every package, and imports none before it is used
    return "foundation" if rest[0] in FOUNDATION else rest[0]


def imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    """The dotted names that a file imports, wherever in the file the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = str(node.module)
            for alias in node.names:
                deeper = f"{module}.{alias.name}"
                yield deeper if deeper in known else module


def public(tree: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    for node in tree.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        if "overload" not in map(ast.unparse, node.decorator_list):  # types alone, of what follows
            yield node


MODULES = modules()
KNOWN = {dotted(file) for file in MODULES}
each_module = pytest.mark.parametrize("file", MODULES, ids=dotted)


@each_module
def test_a_layer_imports_only_from_layers_below(file: Path) -> None:
    here = layer(dotted(file))
    for name in imported(ast.parse(file.read_text()), KNOWN):
        if name.split(".")[0] in PACKAGES:
            assert LAYERS.index(layer(name)) <= LAYERS.index(here), f"{here} imports {name}"


@each_module
def test_mathematics_imports_jax_alone(file: Path) -> None:
    if layer(dotted(file)) in MATHEMATICS | {"foundation"}:
        packages = {name.split(".")[0] for name in imported(ast.parse(file.read_text()), KNOWN)}
        # Orders are fitted, and exact levels kept, in float64 on the host.
        allowed = {"numpy"} if layer(dotted(file)) == "verification" else set()
        assert packages <= MATHEMATICS_MAY_IMPORT | allowed


@each_module
def test_everything_public_says_what_it_is(file: Path) -> None:
    tree = ast.parse(file.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    if layer(dotted(file)) != "configs":
        silent = [node.name for node in public(tree) if not ast.get_docstring(node)]
        assert not silent, f"no docstring: {', '.join(silent)}"


def test_two_classes_never_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for file in MODULES:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(dotted(file))
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert not shared, f"give these names that tell them apart: {shared}"


@pytest.mark.parametrize("file", [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))], ids=dotted)
def test_a_file_has_one_subject(file: Path) -> None:
    lines = len(file.read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines: split it by subject"


def test_the_check_itself_sees_an_import_upwards() -> None:
    code = "def late():\n    from diffusion_jax.training import step\n    import jax.numpy"
    known = {"diffusion_jax.training.step"}
    assert set(imported(ast.parse(code), known)) == {"diffusion_jax.training.step", "jax.numpy"}
    assert layer("diffusion_jax.training.step") == "training"
    assert layer("diffusion_jax.errors") == "foundation"
    assert layer("experiments.train") == "experiments"
