"""Writes the pages of the API reference: one for each package, with every module in it.

The text is the docstrings', which Sphinx reads when it builds the pages. A family of
interchangeable parts has a table of its members with the name that configs write.
"""

import importlib
import inspect
import pkgutil
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARY = "diffusion_jax"
# Where the letters of a formula would be taken for markup; code between backticks is left alone.
MARKUP = re.compile(r"(`[^`]*`)(\w?)|([*|])|(\w_)(?!\w)|(\\)")
SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields):$")
SOURCE = "Source: "
ITEM = re.compile(r"(\d+\.|-|\*) ")


def markup(lines: list[str]) -> list[str]:
    """The lines of a docstring in reStructuredText.

    Letters of formulas are kept from being read as markup, what is indented becomes a block of
    code, and the source stands apart. Sections such as Args are left to napoleon.

    >>> print(*markup(["|x| is", "    x = y*", "", "Source: Me, in", "    a book."]), sep="/")
    \\|x\\| is//:://    x = y*//**Source:** Me, in/a book.
    """
    found: list[str] = []
    in_section = in_source = in_block = in_doctest = False
    text = 0  # where the text of the paragraph or list item begins
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            found.append("")
            in_source = in_doctest = False
            continue
        if in_section and indent:
            found.append(_plain(line))
            continue
        in_section = bool(SECTION.match(line))
        in_doctest = in_doctest or line.lstrip().startswith(">>>")
        if in_section or in_doctest:
            found.append(line)
        elif in_source:
            found.append(_plain(line.strip()))
        elif line.startswith(SOURCE):
            in_source = True
            found.append(f"**Source:** {_plain(line.removeprefix(SOURCE))}")
        elif indent >= text + 4:
            found += [] if in_block else ["", " " * text + "::", ""]
            found.append(line)
            in_block = True
            continue
        else:
            found += [""] if in_block else []
            item = ITEM.match(line.lstrip())
            text = indent + len(item[0]) if item else indent
            found.append(_plain(line))
        in_block = False
    return found


def _plain(line: str) -> str:
    def put(match: re.Match[str]) -> str:
        code, after, sign, ending, slash = match.groups()
        if code:
            # Markup ends before a letter only where an escaped space parts them.
            return f"{code}\\ {after}" if after else code
        if ending:
            return f"{ending[:-1]}\\_"
        return f"\\{sign or slash}"

    return MARKUP.sub(put, line)


def write(folder: Path) -> None:
    """Writes the pages into a folder of its own, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    root = importlib.import_module(LIBRARY)
    for package in _packages(root):
        (folder / f"{package.__name__}.md").write_text(page(package), encoding="utf-8")


def _packages(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in _below(package):
        if found.ispkg:
            yield from _packages(importlib.import_module(f"{package.__name__}.{found.name}"))


def _below(package: ModuleType) -> list[Any]:
    below = pkgutil.iter_modules(package.__path__)
    return [found for found in below if not found.name.startswith("_")]


def page(package: ModuleType) -> str:
    """The page of a package: what it is, its members, its modules, and the packages in it."""
    name = package.__name__
    below = _below(package)
    inner = [f"{name}.{found.name}" for found in below if found.ispkg]
    parts = [f"({name})=\n# {_title(name)}\n", _automodule(package)]
    if name == LIBRARY:
        parts.append(_front_door(package))
    parts += [table for registry in _registries(package) if (table := _table(registry))]
    if inner:
        parts.append("```{toctree}\n:maxdepth: 1\n\n" + "\n".join(inner) + "\n```\n")
    for found in below:
        if not found.ispkg:
            module = importlib.import_module(f"{name}.{found.name}")
            parts += [f"## {found.name}\n", _automodule(module)]
    return "\n".join(parts)


def _front_door(library: ModuleType) -> str:
    """What `import diffusion_jax as dj` gives, linked to where it is described."""
    rows = []
    for name in library.__all__:
        value = getattr(library, name)
        if isinstance(value, ModuleType):
            rows.append(f"| {{py:mod}}`dj.{name} <{value.__name__}>` | {_summary(value)} |")
        elif not isinstance(value, str):
            path = f"{value.__module__}.{value.__qualname__}"
            rows.append(f"| {{py:obj}}`dj.{name} <{path}>` | {_summary(value)} |")
    return "\n".join(["| name | |\n|---|---|", *rows, ""])


def _title(name: str) -> str:
    """A package within the library without the library's name, which all have."""
    return name.removeprefix(f"{LIBRARY}.")


def _automodule(module: ModuleType) -> str:
    """The directive that documents what is defined in a module, not what it imports."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isroutine(value))
        and getattr(value, "__module__", "") == module.__name__
    ]
    members = f":members: {', '.join(own)}" if own else ":no-members:"
    return f"```{{eval-rst}}\n.. automodule:: {module.__name__}\n   {members}\n```\n"


def _registries(package: ModuleType) -> list[Any]:
    """The families whose members are in this package, one or none as a rule."""
    from diffusion_jax.registry import Registry

    found = [value for value in vars(package).values() if isinstance(value, Registry)]
    for module in _below(package):
        if not module.ispkg:
            values = vars(importlib.import_module(f"{package.__name__}.{module.name}")).values()
            found += [value for value in values if isinstance(value, Registry)]
    unique = {id(registry): registry for registry in found}.values()
    return [registry for registry in unique if _home(registry) == package.__name__]


def _home(registry: Any) -> str:
    """The package in which most members of a family are defined."""
    homes = [registry[name].__module__.rpartition(".")[0] for name in registry]
    return max(set(homes), key=homes.count) if homes else ""


def _table(registry: Any) -> str:
    """The members of a family: their names in configs, linked to what they are in Python."""
    rows = []
    for name in registry:
        member = registry[name]
        path = f"{member.__module__}.{member.__qualname__}"
        link = f"{{py:obj}}`{member.__name__} <{path}>`"
        rows.append(f"| `{name}` | {link} | {_summary(member)} |")
    head = f"**The family: {registry.family}.**\n\n| name in configs | in Python | |\n|---|---|---|"
    return "\n".join([head, *rows, ""])


def _summary(member: Any) -> str:
    first = (inspect.getdoc(member) or "").split("\n")[0]
    return re.sub(r"([*_|<\[])", r"\\\1", first)
