"""The trials of a sweep: every arm with every seed, each a whole config of its own."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, shown
from diffusion_jax.registry import canonical, parse
from diffusion_jax.renamed import first_names
from diffusion_jax.runs.data_spec import with_split
from diffusion_jax.runs.fields import SECTIONS, nearest_field
from diffusion_jax.runs.run import BEFORE, CHANGEABLE, as_plain, decisive, flat
from diffusion_jax.sweeps.sweep import Sweep
from diffusion_jax.training.arms import arm_changes

# Of a run as a whole: no arm can have its own. Nor can it have what changes no result.
FIXED = ("run_dir", "arms", "baseline")
# Results are filed under these as they were written.
AS_WRITTEN = ("sampling.solvers", "sampling.metrics")
# Fields that the first keys held even where they say what is so without them.
ALWAYS = (
    *("loss", "fewstep", "teacher", "teacher_guidance"),
    *(f"sampling.{name}" for name in BEFORE["sampling"]),
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """One arm with one training seed.

    Attributes:
        arm: name of the arm.
        changes: the fields that the sweep or the arm replaces, by full name.
        config: all its settings; it has no arms.
        kept_as: the key under which an earlier version kept its outcome, if one did.
    """

    arm: str
    changes: Mapping[str, Any]
    config: ConfigDict
    kept_as: str = ""

    @property
    def seed(self) -> int:
        """The training seed."""
        return int(self.config.seed)

    @property
    def training_key(self) -> str:
        """Names what is trained: trials with the same share the training."""
        return key_of(_named(training_settings(self.config)))

    @property
    def key(self) -> str:
        """Names what is trained and how it is sampled, and so its outcome."""
        return self.kept_as or key_of(_named(_settings(self.config)))

    @property
    def first_key(self) -> str:
        """What `key` was when specs were compared letter by letter."""
        named = _first_named(_settings(self.config))
        sampling = {k.partition(".")[2]: v for k, v in named.items() if k.startswith("sampling.")}
        training = {k: v for k, v in named.items() if not k.startswith("sampling.")}
        return key_of({**training, "sampling": sampling})


def training_settings(config: ConfigDict) -> dict[str, Any]:
    """The fields that the outcome of training depends on, its length included."""
    settings = dict(decisive(as_plain(config)))
    aside = {*CHANGEABLE, "arms"} - {"training.steps", "training.microbatches"}
    # So that what was measured on another split of a folder is not taken for this.
    settings["data"] = with_split(settings["data"], "pictures")
    return {key: value for key, value in settings.items() if key not in aside}


def _settings(config: ConfigDict) -> dict[str, Any]:
    """The fields that the outcome of a trial depends on."""
    sampling = flat({"sampling": as_plain(config)["sampling"]})
    return {**training_settings(config), **dict(sampling)}


def _named(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make a key: equal specs are equal, and fields at their defaults left out.

    So a field that is new, and says by default what was so without it, changes no key.
    """
    return {
        key: value if key in AS_WRITTEN else canonical(value)
        for key, value in first_names(_without_defaults(settings)).items()
    }


def _first_named(settings: Mapping[str, Any]) -> dict[str, Any]:
    always = {key: value for key, value in settings.items() if key in ALWAYS}
    return first_names({**_without_defaults(settings), **always})


def _without_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    before = canonical(dict(flat(json.loads(json.dumps(BEFORE)))))
    return {
        key: value
        for key, value in settings.items()
        if key not in before or canonical(value) != before[key]
    }


def key_of(settings: Mapping[str, Any]) -> str:
    """A short name of some settings.

    >>> key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_trials(config: ConfigDict, sweep: Sweep) -> tuple[Sweep, tuple[Trial, ...]]:
    """The trials of a sweep over a config.

    Args:
        config: see `configs/base.py`; its arms, if any, are one more axis.
        sweep: what differs.

    Returns:
        The sweep with all its arms, and a trial for each of its choices.

    Raises:
        UserError: a field that there is not, or that cannot differ between arms.
    """
    only = parse(config.schedule, "schedule").name
    whole = sweep.over(arm_changes(config), only, config.baseline)
    found = [Trial(c.name, c.changes, _replaced(config, c.changes)) for c in whole.choices]
    return whole, tuple(found)


def _replaced(config: ConfigDict, changes: Mapping[str, Any]) -> ConfigDict:
    changed = ConfigDict(config.to_dict())
    changed.arms, changed.baseline = ConfigDict(), ""
    shared = _shared(config)
    for field, value in changes.items():
        section, _, last = field.rpartition(".")
        holder = changed[section] if section in SECTIONS else None if section else changed
        if field in shared or not isinstance(holder, ConfigDict) or last not in holder:
            raise UserError(_unknown(field, config))
        # A single value of a field that takes several.
        several = isinstance(holder[last], tuple) and not isinstance(value, (tuple, list))
        try:
            holder[last] = (value,) if several else value
        except (TypeError, ValueError, OverflowError):
            kind = type(holder[last]).__name__
            raise UserError(
                f"The sweep sets {field} to {shown(value)}, which is not of type {kind}."
            ) from None
    return changed


def _shared(config: ConfigDict) -> set[str]:
    return {*FIXED, *CHANGEABLE} - training_settings(config).keys()


def _unknown(field: str, config: ConfigDict) -> str:
    if field in _shared(config):
        return f"A sweep cannot replace {field!r}, which all its arms share."
    known = [
        name if not isinstance(config[name], ConfigDict) else f"{name}.{inner}"
        for name in config
        if name not in FIXED
        for inner in (config[name] if isinstance(config[name], ConfigDict) else ("",))
    ]
    return f"The sweep replaces {field!r}, which no config has.{nearest_field(field, known)}"
