"""Reads a command line: which config, which of its fields are overridden, and what is wrong."""

import keyword
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_origin

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import base
from diffusion_jax.errors import UserError, nearest
from diffusion_jax.runs.fields import TYPES, check_fields, fields, nearest_field
from experiments import tuples
from experiments.config_files import load_config

# Fields that take several values.
SEVERAL = tuple(field for field, wanted in TYPES.items() if get_origin(wanted) is tuple)
OVERRIDE = re.compile(r"--?(?:no)?config\.([^=]*)")


def read(words: Sequence[str], default: str) -> tuple[list[str], ConfigDict]:
    """Loads the config that a command line names, and declares its fields as flags.

    Args:
        words: the command line, program first.
        default: the config file or run folder used if it names none.

    Returns:
        The command line without `--config=...`, for `parse`; and the config, which `parse` will
        change.

    Raises:
        UserError: no such config, or a field that it does not have.
    """
    rest, name = _split_config(_with_files(words))
    config = load_config(name or default)
    rest = tuples.joined(rest, SEVERAL)
    for word in rest:
        if match := OVERRIDE.match(word):
            _check_field(config, match[1], name or default)
    try:
        config_flags.DEFINE_config_dict("config", config, sys_argv=rest)
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(_in_a_line(error)) from error
    return rest, flags.FLAGS["config"].value


def parse(words: Sequence[str]) -> list[str]:
    """Parses all flags.

    Raises:
        UserError: an unknown flag, a value of the wrong type, or a word that is no flag.
    """
    try:
        rest = flags.FLAGS(words)
    except flags.IllegalFlagValueError as error:
        raise UserError(_wrong_value(str(error))) from error
    except (flags.Error, TypeError, ValueError) as error:
        raise UserError(_in_a_line(error)) from error
    except (RecursionError, MemoryError) as error:
        raise UserError(
            "A value on the command line has too many brackets or signs in it."
        ) from error
    if len(rest) > 1:
        raise UserError(f"Unexpected word {rest[1]!r}: options start with --. See --help.")
    check_fields(flags.FLAGS["config"].value, "The command line")
    return list(rest)


def overridden() -> tuple[str, ...]:
    """Full names of the fields that the command line gives."""
    if "config" not in flags.FLAGS:  # no command line has been read
        return ()
    return tuple(config_flags.get_override_values(flags.FLAGS["config"]))


def _in_a_line(error: Exception) -> str:
    message = " ".join(str(error).split()).replace(" ?", "?")
    return f"{message}{'' if message.endswith('?') else '.'} See --help."


def _with_files(words: Sequence[str]) -> list[str]:
    """A command line with what its `--flagfile=FILE` say in their places."""
    try:
        return list(flags.FLAGS.read_flags_from_files(list(words), force_gnu=False))
    except (flags.Error, OSError, ValueError) as error:
        raise UserError(f"--flagfile: {_in_a_line(error)}") from error


def _wrong_value(message: str) -> str:
    """Says for a field of the config which type it needs; absl's own words for other flags."""
    match = re.match(r"flag --config\.([^=]+)=(.*?): ", message)
    if match is None:
        return " ".join(message.split())
    field, given = match.groups()
    value = _value(flags.FLAGS["config"].value, field)
    kind = "dict" if isinstance(value, dict) else type(value).__name__
    given = given if len(given) <= 100 else f"{given[:100]}…"
    return f"--config.{field}={given} is not of type {kind}; its value here is {value!r}."


def _split_config(words: Sequence[str]) -> tuple[list[str], str | None]:
    """Takes `--config=NAME` or `--config NAME` out of a command line."""
    rest, name, waiting = [], None, False
    for word in words:
        if waiting:
            name, waiting = word, False
        elif word in ("--config", "-config"):
            waiting = True
        elif word.startswith(("--config=", "-config=")):
            name = word.split("=", 1)[1]
        else:
            rest.append(word)
    if waiting or name == "":
        raise UserError("--config needs a config file, e.g. --config=configs/quickstart.py")
    return rest, name


def _check_field(config: ConfigDict, field: str, name: str) -> None:
    """Raises UserError unless `field`, e.g. "training.steps", may be overridden.

    A field that an arm takes from the base config may be overridden for the arm too.
    """
    parent, _, last = field.rpartition(".")
    holder = _section(config, parent)
    if holder is not None and last in holder:
        if field.startswith("arms."):
            _check_name(field.split(".")[1])
        _refuse_idle(config, field)
        return
    top, _, rest = field.partition(".")
    arm, _, changed = rest.partition(".")
    # A name that is nearly that of an arm is a slip; any other is that of a further arm.
    meant = arm in config.arms or not nearest(arm, config.arms)
    if top == "arms" and meant and changed in _of_arms():
        _check_name(arm)
        _add_to_arm(config, arm, changed)
        return
    known = list(fields(config))
    raise UserError(
        f"Unknown config field --config.{field} in {name}.{nearest_field(field, known)} "
        "See --help for all fields."
    )


def _check_name(arm: str) -> None:
    """Raises UserError unless a flag can name an arm of that name."""
    if not arm.isidentifier() or keyword.iskeyword(arm):
        raise UserError(
            f"An arm called {arm!r} cannot be set on a command line, where arms are called by "
            "letters, digits and _, and by no word of Python: write it into a config file."
        )


def _of_arms() -> tuple[str, ...]:
    """The fields that an arm may have of its own."""
    from diffusion_jax.training.arms import FIELDS  # imports JAX

    return FIELDS


def _add_to_arm(config: ConfigDict, arm: str, field: str) -> None:
    """Gives an arm a field of its own, which a flag is to change; the arm too, if there is none."""
    section, _, last = field.rpartition(".")
    with config.unlocked():
        holder = config.arms
        for name in (arm, section) if section else (arm,):
            if name not in holder:
                holder[name] = ConfigDict()
            holder = holder[name]
        holder[last] = config[field]


def _section(config: ConfigDict, path: str) -> ConfigDict | None:
    """The part of a config at a path such as "training"; None if there is none."""
    holder: ConfigDict | None = config
    for part in path.split(".") if path else ():
        holder = holder[part] if isinstance(holder, ConfigDict) and part in holder else None
    return holder if isinstance(holder, ConfigDict) else None


def _refuse_idle(config: ConfigDict, field: str) -> None:
    """Raises UserError if every arm replaces the field, so that changing it would do nothing."""
    arms = list(config.get("arms", ()))
    if arms and all(field in config.arms[name] for name in arms):
        raise UserError(
            f"Every arm has its own {field!r}, so --config.{field} would change nothing: "
            f"use --config.arms.{arms[0]}.{field}, or a config without arms."
        )


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether a command line asks what the command does."""
    return any(word in ("-h", "-help", "--help", "--helpfull", "--helpshort") for word in words)


def help_text(words: Sequence[str], default: str) -> str:
    """What a command does, its own flags, and the fields of its config with their values."""
    _, name = _split_config(words)
    shown = name or default
    if name is None and not Path(default).exists():  # help is given wherever one stands
        shown, config = "configs/base.py", base.get_config()
    else:
        config = load_config(shown)
    main = sys.modules["__main__"]
    own = flags.FLAGS.get_key_flags_for_module(main)
    lines = [
        (main.__doc__ or "").strip(),
        "",
        "Options:",
        f"  --config={name or default}",
        "      a config file, or a run folder to take the config from",
        *(line for flag in own for line in _describe(flag)),
        "",
        f"Fields of {shown}, each overridden by --config.FIELD=VALUE:",
        *(f"  --config.{field}={_value(config, field)!r}" for field in fields(config)),
    ]
    return "\n".join(lines)


def _describe(flag: flags.Flag) -> list[str]:
    return [f"  --{flag.name}={flag.default!r}", f"      {flag.help}"]


def _value(config: ConfigDict, field: str) -> object:
    value = config
    for part in field.split("."):
        value = value[part]
    return value.to_dict() if isinstance(value, ConfigDict) else value
