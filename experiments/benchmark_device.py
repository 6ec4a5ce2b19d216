"""Measures what this machine's accelerator does, in order of importance, within some minutes.

    python -m experiments.benchmark_device --minutes=8 --out=FILE.json
    python -m experiments.benchmark_device --list
    python -m experiments.benchmark_device --sections=train_dit_b2,arms --out=FILE.json

Started again with the same file on the same device and versions, it goes on with what is missing.
On a CPU it runs in a small form, whose figures say nothing of any device. PyTorch is taken from
this Python, or from the one that --peers names. What the figures mean: docs/benchmarks.md.
"""

import functools
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_jax.errors import UserError
from diffusion_jax.files import check_target
from experiments import plain

if TYPE_CHECKING:
    from experiments.device.section import Section


def main(words: list[str]) -> None:
    """Measures, and prints tables."""
    parser = plain.Parser("benchmark_device", __doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="to be done within (8)")
    parser.add_argument("--out", help="the file of figures, filled in further if it is there")
    parser.add_argument("--sections", default="", help="only these, or all that begin so: a,b")
    parser.add_argument("--list", action="store_true", help="show the sections, and measure none")
    parser.add_argument("--peers", default=sys.executable, help="a Python that has PyTorch")
    options = parser.parse_args(words)
    if not 0 < options.minutes < math.inf:
        raise UserError(f"--minutes must be more than 0, got {options.minutes:g}.")

    from experiments.device.sections import choose, sections

    chosen = choose(sections(options.peers), options.sections)
    if options.list:
        for section in chosen:
            print(f"{section.name:28} about {section.seconds:3.0f} s  {section.title}")
    elif options.out is None:
        raise UserError("--out=FILE.json says where the figures go; --list shows the sections.")
    else:
        _measure(chosen, options.minutes, Path(options.out), options.peers, bool(options.sections))


def _measure(chosen: "list[Section]", minutes: float, out: Path, peers: str, again: bool) -> None:
    from rich.console import Console

    from experiments.device import isolated, record
    from experiments.device.runner import run
    from experiments.device.section import Done, Failed
    from experiments.device.sections import DEVICE
    from experiments.device.tables import WIDTH, show

    start, path = time.monotonic(), check_target(out.expanduser())
    old = record.read(path)
    device = isolated.measure(DEVICE, True, peers, 60 * minutes)
    if not isinstance(device, Done):
        reason = device.reason if isinstance(device, Failed) else "the minutes were over"
        raise UserError(f"The device does not answer: {reason}")
    found = record.go_on(old, device.figures, path)
    record.note(found, DEVICE.name, device, time.monotonic() - start)
    record.write(found, path)
    try:
        left = run(
            chosen,
            found,
            60 * minutes - (time.monotonic() - start),
            lambda section, seconds: isolated.measure(section, found["small"], peers, seconds),
            functools.partial(record.write, path=path),
            lambda line: print(f"{time.monotonic() - start:5.0f} s  {line}", flush=True),
            again,
        )
    except KeyboardInterrupt:
        raise UserError(f"Stopped; what was measured is in {path}.") from None
    show(found, left, Console(width=WIDTH))


if __name__ == "__main__":
    plain.run(main)
