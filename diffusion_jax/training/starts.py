"""Training that starts from what another run has learnt."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jaxtyping import PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.runs.packing import digest
from diffusion_jax.runs.run import DataFacts
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.learned_schedule import of_network
from diffusion_jax.training.trained import TrainedArm, load_arm


@dataclasses.dataclass(frozen=True)
class Start:
    """Where an arm starts.

    Attributes:
        params: of its network.
        source: JSON-able, whose they are: run and arm, step, and a checksum.
    """

    params: PyTree[Any]
    source: dict[str, Any]


def load_starts(arms: Mapping[str, Arm], facts: DataFacts) -> dict[str, Start]:
    """Arm -> where it starts, for those whose `start_from` names an arm of another run.

    These are the averaged parameters of that arm's network. The optimizer, the average and a
    schedule that is learned start anew.

    Args:
        arms: of the config.
        facts: of the data set.

    Raises:
        UserError: there is no such run or arm, or its network, pictures or words are others.
    """
    read: dict[str, TrainedArm] = {}
    found = {}
    for name, arm in arms.items():
        where = arm.settings["start_from"]
        if not where:
            continue
        if arm.pretrained is not None and arm.pretrained.adapter is not None:
            raise UserError(
                f"Arm {name!r} trains a part of {arm.pretrained.source}, and cannot start from "
                f"{where!r} as well: export that run, and name what is written as the released "
                "network."
            )
        if where not in read:
            read[where] = load_arm(where, facts, "start_from")
        source = read[where]
        if source.arm.network != arm.network:
            raise UserError(
                f"Arm {name!r} cannot start from {where!r}, whose network is another: "
                f"{_described(source.arm)} there, {_described(arm)} here."
            )
        params = of_network(source.params)
        origin = {"start_from": where, "step": source.step, "weights": digest(params)}
        found[name] = Start(params, origin)
    return found


def _described(arm: Arm) -> str:
    settings = arm.settings
    return (
        f"{settings['network']} with conditioner {settings['conditioner']} and loss "
        f"{settings['loss']}"
    )
