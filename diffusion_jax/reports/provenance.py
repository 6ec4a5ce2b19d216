"""How a report was made, so that it can be made again."""

import dataclasses
import datetime
import shlex
import sys
from collections.abc import Mapping

from diffusion_jax.inference.measure import SAMPLING
from diffusion_jax.reports import formats
from diffusion_jax.runs import environment


@dataclasses.dataclass(frozen=True)
class Provenance:
    """All that is needed to run it again.

    Attributes:
        command: the command line that makes this report anew.
        config: the whole config as text.
        facts: what -> how: date, hardware, revision, duration, seeds, versions.
    """

    command: str = ""
    config: str = ""
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)


def provenance(
    seconds: float, seed: int, command: str | None = None, config: str = ""
) -> Provenance:
    """How a comparison was made, here and now.

    Args:
        seconds: that it took.
        seed: of the training.
        command: that makes it again; None for the program that runs.
        config: as text.
    """
    here = environment.describe()
    git, hardware = here["git"] or {"revision": "unknown", "modified": False}, here["hardware"]
    devices = f"{hardware['devices']} {hardware['device_kind']} device(s)"
    facts = {
        "Created": datetime.datetime.now().isoformat(" ", "minutes"),
        "Hardware": f"{devices}, {hardware['processor']}",
        "Revision": git["revision"][:12] + (" with changes" if git["modified"] else ""),
        "Duration": formats.duration(seconds),
        "Seed, training": str(seed),
        "Seed, sampling": str(seed + SAMPLING),
        "Versions": ", ".join(f"{name} {v}" for name, v in here["versions"].items()),
    }
    program = shlex.join(["python", *sys.argv]) if command is None else command
    return Provenance(program, config, facts)
