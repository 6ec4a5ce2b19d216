"""A diffusers scheduler, read as parts of this library."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from diffusion_jax.errors import UserError
from diffusion_jax.process.level import Level
from diffusion_jax.process.preconditionings import (
    EDMPreconditioning,
    Preconditioning,
)
from diffusion_jax.process.preconditionings.time import TimePreconditioning
from diffusion_jax.process.preconditionings.timesteps import TimestepsPreconditioning
from diffusion_jax.process.predictions import X0, Epsilon, Prediction, V, Velocity
from diffusion_jax.process.schedules import Schedule
from diffusion_jax.process.schedules.flow import RectifiedFlow
from diffusion_jax.published.schedulers import (
    edm,
    flows,
    latent_consistency,
    solvers,
    spacing,
    table,
)
from diffusion_jax.published.schedulers.settings import Settings, read
from diffusion_jax.published.schedulers.units import InUnits
from diffusion_jax.sampling.grids import Nodes
from diffusion_jax.sampling.solvers import Solver
from diffusion_jax.sampling.thresholds import NoThreshold, Threshold

PREDICTIONS: Mapping[str, Prediction] = {"epsilon": Epsilon(), "sample": X0(), "v_prediction": V()}
DISTILLED = ("LCMScheduler", "TCDScheduler")
BY_LABEL = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler", *DISTILLED)
# Those that step through fractional labels, between which sigma/alpha is linear. Others tell the
# network of levels between their nodes, too, which are linear in its logarithm.
LINEAR = (
    *("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"),
    "LMSDiscreteScheduler",
)
# Whose solvers keep x_0 within range themselves.
THRESHOLDS = ("DDIMScheduler", "LCMScheduler")
# What data are taken to have by networks that see x at unit variance.
SIGMA_DATA = 1.0
LEARNED = ("learned", "learned_range")
HALVED = 3  # steps that PNDM takes by Runge-Kutta


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """What a scheduler_config.json says, in terms of this library.

    Attributes:
        settings: of the file.
        schedule: the process that the network was trained on.
        prediction: what the network predicts.
        preconditioning: what it sees of x and of the noise level.
        threshold: keeps estimates of x_0 within range.
        even_times: whether its pipeline lays out the times of a flow itself, evenly.
    """

    settings: Settings
    schedule: Schedule
    prediction: Prediction
    preconditioning: Preconditioning
    threshold: Threshold
    even_times: bool = False

    @property
    def name(self) -> str:
        """Of the scheduler's class."""
        return self.settings.name

    @property
    def sigma_data(self) -> float:
        """Standard deviation of data, as networks take it; see `SIGMA_DATA`."""
        return float(self.settings["sigma_data"]) if self.name in edm.NAMES else SIGMA_DATA

    @property
    def variance(self) -> str | None:
        """How to read the variance that its network tells; None if it tells none."""
        kind = self.settings["variance_type"]
        return kind if kind in LEARNED else None

    def solver(self, steps: int) -> Solver:
        """The solver that takes its steps.

        Raises:
            UserError: a setting that cannot be honoured.
        """
        return solvers.solver(self.settings, steps)

    def nodes(self, steps: int, tokens: int | None = None) -> Nodes:
        """The levels that it visits, (steps + 1,).

        Args:
            steps: how many.
            tokens: patches of a picture, for shifts that grow with it.

        Raises:
            UserError: a number of steps that it cannot take, or a setting that it cannot honour.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise UserError(f"The number of steps must be a whole number, not {steps!r}.")
        settings = self.settings
        if settings.name in DISTILLED:
            return _distilled(settings, steps)
        if settings.name in BY_LABEL:
            return _at_labels(settings, steps)
        if settings.name in edm.NAMES:
            return _exploding(edm.sigmas(settings, steps))
        if settings.name.startswith("FlowMatch"):
            return _flowing(flows.flow_match_grid(settings, steps, tokens, self.even_times))
        if settings["use_flow_sigmas"]:
            return _flowing(flows.flow_grid(settings, steps, tokens, self.even_times))
        ratio = spacing.noise_grid(settings, steps)
        return _preserving(ratio) if spacing.is_dpm(settings) else _exploding(ratio)

    def start_scale(self, nodes: Nodes) -> float:
        """The standard deviation of the noise that a run starts from.

        Args:
            nodes: of the run.
        """
        if float(nodes.level.alpha[0]) != 1.0 or self.name in BY_LABEL:
            return 1.0
        highest = float(nodes.level.sigma[0])
        if self.name in edm.NAMES:
            return float(np.hypot(self.settings["sigma_max"], 1))
        spaced = self.settings["timestep_spacing"] in ("linspace", "trailing")
        return highest if spaced else float(np.hypot(highest, 1))


def translate(
    config: Mapping[str, Any], even_times: bool = False, unit_times: bool = False
) -> Scheduler:
    """Reads a scheduler's config.

    Args:
        config: what scheduler_config.json holds.
        even_times: whether its pipeline lays out the times of a flow itself, as FLUX's do.
        unit_times: whether its pipeline tells the network shares of the training steps, as PRX's.

    Raises:
        UserError: a scheduler that is not known, or a setting that cannot be honoured; nothing is
            passed over.

    >>> scheduler = translate({"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"})
    >>> scheduler.prediction, scheduler.solver(10).evaluations(10), len(scheduler.nodes(10).time)
    (V(), 10, 11)
    """
    found = _translated(read(config), even_times)
    if not unit_times:
        return found
    shares = InUnits(found.preconditioning, float(found.settings.count))
    return dataclasses.replace(found, preconditioning=shares)


def _translated(settings: Settings, even_times: bool) -> Scheduler:
    """The same, whose network is told the number of the training step."""
    kept = NoThreshold() if settings.name in THRESHOLDS else solvers.threshold(settings)
    if settings.name.startswith("FlowMatch") or settings["use_flow_sigmas"]:
        _check_flow(settings)
        flow = RectifiedFlow()
        down = "none" if settings.name.startswith("FlowMatch") else "down"
        seen = TimePreconditioning(flow, float(settings.count), rounding=down)
        return Scheduler(settings, flow, Velocity(flow), seen, kept, even_times)
    if settings.name in edm.NAMES:
        own, said = edm.schedule(settings), edm.prediction(settings)
        return Scheduler(settings, own, said, EDMPreconditioning(), kept, even_times)
    kind = settings.one_of("prediction_type", PREDICTIONS)
    if settings.name == "PNDMScheduler" and kind != "epsilon":
        raise UserError(
            f"PNDMScheduler: prediction_type={kind!r} cannot be honoured: it takes means of what "
            "the network says at several levels. DDIMScheduler has the same settings."
        )
    table.check_signal(settings)
    schedule = table.schedule(settings)
    seen_by = _preconditioning(settings, schedule)
    return Scheduler(settings, schedule, PREDICTIONS[kind], seen_by, kept, even_times)


def _preconditioning(settings: Settings, schedule: Schedule) -> Preconditioning:
    kind = settings.one_of("timestep_type", ("discrete", "continuous"))
    if settings["interpolation_type"] == "log_linear" and kind == "discrete":
        raise UserError(
            f"{settings.name}: interpolation_type='log_linear' with discrete timesteps cannot be "
            "honoured: the network is told others than those of its noise."
        )
    if settings.name == "EulerDiscreteScheduler" and kind == "continuous":
        return EDMPreconditioning()  # of data of unit variance, see `SIGMA_DATA`
    rounding = "nearest" if settings.name in BY_LABEL else "none"
    if spacing.is_dpm(settings):
        rounded = ("use_karras_sigmas", "use_lu_lambdas")
        whole = spacing.respacing(settings) is None
        cosine = settings["beta_schedule"] == "squaredcos_cap_v2"
        nearest = any(settings[name] for name in rounded) and not cosine
        rounding = "nearest" if whole or nearest else "down"
    if settings["use_karras_sigmas"] and settings.name.startswith("KDPM2"):
        raise UserError(
            f"{settings.name}: use_karras_sigmas=True cannot be honoured: the network is told "
            "whole timesteps at the ends of a step and others in its middle. "
            "use_exponential_sigmas=True is without that."
        )
    linear = settings.name in LINEAR and spacing.respacing(settings) is None
    return TimestepsPreconditioning(
        schedule, settings.count, rounding, "ratio" if linear else "log"
    )


def _check_flow(settings: Settings) -> None:
    settings.one_of("prediction_type", ("flow_prediction",))
    if settings.name.startswith("FlowMatch") and settings["invert_sigmas"]:
        raise UserError(f"{settings.name}: invert_sigmas=True cannot be honoured.")


def _at_labels(settings: Settings, steps: int) -> Nodes:
    """Variance-preserving nodes at labels; below the first is the end that the file names."""
    at = spacing.labels(settings, steps)
    stride = settings.count // steps
    if settings.name != "DDPMScheduler" and (np.diff(at) != -stride).any():
        raise UserError(
            f"{settings.name}: {steps} steps with timestep_spacing="
            f"{settings['timestep_spacing']!r} go by {stride} labels and ask the network at others "
            f"than they lead to: take a number that divides {settings.count}, or another solver."
        )
    if settings.name == "PNDMScheduler" and not settings["skip_prk_steps"]:
        half = stride // 2
        first = np.stack([at[:HALVED], at[1 : HALVED + 1] + half], axis=1).ravel()
        at = np.concatenate([first, at[HALVED:]])
    variance = settings["variance_type"]
    if settings.name == "DDPMScheduler" and at[-1] > 0 and not str(variance).startswith("fixed_s"):
        raise UserError(
            f"{settings.name}: variance_type={variance!r} cannot be honoured where the last label "
            f"is {at[-1]} and not 0: noise of that variance is left in what is drawn. Take "
            "timestep_spacing='leading' and steps_offset=0."
        )
    clips = not isinstance(solvers.threshold(settings), NoThreshold)
    stays = at[-1] == 0 and not settings["set_alpha_to_one"]
    if settings.name == "DDIMScheduler" and stays and clips:
        raise UserError(
            f"{settings.name}: set_alpha_to_one=False cannot be honoured beside clip_sample or "
            "thresholding where the last label is 0: its last step has no length, and moves x to "
            "what is kept within range all the same. Set steps_offset=1."
        )
    alpha, sigma = table.levels(settings)
    end = (1.0, 0.0) if settings["set_alpha_to_one"] else (alpha[0], sigma[0])
    return _preserving_levels(np.append(alpha[at], end[0]), np.append(sigma[at], end[1]))


def _distilled(settings: Settings, steps: int) -> Nodes:
    """Nodes of a distilled network; LCM ends on clean data, TCD at the first label."""
    at, (alpha, sigma) = latent_consistency.labels(settings, steps), table.levels(settings)
    end = (1.0, 0.0) if settings.name == "LCMScheduler" else (alpha[0], sigma[0])
    return _preserving_levels(np.append(alpha[at], end[0]), np.append(sigma[at], end[1]))


def _preserving(ratio: Float64[np.ndarray, "nodes"]) -> Nodes:
    """Nodes with alpha² + sigma² = 1 at given sigma/alpha."""
    alpha = 1 / np.sqrt(1 + ratio**2)
    return _preserving_levels(alpha, ratio * alpha)


def _preserving_levels(
    alpha: Float64[np.ndarray, "nodes"], sigma: Float64[np.ndarray, "nodes"]
) -> Nodes:
    """Nodes whose time is the angle arctan(sigma/alpha), where alpha' = -sigma, sigma' = alpha."""
    alpha_, sigma_ = spacing.on_device(alpha), spacing.on_device(sigma)
    time = spacing.on_device(np.arctan2(sigma, alpha))
    return Nodes(time, Level(alpha_, sigma_), Level(-sigma_, alpha_))


def _exploding(ratio: Float64[np.ndarray, "nodes"]) -> Nodes:
    """Nodes of x_0 + sigma eps, whose time is sigma."""
    sigma = spacing.on_device(ratio)
    one = jnp.ones_like(sigma)
    return Nodes(sigma, Level(one, sigma), Level(0 * one, one))


def _flowing(sigma: Float64[np.ndarray, "nodes"]) -> Nodes:
    """Nodes of (1 - sigma) x_0 + sigma eps, whose time is sigma."""
    time, alpha = spacing.on_device(sigma), spacing.on_device(1 - sigma)
    one = jnp.ones_like(time)
    return Nodes(time, Level(alpha, time), Level(-one, one))
