"""The fields that a config has: those of `configs/base.py`, each with its type."""

from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from configs import base
from diffusion_jax.annotations import fits, in_words
from diffusion_jax.errors import UserError, nearest


def fields(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """The full names of all fields, such as "training.steps"."""
    for key, value in config.items():
        if isinstance(value, ConfigDict) and len(value):
            yield from fields(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def nearest_field(field: str, known: Sequence[str]) -> str:
    """Returns a hint at the field most like `field`, or an empty string if none is close.

    >>> nearest_field("steps", ["seed", "training.steps"])
    " Did you mean 'training.steps'?"
    """
    # Perhaps the right name in the wrong place: `steps` for `training.steps`.
    last = {key.rpartition(".")[2]: key for key in known}
    found = last.get(field.rpartition(".")[2])
    return f" Did you mean {found!r}?" if found else nearest(field, known)


def check(config: ConfigDict, where: str) -> None:
    """Checks that a config has the fields of `configs/base.py` and no others, each of its type.

    Args:
        config: the config.
        where: where it was written, for the message.

    Raises:
        UserError: a field is unknown, missing or of the wrong type.
    """
    _check(config, base.get_config(), where, "")
    for name, changes in config.arms.items():
        if not isinstance(changes, ConfigDict):
            raise UserError(
                f"{where}: arms.{name} must name the fields it changes, such as "
                f"{{'schedule': 'edm'}}, not {changes!r}."
            )
        _check_changes(changes, base.get_config(), where, f"arms.{name}.")


def _check(config: ConfigDict, model: ConfigDict, where: str, prefix: str) -> None:
    for key in config:
        if key not in model:
            hint = nearest_field(f"{prefix}{key}", list(fields(base.get_config())))
            raise UserError(f"{where}: unknown config field {f'{prefix}{key}'!r}.{hint}")
    for key, right in model.items():
        field = f"{prefix}{key}"
        if key not in config:
            raise UserError(f"{where}: the field {field!r} is missing; start from configs/base.py.")
        _check_type(config[key], right, where, field)
        if isinstance(right, ConfigDict) and field != "arms":
            _check(config[key], right, where, f"{field}.")


def _check_changes(changes: ConfigDict, model: ConfigDict, where: str, prefix: str) -> None:
    """Checks the types of those fields that there are; others are refused where arms are made."""
    for field in set(changes) & set(model):
        _check_type(changes[field], model[field], where, f"{prefix}{field}")
        if isinstance(model[field], ConfigDict):
            _check_changes(changes[field], model[field], where, f"{prefix}{field}.")


def _check_type(value: Any, right: Any, where: str, field: str) -> None:
    """Raises UserError unless `value` is of the type of `right`; all of a tuple's items alike."""
    if isinstance(right, ConfigDict):
        fitting, words = isinstance(value, ConfigDict), "a ConfigDict"
    else:
        wanted = _wanted(right)
        fitting, words = fits(value, wanted), in_words(wanted, "")
    if not fitting:
        raise UserError(f"{where}: {field} must be {words}, not {value!r}.")


def _wanted(right: Any) -> Any:
    """The type of a field, by its default; a tuple that may be empty is one of steps."""
    if not isinstance(right, tuple):
        return type(right)
    item: Any = type(right[0]) if right else int
    return tuple[item, ...]
