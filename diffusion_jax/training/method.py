"""How an arm turns a batch into losses: the part of a training step in which kinds differ."""

from typing import Any, ClassVar

from jaxtyping import Array, Float, PyTree

from diffusion_jax.networks.functions import AnyNetwork
from diffusion_jax.process.importance import LossHistory
from diffusion_jax.runs.state import TrainState
from diffusion_jax.training.inputs import Inputs


class TrainingMethod:
    """What the training step asks of a kind of training; a member is a frozen pytree.

    The numbers in it are leaves, so arms whose methods differ in them alone share a compiled step.
    A member says what its losses are. The rest, which is for those whose noise levels depend on
    what training has found so far, does nothing here.

    Attributes:
        levels_given: whether `Inputs.targets` must hold the noise levels of the rows.
        whole_batch: whether a step must see the whole batch, not the rows of one device.
    """

    levels_given: ClassVar[bool] = False
    whole_batch: ClassVar[bool] = False

    def first_params(self, network: PyTree[Any]) -> PyTree[Any]:
        """What is trained, from the first parameters of the network."""
        return network

    def first_history(self) -> LossHistory | None:
        """What is remembered of the losses before training."""
        return None

    def prepare(self, state: TrainState, inputs: PyTree) -> PyTree:
        """The inputs of a step, before it looks at them; at most the draws change."""
        return inputs

    def losses(
        self, network: AnyNetwork, params: PyTree[Any], state: TrainState, inputs: Inputs
    ) -> Float[Array, " batch"]:
        """The loss of each row, which is differentiated in `params`.

        Args:
            network: what is trained.
            params: its parameters, with whatever `first_params` added; those of `state`.
            state: for the part of the training that is done, and the averaged parameters.
            inputs: of the rows, with the conditions that the network is given.
        """
        raise NotImplementedError

    def weigh(self, inputs: PyTree, losses: Float[Array, " batch"]) -> Float[Array, " batch"]:
        """The losses of rows, times what makes up for how often such rows are chosen."""
        return losses

    def scale_gradient(self, gradient: PyTree[Any], loss: Float[Array, ""]) -> PyTree[Any]:
        """The gradient of a batch in the units in which it is used, given the batch's loss."""
        return gradient

    def remember(
        self, history: LossHistory | None, inputs: PyTree, losses: Float[Array, " batch"]
    ) -> LossHistory | None:
        """The history after a batch, from its losses before they were weighed."""
        return history
