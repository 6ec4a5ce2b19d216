"""What identifies a checkpoint, so that one of another run is refused."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from diffusion_jax.renamed import first_names
from diffusion_jax.runs.length import Trained
from diffusion_jax.runs.packing import digest
from diffusion_jax.runs.run import BEFORE, CHANGEABLE, Run, as_plain, decisive
from diffusion_jax.sealed import checksum


def identity(
    run: Run,
    arms: Mapping[str, Trained],
    step: int,
    teachers: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, str]:
    """All that decides the numbers of a run until a step: what it is called -> a checksum of it.

    Fields that say what is so without them do not count, so that a run stays the same when configs
    get new fields.

    Args:
        run: the run folder.
        arms: of its config.
        step: updates made.
        teachers: arm -> its teacher, with `.network.params`; not known where arms are only sampled.
    """
    before = dict(decisive(BEFORE))
    settings = {
        key: value
        for key, value in decisive(as_plain(run.config))
        if key not in CHANGEABLE and not (key in before and before[key] == value)
    }
    found = {
        "settings": checksum(dict(sorted(first_names(settings).items()))),
        "pictures or conditions": checksum([run.facts.shape, dict(run.facts.states)]),
    }
    if any(arm.depends_on_length(step) for arm in arms.values()):
        found["steps to go"] = checksum(run.config.training.steps)
    frozen = {name: arm.frozen_weights for name, arm in arms.items() if arm.frozen_weights}
    if frozen:
        found["released weights"] = checksum(dict(sorted(frozen.items())))
    if teachers:
        own = {name: digest(teacher.network.params) for name, teacher in teachers.items()}
        found["teachers"] = checksum(dict(sorted(own.items())))
    return found
