"""What a loss is, and the registry of all."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.process.targets import TrainingTargets
from diffusion_jax.registry import Registry

# What a network returns: its prediction, and for some losses u, (batch,), beside.
Output = Float[Array, "batch ..."] | tuple[Float[Array, "batch ..."], Float[Array, "batch"]]
OutputT = TypeVar("OutputT", bound=Output)


class Loss(ABC, Generic[OutputT]):
    """How a network's output becomes a loss for each sample.

    A member says what it needs of the network, and of the process, besides a prediction. It is
    generic over what the network returns: an array, or a pair of two.
    """

    # Attributes of the class, or properties where they depend on the settings.
    @property
    def variance(self) -> str | None:
        """How to read the variance that the network predicts as well, or None if it predicts none.

        The output then has twice the channels: prediction, variance (`posterior.log_variance`).
        """
        return None

    @property
    def uncertain(self) -> bool:
        """Whether the network has to tell how large its error is: the output is a pair, with u."""
        return False

    @property
    def chain(self) -> int | None:
        """Number of steps of the reverse chain that it knows, or None if it knows none."""
        return None

    def check_output(self, output: object, shape: tuple[int, ...]) -> None:
        """Refuses an output that is none for this loss, which broadcasting would hide.

        Args:
            output: of the network.
            shape: of x.

        Raises:
            UserError: it has another shape.
        """
        *rows, channels = shape
        if self.uncertain:
            if not isinstance(output, tuple) or len(output) != 2:
                raise UserError(
                    f"The loss {type(self).__name__} needs a network that returns a pair, its "
                    "prediction and u."
                )
            output, u = output
            _check_shape(u, shape[:1], "network's u")
        if self.variance is not None:
            what = f"network's prediction and variance, for the loss {type(self).__name__},"
            _check_shape(output, (*rows, 2 * channels), what)
        else:
            _check_shape(output, shape, "network's prediction")

    @abstractmethod
    def __call__(
        self,
        output: OutputT,
        targets: TrainingTargets,
        x0: Float[Array, "batch ..."],
        eps: Float[Array, "batch ..."],
    ) -> Float[Array, "batch"]:
        """The loss of each sample.

        Args:
            output: of the network at x = alpha x_0 + sigma eps: its prediction, (batch, ...),
                and what else the loss needs.
            targets: levels, targets and weights, (batch,).
            x0: data.
            eps: standard normal noise.
        """


losses: Registry[Loss] = Registry("loss")


def _check_shape(found: object, wanted: tuple[int, ...], what: str) -> None:
    shape = getattr(found, "shape", None)
    if shape != wanted:
        raise UserError(f"The {what} must be of shape {wanted}, not {shape or type(found)}.")
