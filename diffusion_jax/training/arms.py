"""The arms of an experiment: what a config says, made into objects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.fewstep import FewStep, fewstep
from diffusion_jax.networks.autoencoders import autoencoders
from diffusion_jax.networks.score_network import build, make_conditioner
from diffusion_jax.process.objective import Objective, check_spread
from diffusion_jax.process.schedules import schedules
from diffusion_jax.published.pretrained import (
    RELEASED,
    is_released,
    pretrained_of,
    released_objective,
)
from diffusion_jax.published.text_encoder import ReleasedText as ReleasedText  # registers it
from diffusion_jax.registry import parse
from diffusion_jax.runs.fields import nearest_field
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.runs.written import written
from diffusion_jax.training.arm import NAME, Arm, few_step_objective
from diffusion_jax.training.autoencoding import (
    autoencoder_losses,
    autoencoder_objective,
    is_autoencoder,
)
from diffusion_jax.training.ema import averages
from diffusion_jax.training.few_steps import FewSteps, Teacher
from diffusion_jax.training.learned_schedule import check_learned
from diffusion_jax.training.optimizers import optimizers

OBJECTIVE = (
    *("schedule", "prediction", "time_sampler", "weighting", "sigma_data", "loss"),
    "preconditioning",
)
NETWORK = ("network", "conditioner")
FEW_STEPS = ("fewstep", "teacher", "teacher_guidance")
FIELDS = (*OBJECTIVE, *NETWORK, *FEW_STEPS, "start_from", "optimizer", "training.ema")
# What a few-step objective brings itself.
BROUGHT = ("schedule", "prediction", "time_sampler", "weighting", "loss", "preconditioning")
# What an autoencoder has no use for.
DENOISING = (
    *("schedule", "prediction", "time_sampler", "weighting", "sigma_data", "preconditioning"),
    *("conditioner", *FEW_STEPS),
)


def arm_settings(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Arm -> its fields; a config without arms has one, named after its schedule.

    Raises:
        UserError: an arm has a name that cannot be a folder's, or a field that arms do not have.
    """
    flat = {**config, **{f"training.{name}": value for name, value in config.training.items()}}
    base = {field: flat[field] for field in FIELDS}
    changes = arm_changes(config)
    named_by = "network" if is_autoencoder(config.network) else "schedule"
    named_by = "fewstep" if config.fewstep != "none" else named_by
    changes = changes or {parse(config[named_by], named_by).name: {}}
    made = {name: base | changed for name, changed in changes.items()}
    for name, settings in made.items():
        few = few_step(settings)
        if few is not None:
            check_brought(name, changes[name], few)
            settings |= dict.fromkeys(BROUGHT, "its own")
        elif is_autoencoder(settings["network"]):
            check_autoencoder(name, settings, changes[name])
    return made


def baseline_arm(config: ConfigDict) -> str:
    """The arm that others are compared to: the one that the config names, else the first.

    Raises:
        UserError: there is no such arm, or `arm_settings` finds a fault.
    """
    arms = arm_settings(config)
    return one_of(config.baseline or next(iter(arms)), arms, "baseline")


def few_step(settings: dict[str, Any]) -> FewStep | None:
    """The few-step objective of an arm with these settings, if it has one.

    Raises:
        UserError: its spec is wrong.
    """
    if settings["fewstep"] == "none":
        return None
    return fewstep.make(settings["fewstep"], sigma_data=settings["sigma_data"])


def check_brought(name: str, changed: Mapping[str, Any], objective: FewStep) -> None:
    """Raises UserError if an arm has settings of its own that its few-step objective overrules."""
    for field in sorted(changed.keys() & set(BROUGHT)):
        if field != "schedule" or schedules.make(changed[field]) != objective.schedule:
            raise UserError(
                f"Arm {name!r} has a {field} of its own, and so has its few-step objective: "
                "train another arm with the latter, such as --config.arms.few.fewstep=…"
            )


def check_autoencoder(name: str, settings: Mapping[str, Any], changed: Mapping[str, Any]) -> None:
    """Raises UserError if an autoencoder has settings that only a denoiser has a use for."""
    if settings["conditioner"] != "none":
        raise UserError(
            f"Arm {name!r} is an autoencoder, which reads no condition: set conditioner='none'."
        )
    for field in sorted(changed.keys() & set(DENOISING) - {"conditioner"}):
        raise UserError(f"Arm {name!r} is an autoencoder, which has no use for a {field}.")


def arm_changes(config: ConfigDict) -> dict[str, dict[str, Any]]:
    """Arm -> the fields that it changes, by their full names, and to what; as they were written.

    Raises:
        UserError: as `arm_settings` does.
    """
    return {name: _changes(name, changes) for name, changes in written(config.arms)}


def _changes(name: object, arm: ConfigDict) -> dict[str, Any]:
    """The fields that an arm changes, by their full names, and to what."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(
            f"An arm cannot be called {name!r}: its name is also a folder's, so it must be of "
            "letters, digits, - and _, 64 of them at most."
        )
    changed = {key: value for key, value in arm.items() if key != "training"}
    changed |= {f"training.{key}": value for key, value in arm.get("training", {}).items()}
    for field in changed:
        if field not in FIELDS:
            raise UserError(
                f"Arm {name!r} has no field {field!r}.{nearest_field(field, FIELDS)} "
                f"An arm may change: {', '.join(FIELDS)}."
            )
    return changed


def objectives(config: ConfigDict) -> dict[str, Objective]:
    """Arm -> its objective.

    Raises:
        UserError: a spec is wrong, or an arm's training times and schedule do not fit.
    """
    # Also where every arm replaces them: a wrong spec is found wherever it stands.
    if not is_autoencoder(config.network):
        _denoising({field: config[field] for field in (*OBJECTIVE, "network")})
    made = {name: _objective(settings) for name, settings in arm_settings(config).items()}
    for name, objective in made.items():
        try:
            check_spread(objective)
        except UserError as error:
            raise UserError(f"Arm {name!r}: {error}") from None
        check_learned(name, objective)
    return made


def _objective(settings: dict[str, Any]) -> Objective:
    few = few_step(settings)
    if few is not None:
        return few_step_objective(few, settings["sigma_data"])
    if is_autoencoder(settings["network"]):
        return autoencoder_objective()
    return _denoising(settings)


def _denoising(settings: Mapping[str, Any]) -> Objective:
    told = {field: settings[field] for field in OBJECTIVE}
    if RELEASED in told.values():
        return released_objective(settings["network"], told)
    return Objective.make(**told)


def make_arms(
    config: ConfigDict, facts: DataFacts, teachers: Mapping[str, Teacher] = MappingProxyType({})
) -> dict[str, Arm]:
    """Makes the arms of a config.

    Args:
        config: see `configs/base.py`.
        facts: of the data set.
        teachers: arm -> its teacher; those that are only sampled need none.

    Raises:
        UserError: a spec is wrong.
    """
    made = objectives(config)
    return {
        name: _arm(name, settings, made[name], config, facts, teachers.get(name))
        for name, settings in arm_settings(config).items()
    }


def _arm(
    name: str,
    settings: dict[str, Any],
    objective: Objective,
    config: ConfigDict,
    facts: DataFacts,
    teacher: Teacher | None,
) -> Arm:
    few, conditioner, spec = few_step(settings), settings["conditioner"], settings["network"]
    steps = config.training.steps
    parts = (
        optimizers.make(settings["optimizer"], steps=steps),
        averages.make(settings["training.ema"], batch_size=config.training.batch_size),
    )
    if few is None and is_autoencoder(spec):
        module = autoencoders.make(spec, dtype=config.training.dtype)
        loss = autoencoder_losses.make(settings["loss"])
        return Arm(name, loss, module, *parts, settings=settings)
    network = build(
        spec,
        "none"
        if conditioner == "none"
        else make_conditioner(conditioner, config.training.dtype).restored(facts.states),
        dtype=config.training.dtype,
        variance=objective.loss_function.variance,
        uncertain=objective.loss_function.uncertain,
        noise_inputs=2 if few is not None and few.tells_end else 1,
    )
    return Arm(
        name,
        objective,
        pretrained_of(spec, network) if is_released(spec) else network,
        *parts,
        None if few is None else FewSteps(few, steps, teacher),
        settings,
    )
