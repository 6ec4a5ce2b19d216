"""Fields that were given and that no arm has a use for: they are refused, not ignored."""

from collections.abc import Collection, Iterable
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import FewStep
from diffusion_jax.process.schedules import schedules
from diffusion_jax.training.arms import BROUGHT, DENOISING, arm_settings, few_step
from diffusion_jax.training.autoencoding import is_autoencoder

UNSET = {"teacher": "", "teacher_guidance": "none"}


def refuse_idle(configs: Iterable[ConfigDict], written: Collection[str] = ()) -> None:
    """Checks that what was given is of use to an arm.

    Args:
        configs: see `configs/base.py`; it suffices that an arm of one of them uses a field.
        written: full names of the fields that were given, where that is known. A teacher and its
            guidance are taken for given wherever there is one.

    Raises:
        UserError: no arm uses a field, or an arm's spec is wrong.
    """
    idle = [_idle_fields(config, written) for config in configs]
    for field, message in idle[0].items():
        if all(field in others for others in idle):
            raise UserError(message)


def _idle_fields(config: ConfigDict, written: Collection[str]) -> dict[str, str]:
    """Those that were given and no arm uses, and why, in a line."""
    arms = [(settings, few_step(settings)) for settings in arm_settings(config).values()]
    given = {*written, *(field for field, unset in UNSET.items() if config[field] != unset)}
    found = {}
    for field in sorted(given):
        why = _idle(field, config)
        if why and not any(_uses(field, config, settings, few) for settings, few in arms):
            found[field] = f"{field}={config[field]!r} would change nothing: {why}."
    return found


def _idle(field: str, config: ConfigDict) -> str:
    """Why no arm might have a use for a field; empty for those that all arms use."""
    arms = arm_settings(config).values()
    if field in DENOISING and all(is_autoencoder(settings["network"]) for settings in arms):
        return "every arm is an autoencoder"
    if field in BROUGHT:
        return "every arm has a few-step objective, which brings its own"
    if field == "teacher":
        return "no arm has a few-step objective that learns from a teacher or starts as one"
    if field == "teacher_guidance":
        return "no arm learns from a teacher"
    if field == "training.caption_dropout" and config.training.caption_dropout:
        return "no arm reads captions or labels (conditioner='none')"
    return ""


def _uses(field: str, config: ConfigDict, settings: dict[str, Any], few: FewStep | None) -> bool:
    if field == "training.caption_dropout":
        return bool(settings["conditioner"] != "none")
    if field in DENOISING and is_autoencoder(settings["network"]):
        return False
    if field in BROUGHT:
        return few is None or (
            field == "schedule" and schedules.make(config.schedule) == few.schedule
        )
    learns = few is not None and few.teaches
    if field == "teacher":
        return learns or (few is not None and few.inherits)
    return learns and bool(settings["teacher"])
