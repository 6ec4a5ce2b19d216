"""Does the audit find what is known: models that copy, one that does not, and planted duplicates?

    python -m experiments.benchmark_audit
    python -m experiments.benchmark_audit --steps=2000 --drawn=100 --markdown=FILE.md

First without training, on the pictures of the data set `blots`: audits of a model that is perfect,
which draws new ones, and of models that copy a known share. Then the small U-Net of
configs/shapes.py, told the class, is trained with the same steps on 100 pictures, on 5,000, and on
1,000 of which 10 are there 50 times; each is audited. Training has seed 0, repeated audits 0, 1, ….
Trained runs are kept under --folder, and are not trained again.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import logging
from ml_collections import ConfigDict

from diffusion_jax.errors import UserError
from experiments import audit as command
from experiments import plain

if TYPE_CHECKING:
    from diffusion_jax.reports.audit import AuditPage

FIRST, TIMES = 10, 50  # pictures that are planted, and how often
CASES = {
    "over-trained on 100": "blots(count=100)",
    "ordinary, on 5,000": "blots(count=5000)",
    f"on 1,000, {FIRST} of them {TIMES} times": (
        f"repeated(data='blots(count=1000)', first={FIRST}, times={TIMES})"
    ),
}
SHARES = (0.0, 0.02, 0.05, 0.1)  # of copies, in models that are made up
KNOWN = "blots(count=200)"
NOISE = 8.0  # of made-up copies, in bytes


def main(words: list[str]) -> None:
    """Prints the tables."""
    parser = plain.Parser("benchmark_audit", __doc__)
    parser.add_argument("--steps", type=int, default=5000, help="of each training (5000)")
    parser.add_argument("--drawn", type=int, default=250, help="pictures a kind of prompts (250)")
    parser.add_argument("--repeats", type=int, default=40, help="audits of each made-up model (40)")
    parser.add_argument("--folder", default="runs/benchmark_audit", help="where runs are kept")
    parser.add_argument("--markdown", help="a file that the tables are also written to")
    options = parser.parse_args(words)
    for name in ("steps", "drawn", "repeats"):
        if getattr(options, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(options, name)}.")
    logging.set_verbosity(logging.FATAL)  # libraries tell how checkpoints are read
    start = time.monotonic()
    known = [_row_of_known(share, options.repeats, options.drawn) for share in SHARES]
    parts = [
        f"Copies are known, {options.repeats} audits of {options.drawn} pictures each:",
        plain.table(("share of copies", "called copies", "false alarms", "accused"), known),
    ]
    print("\n\n".join(parts), flush=True)
    trained: list[Sequence[str]] = []
    for number, (name, data) in enumerate(CASES.items()):
        page = _trained(data, options.steps, options.drawn, f"{options.folder}/{number}")
        trained += _rows_of_trained(name, page)
        print(f"{name}: {page.verdict}", flush=True)
    heads = ("trained", "prompts", "copies", "95% interval", "expected", "verdict", "duplicates")
    minutes = (time.monotonic() - start) / 60
    more = [
        f"Trained models, {options.steps:,} steps of 16 pictures, {options.drawn} drawn:",
        plain.table(heads, trained),
        f"It took {minutes:.1f} minutes, on {_hardware()}.",
    ]
    print("\n\n".join(more))
    if options.markdown:
        from diffusion_jax.files import save

        save("\n\n".join([*parts, *more]) + "\n", options.markdown)


def _row_of_known(share: float, repeats: int, count: int) -> tuple[str, ...]:
    """Of audits of a model of whose pictures a known share are copies, with a little noise."""
    import numpy as np

    from diffusion_jax.data.dataset import datasets
    from diffusion_jax.data.example import take, values_of
    from diffusion_jax.metrics.audit import CopyTest, audit
    from diffusion_jax.metrics.copying import Generated

    called, false, accused = [], [], 0
    copies = round(share * count)
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        data = datasets.make(KNOWN.replace(")", f", seed={seed})"))
        other = datasets.make(f"blots(count={count}, seed={seed + repeats})")
        drawn = values_of(take(other.train, range(count)))
        rows = rng.integers(0, len(data.train), copies).tolist()
        if rows:
            originals = values_of(take(data.train, rows))
            noisy = originals + NOISE * rng.normal(size=originals.shape)
            drawn[:copies] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
        found = audit([Generated("any", drawn)], data, CopyTest(seed=seed))
        copied = found.audited[0].copied
        called.append(copied.mean())
        false.append(copied[copies:].mean())
        accused += found.copies
    return (
        f"{copies / count:.1%}",
        f"{np.mean(called):.1%}",
        f"{np.mean(false):.1%} of at most {found.alarm:.0%}",
        f"{accused} of {repeats}",
    )


def _config(data: str, steps: int, folder: str) -> ConfigDict:
    from configs import shapes

    config = shapes.get_config()
    config.data, config.conditioner, config.run_dir = data, "label()", folder
    config.training.steps, config.training.checkpoint_every = steps, 1000
    return config


def _trained(data: str, steps: int, count: int, folder: str) -> "AuditPage":
    """Trains, or finds trained, and audits; the page is beside the run."""
    from diffusion_jax.metrics.audit import CopyTest
    from diffusion_jax.reports.audit import write
    from diffusion_jax.runs.progress import Progress
    from diffusion_jax.training.loop import train

    config = _config(data, steps, folder)
    run = train(config, Progress())
    page = command.audited(config, run, CopyTest(), count, "", "")
    write(page, run.folder / "audit")
    return page


def _rows_of_trained(name: str, page: "AuditPage") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for each in page.audit.audited:
        rate = each.rate
        rows.append(
            (
                name,
                each.generated.name,
                f"{rate.value:.1%}",
                f"{rate.low or 0.0:.1%} to {rate.high or 0.0:.1%}",
                f"at most {each.false_alarms:.1%}",
                "copies" if page.audit.accused(each) else "no sign",
                _planted(page) if page.audit.data.name == "repeated" else "",
            )
        )
    return rows


def _planted(page: "AuditPage") -> str:
    """How many of the planted pictures were found, and what was copied of them."""
    audit = page.audit
    found = [one for one in audit.repeated if one.row < FIRST and one.times == TIMES]
    copied = [one for one in found if one.copies]
    copies, (drawn, real) = sum(one.copies for one in found), audit.share_near_repeated
    return (
        f"{len(found)} of {FIRST} found, {len(copied)} copied; {copies} of {audit.found} copies; "
        f"nearest to {drawn:.1%} of generated, {real:.1%} of real pictures"
    )


def _hardware() -> str:
    from diffusion_jax.runs import environment

    hardware = environment.describe()["hardware"]
    return f"{hardware['devices']} {hardware['device_kind']}, {hardware['processor']}"


if __name__ == "__main__":
    plain.run(main)
