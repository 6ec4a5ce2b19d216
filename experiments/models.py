"""Models that others have released: which are known, and what a folder or a file is.

    python -m experiments.models
    python -m experiments.models --card=dit-xl-2-256
    python -m experiments.models models/stable-diffusion-v1-5
    python -m experiments.models DiT-XL-2-256x256.pt

Without a path, a row per card: its name, the model, its parameters as far as they are known, its
licence, and the figure of its paper that it belongs to; with --card, all that the card says. Of a
path it says which card fits, the licence, the parts with their parameters and memory, whether every
tensor has its place, and how pictures are drawn from it. Only headers and configurations are read,
and of a file whose size is that of a card's, its SHA-256.
"""

from typing import TYPE_CHECKING

from diffusion_jax.errors import UserError
from experiments import plain

if TYPE_CHECKING:
    from diffusion_jax.published.card import ModelCard
    from diffusion_jax.published.inspection import ModelReport
    from diffusion_jax.published.schedulers import ReleasedProcess

HEADS = ("card", "model", "parameters", "licence", "figure")
STEPS = 50  # of which the levels are told


def main(words: list[str]) -> None:
    """Prints the cards, what one of them says, or what a path is."""
    from diffusion_jax.files import user_path
    from diffusion_jax.published.card import card, card_names
    from diffusion_jax.published.inspection import inspect_model

    parser = plain.Parser("models", __doc__)
    parser.add_argument("path", nargs="*", help="a folder or a file")
    parser.add_argument("--card", default="", help="say all of this one, or take it for the path")
    parser.add_argument("--variant", default="", help="which files of weights, such as fp16")
    options = parser.parse_args(words)
    known = card(options.card) if options.card else None
    if len(options.path) > 1:
        raise UserError(f"Unexpected word {options.path[1]!r}: name one path. See --help.")
    if options.path:
        report = inspect_model(user_path(options.path[0]), options.variant, known)
        print("\n".join(reported(report)))
    elif known:
        print("\n".join(said(known)))
    else:
        _print([HEADS, *(row(card(name)) for name in card_names())])


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


def _drawn(process: "ReleasedProcess") -> str:
    """How a model is drawn from, in the library's terms."""
    solver = process.solver(STEPS)
    parts = process.schedule, process.prediction, process.preconditioning, solver
    names = [type(part).__name__ for part in parts]
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
