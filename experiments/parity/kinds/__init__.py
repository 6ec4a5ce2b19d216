"""Kinds of models, a file each, with a `KIND`: found by being here."""

import importlib
import pkgutil

from experiments.parity.kind import Kind


def kinds() -> dict[str, Kind]:
    """All kinds by the names of their files."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    return {name: importlib.import_module(f"{__name__}.{name}").KIND for name in names}
