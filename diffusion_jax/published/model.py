"""A released model: its folder read, and its pictures drawn by any method of this library."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Sharding
from jaxtyping import Array, Float, PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.files import user_path
from diffusion_jax.networks.conditioners.base import Condition, Context, Rows
from diffusion_jax.process.denoiser import Denoiser, from_network
from diffusion_jax.published.parts import Part, originals, read_json, read_part
from diffusion_jax.published.pipelines import Pipeline, pipelines
from diffusion_jax.published.pipelines.base import Size
from diffusion_jax.published.schedulers import Scheduler, translate
from diffusion_jax.published.schedulers.scheduler import SIGMA_DATA
from diffusion_jax.sampling.checks import one_key
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.guidance.classifier_free import ClassifierFree
from diffusion_jax.sampling.loop import prior, sample_keys
from diffusion_jax.sampling.sample import Steering, steered_from
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.thresholds import NoThreshold

INDEX, SCHEDULER = "model_index.json", "scheduler/scheduler_config.json"
# Parts of pipelines that decide about no number of a picture.
UNUSED = ("safety_checker", "feature_extractor", "image_processor", "watermarker")
LEARNED = ("learned", "learned_range")


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedModel:
    """A model that others have released.

    Attributes:
        folder: that it was read from.
        kind: the original's name of its pipeline.
        pipeline: how it is asked.
        parts: its modules with their parameters, by the names of their folders.
        scheduler: the process that it was trained on, and how it is drawn from by default.
        unused: parts of the folder that decide about no number of a picture.
    """

    folder: Path
    kind: str
    pipeline: Pipeline
    parts: Mapping[str, Part]
    scheduler: Scheduler
    unused: tuple[str, ...] = ()

    @property
    def network(self) -> Part:
        """The network that denoises."""
        return self.parts[self.pipeline.network]

    @property
    def default_size(self) -> Size:
        """Height and width that it was trained on, in pixels."""
        return self.pipeline.default_size(self.parts)

    def ask(self, prompts: Sequence[str], size: Size | None = None) -> Rows:
        """The condition that asks for prompts, a row for each; "" asks for nothing.

        Args:
            prompts: in words, or whatever the pipeline takes.
            size: height and width in pixels, which some models are told.

        Raises:
            UserError: it cannot be asked for that.
        """
        return self.pipeline.ask(self.parts, tuple(prompts), size or self.default_size)

    def denoiser(self, params: PyTree | None = None) -> Denoiser:
        """(x, level, condition) → E[x_0 | x]; levels of any process, and any solver.

        Args:
            params: in the place of its own, such as the argument of a compiled function.
        """
        own = self.network.params if params is None else params
        variance = self.scheduler.settings["variance_type"]
        told = variance if variance in LEARNED else None

        def predict(x: Array, c_noise: Array, condition: Condition | None) -> Array:
            context = Context(**_arrays(condition)) if condition else None
            found: Array = self.network.module.apply({"params": own}, x, c_noise, context)
            # A variance that nothing reads, as of DiT.
            return found if told else found[..., : x.shape[-1]]

        scheduler = self.scheduler
        return from_network(
            predict, scheduler.prediction, SIGMA_DATA, told, scheduler.preconditioning
        )

    def decode(self, latents: Float[Array, "batch height width channels"]) -> Array:
        """Pictures from -1 to 1; latents themselves, where there is no autoencoder."""
        if "vae" not in self.parts:
            return latents
        coder = self.parts["vae"]
        return self._decoded(coder.params, latents)

    def encode(self, pictures: Float[Array, "batch height width colours"]) -> Array:
        """The means of the latents of pictures from -1 to 1."""
        if "vae" not in self.parts:
            return pictures
        coder = self.parts["vae"]
        return self._encoded(coder.params, pictures)

    @cached_property
    def _decoded(self) -> Any:
        module = self.parts["vae"].module
        return jax.jit(lambda params, z: module.apply({"params": params}, z, method="reconstruct"))

    @cached_property
    def _encoded(self) -> Any:
        module = self.parts["vae"].module

        def encode(params: PyTree, x: Array) -> Array:
            mean, _ = module.apply({"params": params}, x, method="encode")
            latents: Array = module.apply({"params": params}, mean, method="normalise")
            return latents

        return jax.jit(encode)

    def nodes(self, steps: int | None = None, size: Size | None = None) -> Nodes:
        """The levels that the original visits.

        Args:
            steps: how many; None is the original's number.
            size: height and width in pixels, on which some grids depend.
        """
        height, width, _ = self.pipeline.shape(self.parts, size or self.default_size)
        patch = int(self.network.configuration.get("patch_size") or 1)
        tokens = (height // patch) * (width // patch)
        return self.scheduler.nodes(steps or self.pipeline.steps, tokens)

    def sample(
        self,
        prompts: Sequence[str],
        key: Array,
        *,
        negative: str = "",
        steps: int | None = None,
        guidance: float | Guidance | None = None,
        solver: Solver | None = None,
        nodes: Nodes | None = None,
        size: Size | None = None,
        latents: bool = False,
    ) -> Float[Array, "batch height width channels"]:
        """Draws a picture for each prompt, as the original pipeline does unless told otherwise.

        Sample i of a key is the same whatever the number of prompts.

        Args:
            prompts: one for each picture.
            key: of the noise, one `jax.random.key`.
            negative: what guidance leads away from, for all.
            steps: how many; None is the original's number.
            guidance: the scale of classifier-free guidance, or a `Guidance`; None is the
                original's.
            solver: takes the steps; None is that of the model's scheduler.
            nodes: the levels; None are those of the model's scheduler.
            size: height and width in pixels; None is what the model was trained on.
            latents: give latents, not pictures.

        Returns:
            Pictures from -1 to 1, (batch, height, width, colours).

        Raises:
            UserError: a prompt, a size or a method that the model cannot take.
        """
        keys = sample_keys(one_key(key), len(prompts))
        size = size or self.default_size
        shape = self.pipeline.shape(self.parts, size)
        given = self.nodes(steps, size) if nodes is None else nodes
        noise = prior(given, keys, shape) / given.level.sigma[0]
        start = noise * (
            self.scheduler.start_scale(given) if nodes is None else given.level.sigma[0]
        )
        count = given.time.shape[0] - 1
        chosen = self.scheduler.solver(steps or count) if solver is None else solver
        drawn = self.sample_from(start, prompts, keys, negative, guidance, chosen, given, size)
        return drawn if latents else self.decode(drawn)

    def sample_from(
        self,
        start: Float[Array, "batch height width channels"],
        prompts: Sequence[str],
        keys: Array,
        negative: str,
        guidance: float | Guidance | None,
        solver: Solver,
        nodes: Nodes,
        size: Size,
    ) -> Float[Array, "batch height width channels"]:
        """Latents drawn from a start at the first node; other arguments as of `sample`."""
        scale = self.pipeline.guidance if guidance is None else guidance
        guide = _guidance(scale)
        condition = _arrays(self.ask(prompts, size))
        null = None
        if guide is not None:
            null = _arrays(self.ask([negative] * len(prompts), size))
        elif negative:
            raise UserError(
                "A negative prompt changes nothing without guidance: give a scale above 1."
            )
        own = self.scheduler.threshold
        kept = None if isinstance(own, NoThreshold) else own
        run = _compiled(self)
        return run(self.network.params, start, keys, condition, null, guide, kept, solver, nodes)


def _arrays(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jnp.asarray(value) for name, value in condition.items()}


def _guidance(scale: float | Guidance) -> Guidance | None:
    if isinstance(scale, (int, float)):
        return None if scale == 1 else ClassifierFree(float(scale))
    return scale


def _compiled(model: ReleasedModel) -> Any:
    """One program for all starts, prompts and parameters of a model."""
    if "_program" not in model.__dict__:

        @jax.jit
        def run(
            params: PyTree,
            start: Array,
            keys: Array,
            condition: Any,
            null: Any,
            guide: Any,
            kept: Any,
            solver: Any,
            nodes: Nodes,
        ) -> Array:
            steering = Steering(guidance=guide, null=null, threshold=kept)
            denoise = model.denoiser(params)
            given = condition or None
            samples = steered_from(denoise, solver, nodes, start, keys, given, steering)
            assert isinstance(samples, Array), "nothing else was asked for"
            return samples

        object.__setattr__(model, "_program", run)
    return model.__dict__["_program"]


def released(
    path: str | Path,
    dtype: str = "float32",
    variant: str = "",
    sharding: Sharding | None = None,
) -> ReleasedModel:
    """Reads a model's folder as diffusers writes it; nothing in it is run.

    Args:
        path: a folder with a model_index.json.
        dtype: of parameters and computation, "float32" or "bfloat16".
        variant: which of several files of weights, such as "fp16".
        sharding: where parameters are to live; None is the default device.

    Raises:
        UserError: there is no such folder, something in it is missing, damaged or left over, or a
            class or a setting is not known.
    """
    folder = user_path(path)
    index = read_json(folder / INDEX)
    kind = str(index.get("_class_name"))
    pipeline = pipelines.make(one_of(kind, pipelines, "pipeline"))
    known, parts, unused = originals(), {}, []
    for name, value in index.items():
        if name.startswith("_") or not isinstance(value, list) or value == [None, None]:
            continue
        original = value[-1]
        if name == "scheduler" or name.startswith("tokenizer"):
            continue
        if name in UNUSED:
            unused.append(name)
            continue
        one_of(original, known, f"class of the part {name!r}")
        parts[name] = read_part(folder / name, dtype, variant, sharding)
    if pipeline.network not in parts:
        raise UserError(f"{folder / INDEX} names no part {pipeline.network!r}.")
    scheduler = translate(read_json(folder / SCHEDULER), pipeline.even_times)
    return ReleasedModel(folder, kind, pipeline, parts, scheduler, tuple(unused))
