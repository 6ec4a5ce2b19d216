"""Compares ways of drawing from a released model: `python -m experiments.compare --model=…`.

    python -m experiments.compare --model=models/dit-xl-2-256 --prompts=classes.txt \\
        --way="ddim" --way="dpmpp_2m, karras" --way="heun, karras" --evaluations=10,20,40
    python -m experiments.compare --model=models/sd --prompts=prompts.txt \\
        --way="own" --way="dpmpp_2m, own, 5.0" --reference-steps=200

A way is a solver, then a grid and a scale of guidance where they are not the original's; "own" is
what the original pipeline does. Sample i has the i-th prompt of the file, and the same noise in
all ways; each is held against many steps of Heun's method. The report is written to --out, and its
path is the last line printed; its numbers are in results.csv and results.json beside it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_jax.errors import UserError
from experiments import plain
from experiments.model_options import add_model_options, read_model
from experiments.sample_released import size_of

if TYPE_CHECKING:
    from argparse import Namespace

    from diffusion_jax.published.model import ReleasedModel

OWN = "own"
MOST = 100_000  # prompts


def main(words: list[str]) -> None:
    """Compares what the command line asks for; the last line printed is the page's path."""
    options = _options(words)
    from diffusion_jax.reports import files
    from diffusion_jax.reports.released import compare_ways
    from experiments import compile_cache

    compile_cache.set_up()
    prompts = _prompts(options)
    model = read_model(options)
    size = size_of(options.size)
    ways = [_way(written, model, size) for written in options.way]
    report = compare_ways(
        model,
        ways,
        prompts,
        evaluations=_numbers(options.evaluations),
        reference_steps=options.reference_steps,
        negative=options.negative_prompt or None,
        size=size,
        seed=options.seed,
        batch_size=options.batch_size,
    )
    for arm in report.comparisons:
        low, high = arm.difference.low, arm.difference.high
        print(
            f"{arm.metric} at {arm.sampling.nfe if arm.sampling else 0}: {arm.arm} "
            f"{arm.mean.value:.4g}, {arm.against} {arm.baseline.value:.4g}, difference "
            f"{arm.difference.value:+.4g} [{low:.4g}, {high:.4g}]: {arm.verdict}"
            if low is not None and high is not None
            else f"{arm.metric}: {arm.arm} {arm.verdict}"
        )
    print(files.write(report, Path(options.out)))


def _options(words: list[str]) -> "Namespace":
    parser = plain.Parser("compare", __doc__)
    add_model_options(parser)
    parser.add_argument("--way", action="append", required=True, help="solver, grid, guidance")
    parser.add_argument("--prompts", help="a file with a prompt on each line")
    parser.add_argument("--count", type=int, default=16, help="samples, where there is no file")
    parser.add_argument("--evaluations", default="10,20", help="of the denoiser for each sample")
    parser.add_argument("--reference-steps", type=int, default=200, help="of the reference")
    parser.add_argument("--negative-prompt", default="", help="what to lead away from")
    parser.add_argument("--size", help="width and height in pixels, such as 768x512")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--batch-size", type=int, default=4, help="samples drawn at once")
    parser.add_argument("--out", default="runs/released", help="folder of the report")
    options = parser.parse_args(words)
    if options.batch_size < 1 or options.reference_steps < 1 or options.seed < 0:
        raise UserError("--batch-size and --reference-steps must be 1 or more, and --seed 0.")
    return options


def _prompts(options: "Namespace") -> list[str]:
    if options.prompts is None:
        if not 2 <= options.count <= MOST:
            raise UserError(f"--count must be from 2 to {MOST}, not {options.count}.")
        return [""] * int(options.count)
    from diffusion_jax.files import user_path

    try:
        lines = user_path(options.prompts).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the prompts of {options.prompts}: {error}.") from None
    found = [line.strip() for line in lines if line.strip()]
    if not 2 <= len(found) <= MOST:
        raise UserError(f"{options.prompts} has {len(found)} prompts; 2 to {MOST} are needed.")
    return found


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise UserError(f"--evaluations must be numbers such as 10,20, not {text!r}.")
    return tuple(sorted({int(word) for word in words}))


def _way(written: str, model: "ReleasedModel", size: tuple[int, int] | None) -> Any:
    """The way that `SOLVER, GRID, GUIDANCE` is."""
    from diffusion_jax.reports.released import Way
    from diffusion_jax.sampling.grids import grids
    from diffusion_jax.sampling.solvers import solvers

    solver, grid, scale = (*_split(written), OWN, OWN, OWN)[:3]
    made = None if solver == OWN else solvers.make(solver)
    laid = None if grid == OWN else grids.make(grid)
    try:
        guidance = None if scale == OWN else float(scale)
    except ValueError:
        raise UserError(f"--way={written!r}: {scale!r} is no scale of guidance.") from None
    return Way(
        written,
        lambda steps: model.scheduler.solver(steps) if made is None else made,
        lambda steps: (
            model.nodes(steps, size) if laid is None else laid(model.scheduler.schedule, steps)
        ),
        guidance,
        {"solver": solver, "grid": grid, "guidance": scale},
    )


def _split(written: str) -> list[str]:
    """What stands between commas that are not within brackets."""
    parts, depth = [""], 0
    for letter in written:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    found = [part.strip() for part in parts]
    if len(found) > 3 or not all(found):
        raise UserError(f"--way={written!r} must be a solver, and then a grid and a guidance.")
    return found
