"""All arms of a run on their way: groups of them, and their states."""

from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from diffusion_jax.training.arrange import arrange
from diffusion_jax.training.draws import Draws
from diffusion_jax.training.groups import Batch, Group, States
from diffusion_jax.training.memory import check_steps
from diffusion_jax.training.program import Program
from diffusion_jax.training.step import Metrics


class Team:
    """Steps all arms of a run, however each group of them is executed.

    Args:
        program: the arms.
        groups: of all arms.
        states: arm -> state; must not be used afterwards.
    """

    def __init__(self, program: Program, groups: list[Group], states: States):
        self._program, self._groups = program, groups
        self._joined: list[PyTree[Any]] = [group.join(states) for group in groups]

    @staticmethod
    def gather(
        program: Program, states: States, batch: Batch, draws: Draws, folder: Path | None
    ) -> "Team":
        """Makes the groups that the program's options ask for, see `arrange`.

        Raises:
            TooLarge: a step does not fit into memory.
        """
        chosen = arrange(program, states, batch, draws, folder)
        team = Team(program, [group for each in chosen for group in each.groups(program)], states)
        targets = {name: program.targets[name](draws.u) for name in program.arms}
        check_steps(team._groups, team._joined, batch, draws, targets)
        return team

    def update(self, batch: Batch, draws: Draws, dropped: frozenset[str]) -> dict[str, Metrics]:
        """One step of every arm but those dropped; arm -> metrics."""
        metrics: dict[str, Metrics] = {}
        for i, group in enumerate(self._groups):
            names = [name for name in group.names if name not in dropped]
            if names:
                targets = {name: self._program.targets[name](draws.u) for name in group.names}
                self._joined[i], found = group.update(
                    self._joined[i], batch, draws, targets, dropped
                )
                metrics |= found
        return {name: metrics[name] for name in self._program.arms if name in metrics}

    def states(self) -> States:
        """Arm -> state, in the order of the config."""
        found: States = {}
        for group, joined in zip(self._groups, self._joined, strict=True):
            found |= group.split(joined)
        return {name: found[name] for name in self._program.arms}
