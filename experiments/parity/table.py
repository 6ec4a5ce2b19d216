"""Tables of what was measured: on a terminal, and as a page."""

from collections.abc import Mapping, Sequence

from experiments import plain
from experiments.parity.plan import BOUNDS, ParityTrial
from experiments.parity.verdict import FACTOR, FAILED, ROUNDED, ComparedTrial, passes

COLUMNS = ("model", "scheduler", "guidance", "dtype", "latents, each step", "others", "verdict")
WIDTH = 160  # characters of a line, at least


def cells(found: ComparedTrial) -> tuple[str, ...]:
    """A row of the table."""
    trial, others = found.trial, dict(found.differences)
    latents = others.pop("latents", [])
    listed = ", ".join(f"{name} {max(values):.0e}" for name, values in sorted(others.items()))
    return (
        f"{found.model.kind} {found.model.number}",
        scheduler(trial),
        "off" if trial.guidance in (None, 1.0) else f"{trial.guidance:g}",
        trial.dtype,
        " ".join(f"{value:.0e}" for value in latents),
        listed,
        f"{FAILED}: {found.error}" if found.error else found.verdict + rounding(found),
    )


def rounding(found: ComparedTrial) -> str:
    """What is left to rounding, if it was asked."""
    if found.rounding is None:
        return ""
    ours, original = found.rounding
    return f": {ours:.0e} from float64, the original's own {original:.0e}"


def scheduler(trial: ParityTrial) -> str:
    """A scheduler with its steps, or nothing for a network by itself."""
    if not trial.scheduler:
        return ""
    return f"{str(trial.scheduler['_class_name']).removesuffix('Scheduler')}, {trial.steps} steps"


def settings(options: Mapping[str, object]) -> str:
    """Settings in one line.

    >>> settings({"heads": 2, "vae": {"groups": None}})
    'heads=2, vae=(groups=None)'
    """
    return ", ".join(
        f"{name}=({settings(value)})" if isinstance(value, Mapping) else f"{name}={value}"
        for name, value in options.items()
        if not name.startswith("_")
    )


def show(found: Sequence[ComparedTrial]) -> None:
    """Prints the settings of all models, then the table."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.width = max(console.width, WIDTH)
    if any(each.trial.scheduler for each in found):
        console.print("Not drawn:", *left_out(found), sep="\n", markup=False)
    for model in {each.model.name: each.model for each in found}.values():
        console.print(f"{model.kind} {model.number}: {settings(model.options)}", markup=False)
    table = Table(*COLUMNS, title=summary(found), title_justify="left")
    for each in found:
        table.add_row(*cells(each))
    console.print(table)


def summary(found: Sequence[ComparedTrial]) -> str:
    """How many runs of how many models agree."""
    same = sum(passes([each]) for each in found)
    models = {each.model.name for each in found}
    return f"{same} of {len(found)} runs of {len(models)} models give the same"


def left_out(found: Sequence[ComparedTrial]) -> list[str]:
    """The schedulers of diffusers that no run was by, a line each with the reason."""
    from diffusion_jax.published.schedulers.refused import REASONS
    from diffusion_jax.published.schedulers.settings import PARALLEL, TAKEN

    drawn = {each.trial.scheduler.get("_class_name") for each in found}
    reasons = dict.fromkeys(TAKEN, "not by this seed")
    reasons |= {name: f"does what {plain} does" for name, plain in PARALLEL.items()}
    reasons |= {name: f"is not read: {reason}" for name, reason in REASONS.items()}
    return [f"- {name}: {reasons[name]}" for name in sorted(reasons) if name not in drawn]


def markdown(found: Sequence[ComparedTrial], seed: int, versions: Mapping[str, str]) -> str:
    """The page docs/parity.md.

    Args:
        found: all of it.
        seed: of the models.
        versions: of libraries.
    """
    bounds = ", ".join(f"{bound:.0e} in {dtype}" for dtype, bound in BOUNDS.items())
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    head = (
        "# Beside the original libraries\n\n"
        f"Made by `python -m experiments.parity --seed={seed} --markdown=docs/parity.md` "
        f"({listed}). {summary(found)}, within {bounds}.\n\n"
        "Every model has settings and parameters drawn by the seed: another seed gives others. The "
        "original library saves it in its own format and runs it, and this library runs it from "
        "that folder, on the same prompts and noise. Each figure is the largest difference, "
        "relative to the largest value of the original; latents are compared after every step. In "
        "float64 the original's parts that name single precision are in double as well.\n\n"
        "The original's schedulers that go by sigma/alpha keep few digits in single precision: a "
        "difference of x and much noise, of squares, or timesteps of six digits. "
        "Where the two are further apart than the bound there, both are held against the "
        "original's run in float64: the verdict is "
        f"{ROUNDED!r} if this library is within the bound from it, or at most {FACTOR} times as "
        "far from it as the original's own run in float32.\n"
    )
    models = {each.model.name: each.model for each in found}.values()
    made = [f"- {model.kind} {model.number}: `{settings(model.options)}`" for model in models]
    drawn = {
        f"{each.model.name} {scheduler(each.trial)}": f"- {each.model.kind} {each.model.number}, "
        f"{scheduler(each.trial)}: `{settings(each.trial.scheduler)}`"
        for each in found
        if each.trial.scheduler
    }
    parts = [head, plain.table(COLUMNS, map(cells, found)), "\n## Models\n\n" + "\n".join(made)]
    if drawn:
        parts.append("\n## Schedulers\n\n" + "\n".join(drawn.values()))
        parts.append("\n## Schedulers that were not drawn\n\n" + "\n".join(left_out(found)))
    return "\n".join(parts) + "\n"
