"""What is run: models of each kind and trials of each model, drawn by one seed."""

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

from experiments.parity import schedulers
from experiments.parity.kind import Kind, NetworkKind, Options, PipelineKind
from experiments.parity.kinds import kinds

DTYPES = ("float32", "float64")
BOUNDS = {"float32": 1e-4, "float64": 1e-6}


@dataclasses.dataclass(frozen=True)
class ParityTrial:
    """One run of a model by both libraries.

    Attributes:
        dtype: of the computation.
        scheduler: what its file says; {} for a network by itself.
        guidance: scale, or None.
        steps: how many.
    """

    dtype: str
    scheduler: Options = dataclasses.field(default_factory=dict)
    guidance: float | None = None
    steps: int = 0


@dataclasses.dataclass(frozen=True)
class DrawnModel:
    """A model of random settings and parameters.

    Attributes:
        kind: its name.
        number: among those of its kind.
        seed: of all that is random in it.
        options: its settings.
        prompts: what it is asked for.
        trials: how it is run.
    """

    kind: str
    number: int
    seed: int
    options: Options
    prompts: tuple[str, ...]
    trials: tuple[ParityTrial, ...]

    @property
    def name(self) -> str:
        """Of its folder, and in tables."""
        return f"{self.kind}_{self.number}"


def drawn(
    seed: int, only: Sequence[str] = (), count: int = 0, dtypes: Sequence[str] = DTYPES
) -> list[DrawnModel]:
    """The models of a seed: other seeds give other ones.

    A model is the same whatever else is drawn.

    Args:
        seed: of all.
        only: names of kinds; none for all.
        count: models of each kind; 0 for what its kind has by default.
        dtypes: of the computation.

    >>> one, = drawn(0, ["unet2d"], 1)
    >>> one.name, one in drawn(0, (), 2), one in drawn(1, ["unet2d"], 1)
    ('unet2d_0', True, False)
    """
    known = kinds()
    return [
        _model(name, known[name], number, seed, dtypes)
        for name in only or known
        for number in range(count or default_count(known[name]))
    ]


def default_count(kind: Kind) -> int:
    """How many models of a kind are drawn: networks by themselves are quickly run."""
    return 4 if isinstance(kind, NetworkKind) else 1


def _model(name: str, kind: Kind, number: int, seed: int, dtypes: Sequence[str]) -> DrawnModel:
    pick = random.Random(f"{seed}/{name}/{number}")
    own, options = pick.randrange(2**31), kind.draw(pick)
    if isinstance(kind, NetworkKind):
        return DrawnModel(name, number, own, options, (), tuple(map(ParityTrial, dtypes)))
    prompts = tuple(kind.prompts(options, pick))
    return DrawnModel(name, number, own, options, prompts, tuple(_trials(kind, pick, dtypes)))


def _trials(kind: PipelineKind, pick: random.Random, dtypes: Sequence[str]) -> list[ParityTrial]:
    """Some schedulers with each guidance; the first of them, or all, in double precision too.

    So are those of which single precision leaves little, to know how little.
    """
    names, found = pick.sample(kind.schedulers, kind.each), []
    for i, name in enumerate(names):
        settings, steps = schedulers.draw(name, pick), pick.choice(schedulers.STEPS)
        for k, guidance in enumerate(kind.guidance):
            twice = kind.doubled or schedulers.lossy(settings)
            twice |= i == 0 and k == len(kind.guidance) - 1
            found += [
                ParityTrial(dtype, settings, guidance, steps)
                for dtype in dtypes
                if dtype == "float32" or twice
            ]
    return found


def to_json(models: Sequence[DrawnModel]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [dataclasses.asdict(model) for model in models]


def from_json(told: Sequence[dict[str, Any]]) -> list[DrawnModel]:
    """What `to_json` gave."""
    return [
        DrawnModel(
            **each
            | {
                "prompts": tuple(each["prompts"]),
                "trials": tuple(ParityTrial(**trial) for trial in each["trials"]),
            }
        )
        for each in told
    ]
