"""Models that others have released: which are known, and what a folder or a file is.

    python -m experiments.models
    python -m experiments.models --card=dit-xl-2-256
    python -m experiments.models models/stable-diffusion-v1-5
    python -m experiments.models DiT-XL-2-256x256.pt
    python -m experiments.models export models/stable-diffusion-v1-5 models/half --dtype=bfloat16
    python -m experiments.models export runs/mine models/mine --arm=flow

Without a path, a row per card: its name, the model, its parameters as far as they are known, its
licence, and the figure of its paper that it belongs to; with --card, all that the card says. Of a
path it says which card fits, the licence, the parts with their parameters and memory, whether every
tensor has its place, and how pictures are drawn from it. Only headers and configurations are read,
and of a file whose size is that of a card's, its SHA-256.

`export` writes a model for PyTorch: of a folder the same folder with weights in safetensors, of an
authors' checkpoint a file of safetensors, and of a run the network of an arm, with the average of
its parameters, as a folder that diffusers loads; of an arm that trained a LoRA, a file of it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_jax.errors import UserError
from experiments import plain

if TYPE_CHECKING:
    from argparse import Namespace

    from diffusion_jax.published.card import CardSettings, ModelCard
    from diffusion_jax.published.inspection import ModelReport, PartReport
    from diffusion_jax.published.schedulers import ReleasedProcess

HEADS = ("card", "model", "parameters", "licence", "figure")
EXPORT = "export"
STEPS = 50  # of which the levels are told


def main(words: list[str]) -> None:
    """Prints the cards, what one of them says, or what a path is."""
    from diffusion_jax.files import user_path
    from diffusion_jax.published.card import card, card_names
    from diffusion_jax.published.inspection import inspect_model

    parser = plain.Parser("models", __doc__)
    parser.add_argument("path", nargs="*", help="a folder or a file; or: export FROM TO")
    parser.add_argument("--card", default="", help="say all of this one, or take it for the path")
    parser.add_argument("--variant", default="", help="which files of weights, such as fp16")
    parser.add_argument(
        "--like", default="", help="folder of the model or encoder that one file is like"
    )
    parser.add_argument("--dtype", default="", help="export: float32 (default) or bfloat16")
    parser.add_argument("--arm", default="", help="export: of a run, which arm")
    options = parser.parse_args(words)
    known = card(options.card) if options.card else None
    if options.path[:1] == [EXPORT]:
        print(exported(options))
        return
    _refuse(options, "arm", "dtype")
    if len(options.path) > 1:
        raise UserError(f"Unexpected word {options.path[1]!r}: name one path. See --help.")
    if options.path:
        like = user_path(options.like) if options.like else None
        report = inspect_model(user_path(options.path[0]), options.variant, known, like)
        print("\n".join(reported(report)))
    elif known:
        print("\n".join(said(known)))
    else:
        _print([HEADS, *(row(card(name)) for name in card_names())])


def exported(options: "Namespace") -> Path:
    """Writes a model for PyTorch, and gives its path."""
    from diffusion_jax.files import user_path
    from diffusion_jax.published.folder import INDEX
    from diffusion_jax.published.model import released
    from diffusion_jax.published.parts import CONFIG
    from diffusion_jax.published.writing import export_model, export_part, vacant
    from diffusion_jax.runs.run import DATA, is_run

    if len(options.path) != 3:
        raise UserError("export takes two paths: what is written, and where to. See --help.")
    source, out = user_path(options.path[1]), vacant(options.path[2])
    dtype = options.dtype or "float32"
    if dtype not in ("float32", "bfloat16"):
        raise UserError(f"--dtype must be float32 or bfloat16, not {dtype!r}.")
    if is_run(source) and (source / DATA).exists():
        _refuse(options, "card", "variant", "dtype")
        return _exported_arm(source, options.arm, out)
    _refuse(options, "arm")
    if not (source / INDEX).exists() and (source / CONFIG).exists():
        _refuse(options, "card")
        return export_part(source, dtype, options.variant, out)
    return export_model(released(source, dtype, options.variant, card=options.card), out)


def _exported_arm(folder: Path, name: str, out: Path) -> Path:
    from diffusion_jax.networks.adapters.lora import LoRA
    from diffusion_jax.networks.score_network import ScoreNetwork
    from diffusion_jax.published.lora.writing import write_lora
    from diffusion_jax.published.pretrained import NetworkSource
    from diffusion_jax.published.writing import export_network
    from diffusion_jax.runs.run import Run
    from diffusion_jax.training.learned_schedule import of_network
    from diffusion_jax.training.load import load_run

    arms = load_run(folder, (name,) if name else ()).arms
    if len(arms) > 1:
        raise UserError(f"The run has arms {', '.join(arms)}: name one with --arm.")
    (trained,) = arms.values()
    trained.check_sound()
    params, network = of_network(trained.params), trained.arm.network
    if not isinstance(network, ScoreNetwork) or params.keys() != {"backbone"}:
        raise UserError(
            "Parameters of this arm belong to a conditioner or a variance of this library, which "
            "PyTorch's libraries have no class for: it cannot be exported."
        )
    given = trained.arm.pretrained
    if given is not None and isinstance(given.adapter, LoRA) and trained.tuned is not None:
        part = NetworkSource(Path(given.source)).part.name
        return write_lora(given.adapter, trained.tuned, network.backbone, part, out)
    channels = Run.load(folder).facts.shape[-1]
    return export_network(network.backbone, params["backbone"], channels, out)


def _refuse(options: "Namespace", *names: str) -> None:
    """Raises UserError for options that would change nothing."""
    for name in names:
        if getattr(options, name):
            raise UserError(f"--{name} says nothing of what is asked for. See --help.")


def reported(report: "ModelReport") -> list[str]:
    """What is said of a path, a line each."""
    from diffusion_jax.published.room import free_memory, gigabytes

    lines = [f"{report.path}: {report.kind}"]
    for card, how in report.cards:
        lines += [f"card: {card.name}, {card.title} (by {how})", f"licence: {card.licence}"]
    if not report.cards:
        lines.append("card: none fits, so that its licence is not known here")
    for part in report.parts:
        placed = "every tensor has its place" if part.original else "not compared with a network"
        placed = "cannot be read" if part.faults else placed
        lines.append(
            f"{part.name}: {part.original or 'unknown class'}, {amount(part.parameters)} "
            f"parameters, {part.format or 'no weights'}; {placed}"
        )
        lines += [f"    {fault}" for fault in part.faults]
        lines += [f"    half that reads {each.name}: {_alone(each)}" for each in part.halves]
    count = report.parameters
    lines.append(
        f"memory: {gigabytes(4 * count)} as float32, {gigabytes(2 * count)} as bfloat16; "
        f"{gigabytes(free_memory())} are free"
    )
    if report.process is not None:
        lines.append(_drawn(report.process))
    if report.unused:
        lines.append(f"unused: {', '.join(report.unused)}")
    return lines + [f"fault: {fault}" for fault in report.faults]


def _alone(half: "PartReport") -> str:
    """What half of a part is, if it is read alone."""
    from diffusion_jax.published.room import gigabytes

    count = half.parameters
    return (
        f"{half.original}, {amount(count)} parameters, {gigabytes(4 * count)} as float32, "
        f"{gigabytes(2 * count)} as bfloat16"
    )


def _drawn(process: "ReleasedProcess") -> str:
    """How a model is drawn from, in the library's terms."""
    solver = process.solver(STEPS)
    parts = process.schedule, process.prediction, process.preconditioning, solver
    # Labels that are told in a unit are another preconditioning's.
    names = [type(getattr(part, "counted", part)).__name__ for part in parts]
    nodes = process.nodes(STEPS)
    ratio = nodes.level.noise_to_signal
    return (
        f"drawn by {process.name}: schedule {names[0]}, prediction {names[1]}, preconditioning "
        f"{names[2]}, solver {names[3]}; {STEPS} steps from sigma/alpha {float(ratio[0]):.4g} to "
        f"{float(ratio[-2]):.4g}"
    )


def row(card: "ModelCard") -> tuple[str, ...]:
    """What the list says of a card."""
    known = [part.parameters for part in card.parts.values()]
    total = sum(count for count in known if count)
    more = "more than " if None in known and total else ""
    figure = card.figure
    shown = f"{figure.metric} {figure.value:g}, {figure.data}" if figure else "–"
    licence = card.licence.partition(":")[0]
    return card.name, card.title, f"{more}{amount(total)}" if total else "–", licence, shown


def said(card: "ModelCard") -> list[str]:
    """All that a card says, a line each."""
    lines = [f"{card.title} ({card.kind})", f"paper: {card.paper}"]
    if card.arxiv:
        lines[1] += f", arXiv:{card.arxiv}"
    lines += [f"from: {card.repository}", f"licence: {card.licence}"]
    for name, file in card.files.items():
        lines.append(f"file: {name}, SHA-256 {file.sha256 or 'not known'}")
    for name, part in card.parts.items():
        settings = ", ".join(f"{key}={value!r}" for key, value in part.configuration.items())
        lines.append(f"{name}: {part.original}({settings})")
    if card.process:
        settings = ", ".join(f"{key}={value}" for key, value in card.process.items())
        lines.append(f"process: {settings}")
    if card.figure:
        lines.append("figure: " + _figure(card))
    if card.settings:
        lines.append("settings: " + _settings(card.settings))
    if card.unchecked:
        lines.append(f"not read at its source: {', '.join(card.unchecked)}")
    return lines


def _figure(card: "ModelCard") -> str:
    figure = card.figure
    assert figure
    parts = [f"{figure.metric} {figure.value:g} on {figure.data} ({figure.where})"]
    parts += [part for part in (figure.solver, figure.grid) if part]
    parts += [f"{figure.steps} steps", f"guidance {figure.guidance}"]
    return ", ".join(parts + ([f"NFE {figure.nfe}"] if figure.nfe else []))


def _settings(told: "CardSettings") -> str:
    parts = [f"{told.steps} steps", f"guidance {told.guidance:g}"]
    if told.size:
        parts.append(f"{told.size[1]}×{told.size[0]}")
    if told.shift is not None:
        parts.append(f"shift {told.shift:g}")
    return ", ".join(parts + ([told.solver] if told.solver else [])) + f" ({told.where})"


def amount(count: float) -> str:
    """A count with a unit.

    >>> amount(674834720), amount(2445063), amount(12)
    ('675M', '2.45M', '12')
    """
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:g}"


def _print(rows: list[tuple[str, ...]]) -> None:
    """A table in columns, a line for each row, which `grep` can search."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for each in rows:
        cells = [cell.ljust(width) for cell, width in zip(each, widths, strict=True)]
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    plain.run(main)
