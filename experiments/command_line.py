"""Reads a command line: which config, which of its fields are overridden, and what is wrong."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from configs import base
from diffusion_jax.errors import UserError, nearest
from experiments import config_fields
from experiments.config_fields import fields, nearest_field
from experiments.config_files import load_config

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
    rest, name = _split_config(words)
    config = load_config(name or default)
    for word in rest:
        if match := OVERRIDE.match(word):
            _check_field(config, match[1], name or default)
    config_flags.DEFINE_config_dict("config", config, sys_argv=rest)
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
        message = " ".join(str(error).split()).replace(" ?", "?")
        raise UserError(f"{message}{'' if message.endswith('?') else '.'} See --help.") from error
    if len(rest) > 1:
        raise UserError(f"Unexpected word {rest[1]!r}: options start with --. See --help.")
    config_fields.check(flags.FLAGS["config"].value, "The command line")
    return list(rest)


def _wrong_value(message: str) -> str:
    """Says for a field of the config which type it needs; absl's own words for other flags."""
    match = re.match(r"flag --config\.([^=]+)=(.*?): ", message)
    if match is None:
        return " ".join(message.split())
    field, given = match.groups()
    value = _value(flags.FLAGS["config"].value, field)
    kind = "dict" if isinstance(value, dict) else type(value).__name__
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
        _refuse_idle(config, field)
        return
    top, _, rest = field.partition(".")
    arm, _, changed = rest.partition(".")
    section, _, _ = changed.rpartition(".")
    base_holder = _section(config, section)
    # A name that is nearly that of an arm is a slip; any other is that of a further arm.
    meant = arm in config.arms or not nearest(arm, config.arms)
    if top == "arms" and meant and base_holder is not None and last in base_holder:
        with config.unlocked():
            if arm not in config.arms:
                config.arms[arm] = ConfigDict()
            config.arms[arm].update_from_flattened_dict({changed: base_holder[last]})
        return
    known = list(fields(config))
    raise UserError(
        f"Unknown config field --config.{field} in {name}.{nearest_field(field, known)} "
        "See --help for all fields."
    )


def _section(config: ConfigDict, path: str) -> ConfigDict | None:
    """The part of a config at a path such as "training"; None if there is none."""
    holder: Any = config
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
