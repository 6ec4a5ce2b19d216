"""Models that others have released: which are known, and what a folder or a file is.

    python -m experiments.models
    python -m experiments.models --card=dit-xl-2-256

A row per card: its name, the model, its parameters as far as they are known, its licence, and the
figure of its paper that it belongs to. With --card, all that the card says.
"""

from typing import TYPE_CHECKING

from experiments import plain

if TYPE_CHECKING:
    from diffusion_jax.published.card import ModelCard

HEADS = ("card", "model", "parameters", "licence", "figure")


def main(words: list[str]) -> None:
    """Prints the cards, or what one of them says."""
    from diffusion_jax.published.card import card, card_names

    parser = plain.Parser("models", __doc__)
    parser.add_argument("--card", default="", help="say all of this one")
    options = parser.parse_args(words)
    if options.card:
        print("\n".join(said(card(options.card))))
    else:
        _print([HEADS, *(row(card(name)) for name in card_names())])


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
