"""Which kind of training an arm's parts ask for, and what a step refuses of each."""

import jax
import jax.numpy as jnp
import pytest
from flax import linen

from diffusion_jax.fewstep.consistency_training import ConsistencyTraining
from diffusion_jax.process.objective import Objective
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.arm import Arm
from diffusion_jax.training.denoising import Denoising, LevelsInStep
from diffusion_jax.training.draws import draw
from diffusion_jax.training.few_steps import FewSteps
from diffusion_jax.training.inputs import Inputs
from diffusion_jax.training.learned_schedule import LearnedSchedule
from diffusion_jax.training.loss_aware import LossAwareTraining
from diffusion_jax.training.method import TrainingMethod
from diffusion_jax.training.options import Options
from diffusion_jax.training.step import make_train_step, score_losses


class Shift(linen.Module):
    """x plus a number that is learned."""

    @linen.compact
    def __call__(self, x: jax.Array, c_noise: jax.Array, condition: object) -> jax.Array:
        return x + self.param("shift", linen.initializers.zeros, ())


def bound(schedule: str = "cosine", times: str = "uniform", weighting: str = "elbo") -> Arm:
    objective = Objective.make(schedule, "epsilon", times, weighting)
    return Arm("mine", objective, Shift()).bound(Options(steps=2, batch_size=4))


LEARNED, AWARE = "learned_log_snr(units=2)", "loss_aware(labels=2, kept=1)"


def test_the_parts_of_an_arm_say_how_it_is_trained() -> None:
    assert isinstance(bound().method, Denoising)
    assert isinstance(bound(LEARNED).method, LearnedSchedule)
    for schedule, inner in (("cosine", LevelsInStep), (LEARNED, LearnedSchedule)):
        method = bound(schedule, AWARE).method
        assert isinstance(method, LossAwareTraining) and type(method.method) is inner
    few = Arm("few", ConsistencyTraining(), Shift()).bound(Options(steps=2, batch_size=4))
    assert isinstance(few.method, FewSteps)


def test_arms_that_differ_in_numbers_alone_share_a_program() -> None:
    cosine, edm = bound("cosine"), bound("edm", "log_normal", "simple")
    assert cosine.program == edm.program
    slow, fast = (f"loss_aware(labels=2, kept=1, uniform_share={s})" for s in (0.1, 0.2))
    assert bound(times=slow).program == bound(times=fast).program != cosine.program


@pytest.mark.parametrize(
    ("arm", "axis", "said"),
    [
        (bound(), None, "needs the noise levels"),
        (bound(times=AWARE), None, "no history of losses"),
        (bound(times=AWARE), "data", "must see the whole batch"),
        (bound(LEARNED), "data", "must see the whole batch"),
    ],
)
def test_a_step_refuses_what_its_method_cannot_use(arm: Arm, axis: str | None, said: str) -> None:
    params = {"shift": jnp.zeros(())}
    state = TrainState.create(params, arm.hyper.optimizer.transformation())
    draws = draw(jax.random.key(0), jnp.arange(4), (2,), 0.0)
    inputs = Inputs({"x0": jnp.zeros((4, 2)), "condition": {}}, draws, None)
    step = make_train_step(score_losses(arm.network), axis_name=axis)
    with pytest.raises(ValueError, match=said):
        step(state, arm.hyper, inputs)


def test_the_base_of_methods_changes_nothing_and_has_no_losses() -> None:
    method, draws = TrainingMethod(), draw(jax.random.key(0), jnp.arange(4), (2,), 0.0)
    inputs = Inputs({}, draws, None)
    params: dict[str, jax.Array] = {}
    state = TrainState(jnp.int32(0), params, (), params)
    assert method.prepare(state, inputs) is inputs
    with pytest.raises(NotImplementedError):
        method.losses(bound().network, params, state, inputs)
