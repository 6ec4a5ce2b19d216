"""What a comparison must say before all else: which arms and samples have no numbers, and why."""

from collections.abc import Iterator, Mapping, Sequence

from diffusion_jax.inference.measure import Drawn
from diffusion_jax.metrics.heldout import HeldOut
from diffusion_jax.reports.content import DONE
from diffusion_jax.reports.formats import listed
from diffusion_jax.training.trained import TrainedArm, sound


def baseline(wanted: str, arms: Mapping[str, TrainedArm]) -> str:
    """The arm that others are held against, among those that did not diverge.

    The one that is wanted, else the first; where that one diverged, the next that did not.
    """
    left = sound(arms)
    return wanted if wanted in left else next(iter(left))


def warnings(
    wanted: str,
    arms: Mapping[str, TrainedArm],
    cells: Sequence[Drawn],
    held_out: Mapping[str, HeldOut],
) -> tuple[str, ...]:
    """A sentence or two for each arm that has no numbers, or not all.

    Args:
        wanted: the baseline that was asked for; "" for the first.
        arms: all that were trained.
        cells: samples of those that did not diverge.
        held_out: arm -> its errors on held-out pictures.
    """
    base = baseline(wanted, arms)
    return (
        *_diverged(arms, wanted or next(iter(arms)), base),
        *_without_samples(cells, base),
        *(
            f"{each.lost} of {each.count} held-out pictures of arm {name} have errors that are not "
            "finite: it has no number of them."
            for name, each in held_out.items()
            if each.lost
        ),
    )


def status(arm: TrainedArm, cells: Sequence[Drawn]) -> str:
    """What became of an arm: "done", or why it has no number somewhere."""
    if arm.diverged is not None:
        return f"diverged at step {arm.diverged:,}"
    lost = [f"{cell.lost:,} not finite with {_text(cell)}" for cell in cells if cell.lost]
    return listed(lost) if lost else DONE


def _text(cell: Drawn) -> str:
    return f"{cell.sampling.solver}, {cell.sampling.steps} steps"


def _diverged(arms: Mapping[str, TrainedArm], wanted: str, base: str) -> Iterator[str]:
    for name, arm in arms.items():
        if arm.diverged is not None:
            instead = f" The baseline is {base} in its place." if name == wanted else ""
            yield (
                f"Arm {name} diverged at step {arm.diverged} of its training: it was not sampled, "
                f"and has no number.{instead}"
            )


def _without_samples(cells: Sequence[Drawn], base: str) -> Iterator[str]:
    for name in dict.fromkeys(cell.arm for cell in cells if cell.lost):
        lost = [
            f"{cell.lost} of {len(cell.pictures)} with {_text(cell)}"
            for cell in cells
            if cell.arm == name and cell.lost
        ]
        compared = "and nothing is compared with it" if name == base else "nor a comparison"
        yield (
            f"Samples of arm {name} are not finite, {listed(lost)}: it has no number there, "
            f"{compared}."
        )
