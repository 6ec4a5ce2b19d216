"""Loads configs: from Python files, whose errors are reported in one line, and from run folders."""

import difflib
import importlib.util
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.files import user_path
from diffusion_jax.runs.fields import check_fields

if TYPE_CHECKING:
    from diffusion_jax.sweeps import Sweep

T = TypeVar("T")

MAKE_ONE = " A run folder is made by python -m experiments.train or .compare."


def load_config(name: str) -> ConfigDict:
    """Loads a config.

    Args:
        name: a Python file with `get_config()`, `FILE.py:argument` for `get_config(argument)`, or
            a run folder.

    Raises:
        UserError: there is none, its file has an error, or it is not a config as
            `configs/base.py` is one.
    """
    is_run = os.path.isdir(os.path.expanduser(name))
    config = _from_run(name) if is_run else _from_file(*name.partition(":")[::2])
    check_fields(config, name)
    return config


def load_sweep(path: str) -> "Sweep":
    """Loads a sweep: the `get_sweep()` of a Python file.

    Raises:
        UserError: there is none, its file has an error, or it gives no sweep.
    """
    from diffusion_jax.sweeps import Sweep

    name, _, argument = path.partition(":")
    file = user_path(name)
    get_sweep = getattr(_import_file(file), "get_sweep", None)
    if not callable(get_sweep):
        raise UserError(f"Sweep file {name} does not define get_sweep().")
    sweep = _guarded(file, get_sweep, *([argument] if argument else []))
    if not isinstance(sweep, Sweep):
        kind = type(sweep).__name__
        raise UserError(f"Sweep file {name}: get_sweep() must return a Sweep, not {kind}.")
    return sweep


def _from_run(folder: str) -> ConfigDict:
    from diffusion_jax.runs.run import Run  # imports JAX

    saved = Run.load(folder).config
    saved.run_dir = str(user_path(folder))
    return saved


def _from_file(path: str, argument: str) -> ConfigDict:
    file = user_path(path)
    get_config = getattr(_import_file(file), "get_config", None)
    if not callable(get_config):
        raise UserError(f"Config file {path} does not define get_config().")
    config = _guarded(file, get_config, *([argument] if argument else []))
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"Config file {path}: get_config() must return a ConfigDict, not {kind}.")
    return config


def _import_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(_nothing_there(path))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UserError(f"Config file {path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    _guarded(path, spec.loader.exec_module, module)
    return module


def _nothing_there(path: Path) -> str:
    found = {file.name: file for file in path.parent.glob("*.py")} if path.parent.is_dir() else {}
    close = difflib.get_close_matches(path.name, found, n=1)
    hint = f" Did you mean '{found[close[0]]}'?" if close else ""
    what = "config file" if path.suffix == ".py" else "config file or run folder"
    return f"No {what} {path}.{hint}{'' if path.suffix else MAKE_ONE}"


def _guarded(path: Path, work: Callable[..., T], *arguments: object) -> T:
    """Runs what a config file says; an error in it is its author's mistake, not our fault."""
    try:
        return work(*arguments)
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        message = f"Config file {_place(path, error)}: {kind}: {_reason(error)}"
        raise UserError(message) from error


def _place(path: Path, error: BaseException) -> str:
    """The file, and the line in it if one is to blame."""
    if isinstance(error, SyntaxError):
        return f"{error.filename or path}, line {error.lineno}" if error.lineno else str(path)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}, line {lines[-1]}" if lines else str(path)


def _reason(error: BaseException) -> str:
    """What an error says; ConfigDict wraps one in another."""
    if isinstance(error, SyntaxError):
        return str(error.msg)
    inner = error.args[0] if error.args else ""
    return _reason(inner) if isinstance(inner, BaseException) else str(inner)
