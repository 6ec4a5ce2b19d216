"""The fields that a config has, those of `configs/base.py`, and what each may hold."""

from collections.abc import Iterator, Sequence
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.annotations import fits, in_words
from diffusion_jax.errors import UserError, is_finite, nearest, shown
from diffusion_jax.renamed import FIELDS, hint

TYPES: dict[str, Any] = {
    **dict.fromkeys(("run_dir", "data", "network", "conditioner", "schedule", "prediction"), str),
    **dict.fromkeys(
        ("time_sampler", "weighting", "loss", "fewstep", "teacher", "teacher_guidance"), str
    ),
    **dict.fromkeys(("start_from", "optimizer", "baseline", "preconditioning"), str),
    "seed": int,
    "flip": bool,
    "sigma_data": float,
    **dict.fromkeys(("training.dtype", "training.ema", "training.execution"), str),
    "training.diverged": str,
    **dict.fromkeys(("training.steps", "training.batch_size", "training.microbatches"), int),
    "training.workers": int,
    **dict.fromkeys(("training.log_every", "training.checkpoint_every", "training.keep"), int),
    "training.keep_steps": tuple[int, ...],
    "training.caption_dropout": float,
    **dict.fromkeys(("sampling.solvers", "sampling.metrics"), tuple[str, ...]),
    "sampling.steps": tuple[int, ...],
    **dict.fromkeys(("sampling.grid", "sampling.guidance", "sampling.threshold"), str),
    **dict.fromkeys(("sampling.operator", "sampling.posterior"), str),
    **dict.fromkeys(("sampling.count", "sampling.judged_count", "sampling.batch_size"), int),
}
SECTIONS = ("training", "sampling")
MOST_ARMS = 1000


def check_fields(config: ConfigDict, where: str = "The config") -> None:
    """Checks that a config has all its fields and no others, each of its type.

    Args:
        config: see `configs/base.py`.
        where: where it was written, for the message.

    Raises:
        UserError: it is no config, a field is unknown, missing or of the wrong type, or there are
            more arms than can be trained.
    """
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"{where} is a {kind}; start from the ConfigDict of configs/base.py.")
    for section in (*SECTIONS, "arms"):
        _check_section(config, section, where, section)
    _check_names(config, where)
    for field, wanted in TYPES.items():
        if not _has(config, field):
            raise UserError(f"{where}: the field {field!r} is missing; start from configs/base.py.")
        _check_value(config[field], wanted, where, field)
    if len(config.arms) > MOST_ARMS:
        raise UserError(f"{where} has {len(config.arms):,} arms; a run has at most {MOST_ARMS:,}.")
    for name, changes in config.arms.items():
        _check_arm(name, changes, where)


def fields(config: ConfigDict, prefix: str = "") -> Iterator[str]:
    """The full names of all fields, such as "training.steps"."""
    for key, value in config.items():
        if isinstance(value, ConfigDict) and len(value):
            yield from fields(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def nearest_field(field: str, known: Sequence[str]) -> str:
    """Returns a hint at the field most like `field`, or at its new name; else an empty string.

    >>> nearest_field("steps", ["seed", "training.steps"])
    " Did you mean 'training.steps'?"
    """
    own = field.rpartition(".")[2]
    if own in FIELDS:
        return hint(own, FIELDS)
    # Perhaps the right name in the wrong place: `steps` for `training.steps`.
    last = {key.rpartition(".")[2]: key for key in known}
    found = last.get(own)
    return f" Did you mean {found!r}?" if found else nearest(field, known)


def _has(config: ConfigDict, field: str) -> bool:
    section, _, last = field.rpartition(".")
    return last in (config.get(section, {}) if section else config)


def _check_section(holder: ConfigDict, section: str, where: str, name: str) -> None:
    if section not in holder:
        raise UserError(f"{where}: the field {name!r} is missing; start from configs/base.py.")
    if not isinstance(holder[section], ConfigDict):
        raise UserError(f"{where}: {name} must be a ConfigDict, not {shown(holder[section])}.")


def _check_names(config: ConfigDict, where: str) -> None:
    inner = (f"{section}.{key}" for section in SECTIONS for key in config[section])
    for field in (*(key for key in config if key not in (*SECTIONS, "arms")), *inner):
        if field not in TYPES:
            hint = nearest_field(str(field), sorted(TYPES))
            raise UserError(f"{where}: unknown config field {field!r}.{hint}")


def _check_arm(name: object, changes: object, where: str) -> None:
    """Checks the types of those fields that there are; others are refused where arms are made."""
    if not isinstance(changes, ConfigDict):
        raise UserError(
            f"{where}: arms.{name} must name the fields it changes, such as "
            f"{{'schedule': 'edm'}}, not {shown(changes)}."
        )
    for section in set(SECTIONS) & set(changes):
        _check_section(changes, section, where, f"arms.{name}.{section}")
    for field, wanted in TYPES.items():
        if _has(changes, field):
            _check_value(changes[field], wanted, where, f"arms.{name}.{field}")


def _check_value(value: object, wanted: object, where: str, field: str) -> None:
    if not fits(value, wanted):
        raise UserError(f"{where}: {field} must be {in_words(wanted, '')}, not {shown(value)}.")
    numbers = value if isinstance(value, tuple) else (value,)
    if not all(is_finite(number) for number in numbers if isinstance(number, (int, float))):
        raise UserError(f"{where}: {field} must be finite, not {shown(value)}.")
