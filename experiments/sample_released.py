"""Draws pictures from a model that others have released: `python -m experiments.sample --model=…`.

    python -m experiments.sample --model=models/stable-diffusion-v1-5 \\
        --prompt="a photograph of a dog" --negative-prompt="blurry" --guidance=7.5 --seed=1
    python -m experiments.sample --model=models/dit-xl-2-256 --prompt=207 --steps=20 \\
        --solver=dpmpp_2m --grid=karras --count=4
    python -m experiments.sample --model=models/sd --lora=style.safetensors --lora-scale=0.8 \\
        --prompt="a dog"
    python -m experiments.sample --model=models/flux.1-dev --prompt="a dog" --guidance=3.5 --strict
    python -m experiments.sample --model=models/flux.1-dev --prompt="a dog" \\
        --negative-prompt="blurry" --guidance="classifier_free(scale=2.0)"
    python -m experiments.sample --model=models/sd --prompt="a dog in snow" --image=dog.png \\
        --strength=0.6
    python -m experiments.sample --model=models/sd --prompt="a cat" --image=dog.png \\
        --mask=head.png --strength=1.0
    python -m experiments.sample --model=models/sd --prompt="a dog" --prompt="a cat" \\
        --between=7

The model is a folder as diffusers writes it, or a checkpoint as its authors released it, of which
`python -m experiments.models` lists the cards; nothing in it is run. Without --solver and --grid
pictures are drawn as the original pipeline draws them. A number of --guidance is what the original
calls so: the scale of classifier-free guidance, or what the network of FLUX.1-dev is told. Writes
each picture, and a sheet of all of them with a row for each prompt, whose path is the last line
printed. Sample i of a seed is the same whatever the count. A mask is white where the picture is
drawn anew. With --between, two prompts are joined by so many pictures between them, of the same
noise, or with --to-seed of noise that turns into that of another seed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_jax.errors import UserError
from experiments import plain
from experiments.model_options import add_model_options, guidance_of, read_model

if TYPE_CHECKING:
    from argparse import Namespace

    from diffusion_jax.published.model import ReleasedModel

MOST = 1000  # pictures


def is_asked(words: Sequence[str]) -> bool:
    """Whether a command line names a released model."""
    return any(word == "--model" or word.startswith("--model=") for word in words)


def main(words: list[str]) -> None:
    """Draws what the command line asks for; the last line printed is the path of the sheet."""
    options = _options(words)
    import jax

    from diffusion_jax.files import check_target
    from experiments import compile_cache

    out = check_target(Path(options.out))
    compile_cache.set_up()
    model = read_model(options)
    settings, key = _settings(options, model), jax.random.key(options.seed)
    prompts = options.prompt or [""]
    if options.between is not None:
        drawn = [_between(model, prompts, options, settings)]
        prompts = [" … ".join(dict.fromkeys(prompts))]
    else:
        drawn = [model.sample([prompt] * options.count, key, **settings) for prompt in prompts]
    _write(out, drawn, prompts)
    print(out)


def _between(
    model: "ReleasedModel", prompts: list[str], options: "Namespace", settings: dict[str, Any]
) -> Any:
    """Pictures on the way from the first prompt and noise to the last."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from diffusion_jax.published.between import between, turned
    from diffusion_jax.sampling.loop import sample_keys

    size = settings["size"] or model.default_size
    shape, shares = model.pipeline.shape(model, size), np.linspace(0, 1, options.between + 2)
    first, last = (model.noise(sample_keys(jax.random.key(s), 1), shape) for s in _seeds(options))
    noise = jnp.concatenate([turned(first, last, float(share)) for share in shares])
    same = options.to_seed is None
    settings["noise"] = jnp.broadcast_to(first, noise.shape) if same else noise
    asked = [model.ask([prompt], size) for prompt in (prompts[0], prompts[-1])]
    condition: Any = between(asked[0], asked[1], [float(share) for share in shares])
    rows = condition or [""] * len(shares)
    return model.sample(rows, jax.random.key(options.seed), **settings)


def _seeds(options: "Namespace") -> tuple[int, int]:
    return options.seed, options.seed if options.to_seed is None else options.to_seed


def _options(words: list[str]) -> "Namespace":
    parser = plain.Parser("sample", __doc__)
    add_model_options(parser)
    parser.add_argument("--prompt", action="append", help="what to draw; several: a row for each")
    parser.add_argument("--negative-prompt", default="", help="what to lead away from")
    parser.add_argument("--guidance", help="scale, or a spec; the original's by default")
    parser.add_argument("--solver", help="spec, such as dpmpp_2m; the original's by default")
    parser.add_argument("--grid", help="spec, such as karras; the original's by default")
    parser.add_argument("--steps", type=int, help="the original's number by default")
    parser.add_argument("--size", help="width and height in pixels, such as 768x512")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--count", type=int, default=1, help="pictures for each prompt")
    parser.add_argument("--image", help="a picture to start from")
    parser.add_argument("--strength", type=float, help="share of the steps taken from it; 0.8")
    parser.add_argument("--mask", help="white where the picture is drawn anew")
    parser.add_argument("--between", type=int, help="pictures between two prompts")
    parser.add_argument("--to-seed", type=int, help="of the noise at the other end")
    parser.add_argument("--out", default="runs/released.png", help="where to write the sheet")
    options = parser.parse_args(words)
    _check(options)
    return options


def _check(options: "Namespace") -> None:
    if not 1 <= options.count <= MOST:
        raise UserError(f"--count must be from 1 to {MOST}, not {options.count}.")
    if not 0 <= options.seed < 2**31:
        raise UserError(f"--seed must be from 0 to {2**31 - 1}, not {options.seed}.")
    for name in ("strength", "mask"):
        if getattr(options, name) is not None and options.image is None:
            raise UserError(f"--{name} is of a picture to start from: name it with --image.")
    if options.between is None and options.to_seed is not None:
        raise UserError("--to-seed is for pictures between two noises: give --between too.")
    if options.between is not None:
        if not 1 <= options.between <= MOST or options.image is not None or options.count > 1:
            raise UserError(
                f"--between must be from 1 to {MOST}, without --image and without --count."
            )
        if len(options.prompt or []) > 2:
            raise UserError("--between joins two prompts: name two, or one with --to-seed.")


def _settings(options: "Namespace", model: "ReleasedModel") -> dict[str, Any]:
    """What `ReleasedModel.sample` is told."""
    from diffusion_jax.sampling.grids import grids
    from diffusion_jax.sampling.solvers import solvers

    steps = options.steps
    if steps is not None and not 1 <= steps <= MOST:
        raise UserError(f"--steps must be from 1 to {MOST}, not {steps}.")
    found: dict[str, Any] = {
        "negative": options.negative_prompt or None,
        "guidance": guidance_of(options.guidance),
        "steps": steps,
        "solver": solvers.make(options.solver) if options.solver else None,
        "size": size_of(options.size),
    }
    if options.grid:
        grid = grids.make(options.grid)
        found["nodes"] = grid(model.scheduler.schedule, steps or model.pipeline.steps)
    if options.image is not None:
        found |= _picture(options, model)
    return found


def size_of(told: str | None) -> tuple[int, int] | None:
    """Height and width of `WIDTHxHEIGHT`."""
    if told is None:
        return None
    width, _, height = told.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise UserError(f"--size must be width and height, such as 768x512, not {told!r}.")
    return int(height), int(width)


def _picture(options: "Namespace", model: "ReleasedModel") -> dict[str, Any]:
    """The picture to start from, from -1 to 1, and what of it is kept."""
    import jax.numpy as jnp

    from diffusion_jax.data.pictures import load_pictures
    from diffusion_jax.files import user_path
    from diffusion_jax.inference.masks import load_mask, picture_size
    from diffusion_jax.published.pipelines.base import token_side

    path = user_path(options.image)
    if options.size is None:  # its own, as far as the model can draw it
        whole = model.factor * token_side(model.network)
        own = picture_size(path)
        height, width = (side // whole * whole for side in own[::-1])
        if not (height and width):
            raise UserError(
                f"The picture {path} has {own[0]}×{own[1]} pixels, and must have {whole}×{whole} "
                "at least: name a larger --size."
            )
    else:
        height, width = size_of(options.size) or (0, 0)
    pixels = load_pictures([path], (height, width), 3)[0]
    found: dict[str, Any] = {"image": jnp.asarray(pixels, jnp.float32) / 127.5 - 1}
    if options.strength is not None:
        found["strength"] = options.strength
    if options.mask is not None:
        kept = load_mask(user_path(options.mask), pixels.shape)
        found["keep"] = jnp.asarray(kept, jnp.float32)
    return found


def _write(out: Path, drawn: Sequence[Any], prompts: Sequence[str]) -> None:
    """Every picture by itself, and the sheet of all."""
    import numpy as np

    from diffusion_jax.data.example import to_bytes
    from diffusion_jax.files import save
    from diffusion_jax.reports import pictures

    rows: list[np.ndarray] = [to_bytes(np.asarray(row)) for row in drawn]
    for i, row in enumerate(rows):
        for k, picture in enumerate(row):
            path = out.with_name(f"{out.stem}_{i}_{k}.png")
            save(pictures.png(pictures.to_image(picture)), path)
    captions = [
        prompt if k == 0 else ""
        for prompt, row in zip(prompts, rows, strict=True)
        for k in range(len(row))
    ]
    side = max(96, min(512, rows[0].shape[1]))
    sheet = pictures.grid(np.concatenate(rows), captions, len(rows[0]), side)
    save(pictures.png(sheet), out)


if __name__ == "__main__":
    sys.exit("Draw from a released model by: python -m experiments.sample --model=FOLDER")
