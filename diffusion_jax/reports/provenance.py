"""How a report was made, so that it can be made again."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Provenance:
    """All that is needed to run it again.

    Attributes:
        command: the command line that makes this report anew.
        revision: git revision, with a mark if the tree was changed.
        hardware: one line, e.g. "2 CPU cores (x86_64)".
        duration: wall-clock seconds of the whole run, None if unknown.
        seeds: what -> seed, e.g. {"training": 0, "sampling": 1}.
        versions: package -> version.
        config: the whole config as text.
        created: date and time, as text.
    """

    command: str
    revision: str
    hardware: str
    duration: float | None
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    config: str
    created: str
