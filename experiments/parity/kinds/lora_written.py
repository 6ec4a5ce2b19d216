"""StableDiffusionPipeline with low-rank terms of this library, which diffusers loads."""

import dataclasses
import random
from pathlib import Path
from typing import Any

from experiments.parity.kind import Options
from experiments.parity.kinds import lora, stable_diffusion


def draw(pick: random.Random) -> Options:
    """As of Stable Diffusion, with an adapter of its U-Net."""
    targets = pick.sample([name.replace(".", r"\.") for name in lora.UNET], 3)
    return stable_diffusion.draw(pick) | {
        "lora": {
            "seed": pick.randrange(2**31),
            "rank": pick.choice([1, 2, 3]),
            "alpha": pick.choice([1.0, 2.0, 5.0]),
            "targets": sorted({*targets, "to_q"}),
        }
    }


def written(options: Options, dtype: str, file: Path) -> None:
    """Writes terms as they are written after training."""
    import jax

    from diffusion_jax.networks.configurations import from_configuration
    from diffusion_jax.networks.unet2d.unet2d_condition import UNet2DCondition
    from diffusion_jax.published.lora.writing import write_lora

    module = from_configuration(UNet2DCondition, options["unet"])
    shapes = module.example(options["unet"])
    params = jax.eval_shape(module.init, jax.random.key(0), *shapes)["params"]
    with jax.enable_x64(dtype == "float64"):
        adapter, trained = _terms(options, params)
        write_lora(adapter, trained, module, "unet", file)


def _terms(options: Options, params: Any) -> tuple[Any, Any]:
    """An adapter, and what it might have learnt."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from diffusion_jax.networks.adapters.lora import LoRA

    told = options["lora"]
    adapter = LoRA(rank=told["rank"], alpha=told["alpha"], targets=tuple(told["targets"]))
    _, trained = adapter.split(params, jax.random.key(0))
    random = np.random.default_rng(told["seed"])

    def draw(like: Any) -> Any:
        return jnp.asarray(0.3 * random.standard_normal(like.shape).astype("f4"), float)

    return adapter, jax.tree.map(draw, trained)


def adapt(pipe: Any, options: Options, file: Path) -> None:
    """Loads the terms."""
    pipe.load_lora_weights(file)


def read(folder: Path, dtype: str, file: Path, options: Options) -> Any:
    """The model whose adapter was written."""
    from diffusion_jax.published.model import released

    model = released(folder, dtype)
    part = model.parts["unet"]
    adapter, trained = _terms(options, part.params)
    merged = dataclasses.replace(part, params=adapter.merged(part.params, trained))
    return dataclasses.replace(model, parts={**model.parts, "unet": merged})


KIND = dataclasses.replace(
    stable_diffusion.KIND, draw=draw, written=written, adapt=adapt, read=read
)
