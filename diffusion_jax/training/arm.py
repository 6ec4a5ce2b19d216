"""An arm: one training configuration, compared with others."""

import dataclasses
import functools
import re
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree

from diffusion_jax.errors import UserError
from diffusion_jax.fewstep import FewStep
from diffusion_jax.fewstep.denoiser import FewStepPrediction
from diffusion_jax.networks.adapters.base import Tuning
from diffusion_jax.networks.adapters.pretrained import Pretrained
from diffusion_jax.networks.functions import as_network
from diffusion_jax.networks.score_network import ScoreNetwork
from diffusion_jax.parallel import devices
from diffusion_jax.process.objective import Objective, check_spread
from diffusion_jax.process.time_samplers import LossAware
from diffusion_jax.process.time_samplers.uniform import Uniform
from diffusion_jax.process.weightings.plain import Simple
from diffusion_jax.runs.packing import digest
from diffusion_jax.training.autoencoding import (
    KLAutoencoding,
    autoencoder_functions,
    autoencoder_objective,
)
from diffusion_jax.training.denoising import Denoising, LevelsInStep
from diffusion_jax.training.ema import Average, averages
from diffusion_jax.training.few_steps import FewSteps
from diffusion_jax.training.hyper import Hyper
from diffusion_jax.training.learned_schedule import LearnedSchedule, check_learned, learns
from diffusion_jax.training.loss_aware import LossAwareTraining
from diffusion_jax.training.method import TrainingMethod
from diffusion_jax.training.optimizers import Given, Optimizer, optimizers
from diffusion_jax.training.options import Options

NAME = re.compile(r"[\w-]{1,64}")


@dataclasses.dataclass(frozen=True)
class Arm:
    """One training configuration, compared with others.

    Attributes:
        name: of letters, digits, - and _.
        objective: schedule, prediction, noise levels, weighting and loss; or a few-step objective
            that needs no teacher (`fewstep`); or, of an autoencoder, a `KLAutoencoding`.
        network: a linen, nnx or Equinox module that is called with (x, c_noise, condition); a pair
            of functions `init(key, x0, condition) -> params` and
            `apply(params, x, c_noise, condition, key) -> prediction`, or an object with these; or
            a `ScoreNetwork`. Modules and objects may have a method `null(condition)`: the condition
            that says nothing, for `condition_dropout` and guidance.
        optimizer: an optax transformation, learning rate included; an `Optimizer`, or its spec.
        ema: the running average of the parameters, or its spec.
        few_steps: how it is trained for few steps; None is denoising.
        autoencoding: how it is trained where its network is an autoencoder; then its objective was
            given as that.
        settings: the config's fields that an arm may have of its own, where it is of a config.
        pretrained: the network as it was given, where it comes with parameters.

    Raises:
        UserError: a name that cannot be a folder's, or parts that do not fit each other.

    >>> from diffusion_jax.process.predictions import V
    >>> from diffusion_jax.process.schedules import schedules
    >>> init = lambda key, x0, condition: jnp.zeros(x0.shape[1:])
    >>> apply = lambda params, x, c_noise, condition, key: x + params
    >>> objective = Objective(schedules.make("cosine"), V())
    >>> Arm("mine", objective, (init, apply), optimizer=optax.adam(1e-3)).name
    'mine'
    """

    name: str
    # Given as what users have, held as an Objective and an AnyNetwork.
    objective: Any
    network: Any
    optimizer: Optimizer | Given | optax.GradientTransformation | str = "adam()"
    ema: Average | str = "decay()"
    few_steps: FewSteps | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    pretrained: Pretrained | None = None
    autoencoding: KLAutoencoding | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise UserError(
                f"An arm cannot be called {self.name!r}: its name must be of letters, digits, - "
                "and _, 64 of them at most."
            )
        if not isinstance(self.ema, str | Average):
            raise UserError(
                f"Arm {self.name!r}: ema must be a member of dj.ema, such as dj.ema.Decay(), or a "
                f"spec such as 'decay(decay=0.999)' or 'none', not {self.ema!r}."
            )
        if self.few_steps is not None and not isinstance(self.few_steps, FewSteps):
            raise UserError(
                f"Arm {self.name!r}: give a few-step objective, such as dj.fewstep.Shortcut(), as "
                "its objective, and leave few_steps unset."
            )
        if isinstance(self.objective, KLAutoencoding):
            object.__setattr__(self, "autoencoding", self.objective)
            object.__setattr__(self, "objective", autoencoder_objective())
            object.__setattr__(self, "network", autoencoder_functions(self.network))
        few = self.few_steps.objective if self.few_steps else None
        if isinstance(self.objective, FewStep):
            few = self.objective
            object.__setattr__(self, "objective", few_step_objective(few))
        if not isinstance(self.objective, Objective):
            kind = type(self.objective).__name__
            raise UserError(f"Arm {self.name!r} needs an Objective, not {kind}.")
        if few is not None and few.teaches and self.few_steps is None:
            raise UserError(f"Arm {self.name!r} learns from a teacher: train it from a config.")
        numbers = 2 if few is not None and few.tells_end else 1
        if isinstance(self.network, Pretrained):
            object.__setattr__(self, "pretrained", self.network)
            object.__setattr__(self, "network", self._of_pretrained(self.network, few))
        network = as_network(self.network, self.objective.loss_function.variance, numbers)
        object.__setattr__(self, "network", network)

    def _of_pretrained(self, given: Pretrained, few: FewStep | None) -> ScoreNetwork:
        if few is not None:
            raise UserError(
                f"Arm {self.name!r}: a few-step objective brings a prediction of its own, and "
                f"{given.source} has another: train it as a teacher in a run first."
            )
        if learns(self.objective):
            raise UserError(f"Arm {self.name!r}: {given.source} goes with no learned schedule.")
        try:
            given.check_objective(self.objective)
            return given.network_for(self.objective.loss_function.variance)
        except UserError as error:
            raise UserError(f"Arm {self.name!r}: {error}") from None

    def bound(self, options: Options) -> "Arm":
        """The arm with optimizer and average made for a training.

        Raises:
            UserError: a spec is wrong, or the objective cannot be trained.
        """
        check_spread(self.objective)
        check_learned(self.name, self.objective)
        ema, few = self.ema, self.few_steps
        if isinstance(ema, str):
            ema = averages.make(ema, batch_size=options.batch_size)
        prediction = self.objective.prediction
        if few is None and isinstance(prediction, FewStepPrediction):
            few = FewSteps(prediction.objective, options.steps)
        optimizer = as_optimizer(self.optimizer, options.steps)
        return dataclasses.replace(self, optimizer=optimizer, ema=ema, few_steps=few)

    @property
    def hyper(self) -> Hyper:
        """What it brings to the compiled step; of an arm that is bound."""
        assert isinstance(self.optimizer, Optimizer | Given), "the arm is not bound"
        assert not isinstance(self.ema, str), "the arm is not bound"
        return Hyper(self.optimizer, self.ema, self.method, self.tuning)

    @property
    def tuning(self) -> Tuning | None:
        """What of the network is trained, and what is not; None where all of it is."""
        return None if self.pretrained is None else self.pretrained.tuning

    def whole(self, params: PyTree[Any]) -> PyTree[Any]:
        """The parameters of the network from those that are trained, on one device."""
        tuning = self.tuning
        return params if tuning is None else _whole(devices.local(tuning), params)

    @functools.cached_property
    def frozen_weights(self) -> str:
        """A checksum of what is not trained and decides; "" where all is trained."""
        if self.autoencoding is not None and self.autoencoding.perception is not None:
            return digest(self.autoencoding.perception.params)
        return "" if self.tuning is None else digest(self.tuning.frozen)

    def on(self, mesh: Mesh) -> "Arm":
        """The arm with what it leaves as it is on all devices of a mesh."""
        if self.autoencoding is not None and self.autoencoding.perception is not None:
            seen = self.autoencoding.perception
            seen = dataclasses.replace(seen, params=devices.replicate(seen.params, mesh))
            loss = dataclasses.replace(self.autoencoding, perception=seen)
            return dataclasses.replace(self, autoencoding=loss)
        own = self.pretrained
        if own is None or own.adapter is None or mesh.size == 1:
            return self
        params = devices.replicate(own.params, mesh)
        there = dataclasses.replace(own, read=lambda: params)
        return dataclasses.replace(self, pretrained=there)

    @property
    def method(self) -> TrainingMethod:
        """The kind of training that its parts ask for."""
        objective, times = self.objective, self.objective.time_sampler
        if self.few_steps is not None:
            return self.few_steps
        if self.autoencoding is not None:
            return self.autoencoding
        learned, aware = learns(objective), isinstance(times, LossAware)
        if not learned and not aware:
            return Denoising(objective.loss_function)
        method = LearnedSchedule(objective) if learned else LevelsInStep(objective)
        return LossAwareTraining(method, times) if aware else method

    @property
    def program(self) -> Hashable:
        """What the compiled step depends on: arms that agree in it share one."""
        leaves, structure = jax.tree.flatten(self.hyper)
        return self.network, structure, tuple(map(jnp.shape, leaves))

    def depends_on_length(self, done: int) -> str:
        """What of its first `done` steps depends on how many there will be; "" if nothing does."""
        if isinstance(self.optimizer, Optimizer) and self.optimizer.depends_on_steps(done):
            return f"the learning rate's {self.optimizer.decay} decay"
        if self.few_steps is not None and self.few_steps.objective.paced:
            objective = self.few_steps.objective
            return f"the curriculum of {self.settings.get('fewstep', objective)!r}"
        return ""

    @property
    def inherited(self) -> PyTree[Any] | None:
        """The parameters that it starts from, if its teacher's mean the same to it."""
        return None if self.few_steps is None else self.few_steps.inherited(self.network)


_whole = jax.jit(lambda tuning, params: tuning.whole(params))


def few_step_objective(few: FewStep, sigma_data: float = 0.5) -> Objective:
    """What an arm with a few-step objective predicts; the rest is within that."""
    return Objective(few.schedule, FewStepPrediction(few), Uniform(), Simple(), sigma_data)


def as_optimizer(
    given: Optimizer | Given | optax.GradientTransformation | str, steps: int
) -> Optimizer | Given:
    """Makes an optimizer of a spec, of an optax transformation, or of one without its steps.

    Raises:
        UserError: it is none of these, or the spec is wrong.
    """
    if isinstance(given, str):
        return optimizers.make(given, steps=steps)
    if isinstance(given, optax.GradientTransformation):
        return Given(given)
    if isinstance(given, Optimizer):
        return dataclasses.replace(given, steps=steps) if given.steps is None else given
    if isinstance(given, Given):
        return given
    raise UserError(
        f"{type(given).__name__} is no optimizer: give an optax transformation such as "
        "optax.adam(1e-3), or a spec such as 'adam(learning_rate=1e-3)'."
    )
