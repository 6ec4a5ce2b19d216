"""A released model: its folder read, and its pictures drawn by any method of this library."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
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
from diffusion_jax.process.level import Level
from diffusion_jax.published.card import ModelCard
from diffusion_jax.published.checkpoint import read_checkpoint
from diffusion_jax.published.folder import INDEX
from diffusion_jax.published.identify import card_of
from diffusion_jax.published.lora.reading import with_lora
from diffusion_jax.published.parts import Part
from diffusion_jax.published.pictures import fitted, kept
from diffusion_jax.published.pipelines import Pipeline
from diffusion_jax.published.pipelines.base import Prompts, Size, token_side
from diffusion_jax.published.room import check_pictures
from diffusion_jax.published.schedulers import ReleasedProcess
from diffusion_jax.published.tokenizers import PromptTokenizer
from diffusion_jax.published.whole import read_folder
from diffusion_jax.sampling.checks import one_key
from diffusion_jax.sampling.editing import last_part
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.guidance import Guidance
from diffusion_jax.sampling.inverse import Posterior
from diffusion_jax.sampling.loop import prior, sample_keys
from diffusion_jax.sampling.sample import Steering, steered_from
from diffusion_jax.sampling.solvers import Solver, State
from diffusion_jax.sampling.thresholds import NoThreshold

DTYPES = ("float32", "bfloat16", "float64")
NUMBERS = "numbers"  # of a `Context`; a scale of guidance, where a network is told one


@dataclasses.dataclass(frozen=True, eq=False)
class ReleasedModel:
    """A model that others have released.

    Attributes:
        folder: or file that it was read from.
        kind: the original's name of its pipeline; the name of its card, if it has none.
        pipeline: how it is asked.
        parts: its modules with their parameters, by the names of their folders.
        scheduler: the process that it was trained on, and how it is drawn from by default.
        unused: parts of the folder that decide about no number of a picture.
        tokenizers: of its text encoders, by the names of their folders.
        settings: what its model_index.json says beside the parts.
    """

    folder: Path
    kind: str
    pipeline: Pipeline
    parts: Mapping[str, Part]
    scheduler: ReleasedProcess
    unused: tuple[str, ...] = ()
    tokenizers: Mapping[str, PromptTokenizer] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def network(self) -> Part:
        """The network that denoises."""
        return self.parts[self.pipeline.network]

    @property
    def default_size(self) -> Size:
        """Height and width that it was trained on, in pixels."""
        return self.pipeline.default_size(self)

    @property
    def factor(self) -> int:
        """Pixels along a side for each latent."""
        return int(self.parts["vae"].module.factor) if "vae" in self.parts else 1

    def ask(self, prompts: Prompts, size: Size | None = None, negative: bool = False) -> Rows:
        """The condition that asks for prompts, a row for each; None asks for nothing.

        Args:
            prompts: in words, or whatever the pipeline takes.
            size: height and width in pixels, which some models are told.
            negative: they are what guidance leads away from.

        Raises:
            UserError: it cannot be asked for that.
        """
        return self.pipeline.ask(self, tuple(prompts), size or self.default_size, negative)

    def denoiser(self, params: PyTree | None = None) -> Denoiser:
        """(x, level, condition) → E[x_0 | x]; levels of any process, and any solver.

        Args:
            params: in the place of its own, such as the argument of a compiled function.
        """
        own = self.network.params if params is None else params
        told = self.scheduler.variance

        def predict(x: Array, c_noise: Array, condition: Condition | None) -> Array:
            context = Context(**_arrays(condition)) if condition else None
            found: Array = self.network.module.apply({"params": own}, x, c_noise, context)
            # A variance that nothing reads, as of DiT.
            return found if told else found[..., : x.shape[-1]]

        scheduler = self.scheduler
        return from_network(
            predict, scheduler.prediction, scheduler.sigma_data, told, scheduler.preconditioning
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

    @functools.cached_property
    def _decoded(self) -> Any:
        module = self.parts["vae"].module
        return jax.jit(lambda params, z: module.apply({"params": params}, z, method="reconstruct"))

    @functools.cached_property
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
        height, width, _ = self.pipeline.shape(self, size or self.default_size)
        patch = token_side(self.network)
        tokens = (height // patch) * (width // patch)
        return self.scheduler.nodes(steps or self.pipeline.steps, tokens)

    def sample(
        self,
        prompts: Sequence[str] | Condition,
        key: Array,
        *,
        negative: str | None = None,
        steps: int | None = None,
        guidance: float | Guidance | None = None,
        solver: Solver | None = None,
        nodes: Nodes | None = None,
        size: Size | None = None,
        image: Float[Array, "height width colours"] | None = None,
        strength: float = 0.8,
        keep: Float[Array, "height width 1"] | None = None,
        noise: Float[Array, "batch rows columns channels"] | None = None,
        latents: bool = False,
    ) -> Float[Array, "batch drawn_height drawn_width drawn_channels"]:
        """Draws a picture for each prompt, as the original pipeline does unless told otherwise.

        Sample i of a key is the same whatever the number of prompts.

        Args:
            prompts: one for each picture; or a condition, such as `ask` gives.
            key: of the noise, one `jax.random.key`.
            negative: what guidance leads away from, for all; None is what the original takes.
            steps: how many; None is the original's number.
            guidance: the scale of classifier-free guidance, or what the network is told of it, as
                FLUX.1-dev's is; or a `Guidance`; None is the original's.
            solver: takes the steps; None is that of the model's scheduler.
            nodes: the levels; None are those of the model's scheduler.
            size: height and width in pixels; None is what the model was trained on, or `image`'s.
            image: from -1 to 1, to start from with some noise.
            strength: share of the steps that are taken from there, see `editing.last_part`.
            keep: 1 where `image` is kept as it is, 0 where it is drawn anew.
            noise: standard normal, of the shape of the latents, in the place of that of the key.
            latents: give latents, not pictures.

        Returns:
            Pictures from -1 to 1, (batch, height, width, colours).

        Raises:
            UserError: a prompt, a size or a method that the model cannot take.
        """
        keys = sample_keys(one_key(key), _count(prompts))
        if image is not None:
            size = image.shape[0], image.shape[1]
        elif keep is not None:
            raise UserError("A mask needs the picture that it keeps part of: give an image.")
        size = size or self.default_size
        shape = self.pipeline.shape(self, size)
        check_pictures(len(keys), size, self._finest)
        whole = self.nodes(steps, size) if nodes is None else nodes
        chosen = self.scheduler.solver(whole.time.shape[0] - 1) if solver is None else solver
        if noise is None:
            noise = self.noise(keys, shape)
        elif noise.shape != (len(keys), *shape):
            raise UserError(
                f"The noise must have the shape {(len(keys), *shape)}, not {noise.shape}."
            )
        posterior = None
        if image is None:
            start = noise * self._start_scale(whole, nodes is None)
        else:
            pixels = shape[0] * self.factor, shape[1] * self.factor
            known = jnp.broadcast_to(self.encode(fitted(image[None], pixels)), noise.shape)
            if keep is not None:
                posterior = kept(fitted(keep[None], pixels)[0], known)
            whole = last_part(whole, strength)
            start = whole[0].level.mix(known, noise)
        drawn = self.sample_from(
            start, prompts, keys, negative, guidance, chosen, whole, size, posterior
        )
        return drawn if latents else fitted(self.decode(drawn), size)

    @property
    def _finest(self) -> int:
        """Features of a pixel, at least, in some layer as large as the picture."""
        part = self.parts.get("vae", self.network)
        widths = part.configuration.get("block_out_channels") or (3,)
        return int(max(3, widths[0]))

    def noise(self, keys: Array, shape: tuple[int, int, int]) -> Array:
        """Standard normal noise, (batch, *shape), a key for each row."""
        one = Level(jnp.zeros(1), jnp.ones(1))
        return prior(Nodes(jnp.ones(1), one, one), keys, shape)

    def _start_scale(self, nodes: Nodes, own: bool) -> float | Array:
        return self.scheduler.start_scale(nodes) if own else nodes.level.sigma[0]

    def sample_from(
        self,
        start: Float[Array, "batch height width channels"],
        prompts: Sequence[str] | Condition,
        keys: Array,
        negative: str | None,
        guidance: float | Guidance | None,
        solver: Solver,
        nodes: Nodes,
        size: Size,
        posterior: Posterior | None = None,
        save: Callable[[State], PyTree] | None = None,
    ) -> Any:
        """Latents drawn from a start at the first node; other arguments as of `sample`.

        Args:
            start: of the level of the first node.
            prompts: one for each row, or a condition.
            keys: one for each row, see `sampling.loop.sample_keys`.
            negative: what guidance leads away from.
            guidance: a scale, a `Guidance`, or None for the original's.
            solver: takes the steps.
            nodes: the levels.
            size: height and width in pixels.
            posterior: of an observation that they are to agree with, a row each.
            save: what to keep of the solver's state after each step (`lambda state: state.x`).

        Returns:
            Latents, (batch, height, width, channels); with `save`, they and what was saved,
            (steps, ...).
        """
        guide, scale = self._steer(guidance)
        asked = prompts if isinstance(prompts, Mapping) else self.ask(prompts, size)
        condition, null = _arrays(asked), None
        if scale is not None:
            condition[NUMBERS] = condition[NUMBERS].at[:, -1].set(scale)
        if guide is not None:
            null = _arrays(self.ask([negative] * _count(prompts), size, negative=True))
            if NUMBERS in condition and not self.pipeline.negative_numbers:
                null[NUMBERS] = condition[NUMBERS]
        elif negative:
            raise UserError(
                "A negative prompt changes nothing without classifier-free guidance: give a scale "
                "above 1, or classifier_free(scale=…) where the network is told a scale itself."
            )
        own = self.scheduler.threshold
        threshold = None if isinstance(own, NoThreshold) else own
        given = condition, null, guide, threshold, posterior
        return self._program(self.network.params, start, keys, given, solver, nodes, save)

    def _steer(self, guidance: float | Guidance | None) -> tuple[Guidance | None, float | None]:
        """A guidance, and a number that the network is told."""
        if guidance is None or isinstance(guidance, (int, float)):
            return self.pipeline.steer(self, None if guidance is None else float(guidance))
        return guidance, None

    @functools.cached_property
    def _program(self) -> Any:
        """One program for all starts, prompts and parameters."""

        @functools.partial(jax.jit, static_argnames="save")
        def run(
            params: PyTree,
            start: Array,
            keys: Array,
            given: Any,
            solver: Any,
            nodes: Nodes,
            save: Callable[[State], PyTree] | None,
        ) -> Any:
            condition, null, guide, threshold, posterior = given
            steering = Steering(guide, null, None, posterior, threshold)
            denoise = self.denoiser(params)
            asked = condition or None
            return steered_from(denoise, solver, nodes, start, keys, asked, steering, save)

        return run


def _count(prompts: Sequence[str] | Condition) -> int:
    return len(next(iter(prompts.values()))) if isinstance(prompts, Mapping) else len(prompts)


def _arrays(condition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: jnp.asarray(value) for name, value in condition.items()}


def released(
    path: str | Path,
    dtype: str = "float32",
    variant: str = "",
    sharding: Sharding | None = None,
    card: str | ModelCard = "",
    autoencoder: str | Path | None = None,
    strict: bool = False,
    lora: str | Path | None = None,
    lora_scale: float = 1.0,
    settings: Mapping[str, Any] | None = None,
    like: str | Path | None = None,
) -> ReleasedModel:
    """Reads a model that others have released; nothing in its files is run.

    Args:
        path: a folder with a model_index.json, as diffusers writes it; or a checkpoint as its
            authors released it, of which a card is known; or one file with all parts, see `like`.
        dtype: of parameters and computation, "float32" or "bfloat16".
        variant: which of several files of weights, such as "fp16".
        sharding: where parameters are to live; None is the default device.
        card: that explains a checkpoint, or its name; "" is the one that fits it.
        autoencoder: folder of the one that makes pictures of a checkpoint's latents.
        strict: refuse prompts that are too long for the text encoders, and do not cut them.
        lora: a file of low-rank terms that are added to the model's kernels, see `published.lora`.
        lora_scale: of those terms.
        settings: of its pipeline, such as {"clip_skip": 1}; see `published.pipelines`.
        like: folder of the model that one file is a version of: it has the configurations, the
            scheduler and the tokenizers, and the parts that the file lacks.

    Raises:
        UserError: there is nothing, something in it is missing, damaged or left over, a class or
            a setting is not known, or there is no memory for it.
    """
    one_of(dtype, DTYPES, "dtype of a released model")
    folder, settings = user_path(path), settings or {}
    whole = like is not None or (folder / INDEX).exists()
    if card and like is not None:
        raise UserError(
            "A file is explained by a card or by a folder that it is like, not by both."
        )
    if card or not whole:
        known = card if isinstance(card, ModelCard) else card_of(folder, card)
        place = None if autoencoder is None else user_path(autoencoder)
        for name in settings:
            raise UserError(f"{folder} is a checkpoint, which has no setting {name!r}.")
        if variant:
            raise UserError(f"{folder} is a checkpoint, which has no variant {variant!r}.")
        parts = read_checkpoint(folder, known, dtype, sharding, place)
        found = ReleasedModel(folder, known.name, *parts)
    elif autoencoder is not None:
        raise UserError(f"{folder} has an autoencoder of its own, or needs none.")
    else:
        place = folder if like is None else user_path(like)
        file = None if like is None else folder
        made = read_folder(place, dtype, variant, sharding, strict, settings, file)
        found = ReleasedModel(**made)
    if lora is not None:
        merged = with_lora(found.parts, found.pipeline.network, lora, lora_scale)
        return dataclasses.replace(found, parts=merged)
    if lora_scale != 1:
        raise UserError(f"lora_scale={lora_scale} is of a LoRA, and none is named.")
    return found
