"""The trained networks that arms learn from, read from the run folders that a config names."""

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import FewStep
from diffusion_jax.parallel import devices
from diffusion_jax.process.predictions import determinant
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.sampling.guidance import Guidance, guidance
from diffusion_jax.training.arms import arm_settings, few_step
from diffusion_jax.training.few_steps import Teacher
from diffusion_jax.training.trained import TrainedArm, load_arm


def load_teachers(config: ConfigDict, facts: DataFacts, mesh: Mesh) -> dict[str, Teacher]:
    """Arm -> its teacher, on all devices of a mesh; arms that have none are left out.

    Raises:
        UserError: an arm needs a teacher and has none, or has one and no use for it; there is no
            such run, it has other pictures or words, or it cannot teach.
    """
    found, read = {}, {}
    for name, settings in arm_settings(config).items():
        objective, where = few_step(settings), settings["teacher"]
        _check_use(name, config, objective, where)
        if objective is not None and where:
            if where not in read:
                read[where] = load_arm(where, facts, "Teacher")
            _check_start(name, objective, read[where])
            steer = _guidance(settings["teacher_guidance"], where)
            own = read[where].network_denoiser
            found[name] = devices.replicate(jax.device_get(Teacher(own, steer)), mesh)
    return found


def _check_use(name: str, config: ConfigDict, objective: FewStep | None, where: str) -> None:
    teaches = objective is not None and objective.teaches
    if teaches and not where:
        raise UserError(
            f"Arm {name!r} learns from a teacher, and none is named: set --config.teacher to a "
            "run folder and an arm of it, such as runs/quickstart:edm."
        )
    asks = "teacher" in config.arms.get(name, {})
    useful = objective is not None and (objective.teaches or objective.inherits)
    if where and asks and not useful:
        raise UserError(f"Arm {name!r} has no use for a teacher: remove arms.{name}.teacher.")


def _check_start(name: str, objective: FewStep, teacher: TrainedArm) -> None:
    """Refuses a teacher that says nothing of the data where its student starts."""
    if not objective.teaches:
        return
    prediction = teacher.objective.prediction
    first = objective.schedule.level(jnp.asarray(objective.schedule.t_max, float))
    if float(determinant(first, prediction)) == 0:
        raise UserError(
            f"Arm {name!r} starts where no signal is left, of which its teacher's prediction "
            f"{type(prediction).__name__} says nothing: take one that predicts something else."
        )
    if not teacher.denoises:
        raise UserError(
            f"The teacher of arm {name!r} is a consistency function, and no denoiser to follow."
        )


def _guidance(spec: str, where: str) -> Guidance:
    """Guidance that acts on every evaluation by itself.

    Raises:
        UserError: it needs to know a sampler's run, or another network.
    """
    made = guidance.make(spec)
    try:
        made(lambda x, level, condition: x, {})
    except UserError as error:
        raise UserError(
            f"teacher_guidance {spec!r} cannot steer the teacher {where!r}: {error}"
        ) from error
    return made
