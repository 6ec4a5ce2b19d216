"""The conditioners of a config's arms, fit to its data set."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.data.dataset import Dataset
from diffusion_jax.networks.conditioners import Conditioner, conditioners
from diffusion_jax.networks.conditioners.base import check_agreement
from diffusion_jax.runs.run import DataFacts, Run
from diffusion_jax.training.arms import arm_settings, few_step


def data_facts(config: ConfigDict, data: Dataset) -> DataFacts:
    """What the networks of a config must know of its data set.

    Args:
        config: see `configs/base.py`.
        data: its data set.

    Raises:
        UserError: a spec is wrong, the data set has not what a conditioner reads, or two arms mean
            different things by one key of the condition.
    """
    parts = {name: made.fit(data) for name, made in _conditioners(config).items()}
    check_agreement(parts)
    return DataFacts.of(data, parts.values())


def arm_conditioners(config: ConfigDict) -> dict[str, Conditioner]:
    """Arm -> its conditioner, before it is fit; arms without one are left out."""
    return _made(arm_settings(config))


def _conditioners(config: ConfigDict) -> dict[str, Conditioner]:
    """Those of the arms and of their teachers, who are shown the same examples."""
    arms = arm_settings(config)
    found = {f"arm {name!r}": made for name, made in _made(arms).items()}
    taught = [settings for settings in arms.values() if _has_use_for_a_teacher(settings)]
    for where in {settings["teacher"]: None for settings in taught if settings["teacher"]}:
        folder, _, arm = where.partition(":")
        theirs = arm_settings(Run.load(folder).config)
        chosen = {arm: theirs[arm]} if arm in theirs else theirs
        found |= {f"teacher {where!r}": made for made in _made(chosen).values()}
    return found


def _has_use_for_a_teacher(settings: Mapping[str, Any]) -> bool:
    objective = few_step(dict(settings))
    return objective is not None and (objective.teaches or objective.inherits)


def _made(arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Conditioner]:
    return {
        name: conditioners.make(settings["conditioner"])
        for name, settings in arms.items()
        if settings["conditioner"] != "none"
    }
