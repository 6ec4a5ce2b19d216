"""A score network with its condition: what it predicts of a noisy picture, and of what kind."""

from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.base import check_field, networks
from diffusion_jax.networks.conditioners import Conditioner, conditioners
from diffusion_jax.networks.conditioners.base import Condition
from diffusion_jax.networks.uncertainty import UncertaintyHead


@runtime_checkable
class Constrained(Protocol):
    """A backbone that keeps its parameters, and those of its head, of a kind while trained."""

    def constrained(self, params: PyTree[Array]) -> PyTree[Array]:
        """The parameters, after an update, as they are to be."""
        ...


@runtime_checkable
class KnowsError(Protocol):
    """A backbone that brings what tells how large its error is."""

    def uncertainty_head(self) -> nn.Module:
        """c_noise (batch,) -> u (batch,)."""
        ...


class ScoreNetwork(nn.Module):
    """A backbone that sees the picture, and a conditioner that reads the condition for it.

    Attributes:
        backbone: a member of `networks`.
        encoder: the conditioner, a member of `conditioners`, or None for an unconditional network;
            its parameters are called so in every run folder.
        variance: how to read the variance that it tells in the second half of its channels
            (`process.posterior.log_variance`), or None if it tells none.
        uncertainty: tells how large its error is, for the loss "uncertainty", or None.
        noise_inputs: how many numbers c_noise is: 1, or 2 where the second says how far to go
            from the noise level (`fewstep`).
        unread_variance: whether its backbone tells a variance that nothing reads, and that is left
            out of the result.

    >>> network = build("mlp(width=8, depth=1)", "label(width=8)", num_classes=3)
    >>> inputs = jnp.ones((2, 4)), jnp.zeros(2), {"label": jnp.array([0, 2])}
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), *inputs)[0].shape
    (2, 4)
    """

    backbone: nn.Module
    encoder: Conditioner | None = None
    variance: str | None = None
    uncertainty: nn.Module | None = None
    noise_inputs: int = 1
    unread_variance: bool = False

    @property
    def conditioner(self) -> Conditioner | None:
        """What reads the condition, if anything does."""
        return self.encoder

    @property
    def keys(self) -> tuple[str, ...]:
        """The entries of the condition that it reads."""
        return () if self.encoder is None else self.encoder.keys

    def null(self, condition: Condition) -> Condition:
        """The condition of as many rows that says nothing; what is not read stays as it is."""
        return condition if self.encoder is None else self.encoder.null(condition)

    @property
    def self_attentions(self) -> int:
        """How many self-attentions its backbone can go without."""
        return int(getattr(self.backbone, "self_attentions", 0))

    def perturbed(self, layers: tuple[int, ...]) -> "ScoreNetwork":
        """The network that goes without some self-attentions, all if `layers` is empty.

        Raises:
            UserError: its backbone has no such attentions.
        """
        if self.self_attentions <= max(layers, default=0):
            raise UserError(
                f"Network {type(self.backbone).__name__} has {self.self_attentions or 'no'} "
                f"self-attentions to go without{f', not {layers}' if layers else ''}."
            )
        return self.clone(backbone=self.backbone.clone(perturbed=layers))

    def for_sampling(self) -> "ScoreNetwork":
        """The network with its convolutions as they are fastest without a backward pass.

        In training the fast ones gain too little for what they take to compile.
        """
        if not hasattr(self.backbone, "convolution"):
            return self
        return self.clone(backbone=self.backbone.clone(convolution="winograd"))

    def constrained(self, params: PyTree[Array]) -> PyTree[Array]:
        """The parameters as its backbone has them after an update, which may normalise its own."""
        if not isinstance(self.backbone, Constrained):
            return params
        own = {name: params[name] for name in ("backbone", "uncertainty") if name in params}
        return {**params, **self.backbone.constrained(own)}

    def nothing(self) -> Condition:
        """The condition of one row that asks for nothing; the conditioner must have been fit."""
        return {} if self.encoder is None else {**self.encoder.ask([""])}

    def noise_shape(self, batch: int) -> tuple[int, ...]:
        """The shape of c_noise for so many rows."""
        return (batch,) if self.noise_inputs == 1 else (batch, self.noise_inputs)

    def __call__(
        self,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, "batch *numbers"],
        condition: Condition,
        deterministic: bool = True,
    ) -> Float[Array, "batch ..."]:
        """Returns the raw prediction F, float32, with the shape of x; with `variance`, of [F, it].

        Args:
            x: noisy data scaled to about unit variance.
            c_noise: (batch,), tells the noise level, about [-2.5, 2.5]; (batch, 2) with
                `noise_inputs` = 2.
            condition: see `Condition`; the conditioner reads the entries that it knows.
            deterministic: no dropout; with dropout, `rngs={"dropout": key}` is needed.
        """
        context = None if self.encoder is None else self.encoder(condition, x)
        if self.uncertainty is not None and self.is_initializing():
            self.uncertainty(c_noise)  # so that its parameters are made with the others
        own = getattr(self.backbone, "reads_channels", False)
        if context is None or context.channels is None or own:
            found = self.backbone(x, c_noise, context, deterministic)
            return found[..., : x.shape[-1]] if self.unread_variance else found
        beside = jnp.concatenate([x, context.channels.astype(x.dtype)], axis=-1)
        whole = self.backbone(beside, c_noise, context, deterministic)
        # A backbone predicts as much of each channel that it sees: that of x is wanted.
        each = whole.reshape(*x.shape[:-1], -1, beside.shape[-1])[..., : x.shape[-1]]
        return each.reshape(*x.shape[:-1], -1)

    def with_uncertainty(
        self,
        x: Float[Array, "batch ..."],
        c_noise: Float[Array, " batch"],
        condition: Condition,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch ..."], Float[Array, " batch"]]:
        """Returns the raw prediction, and u, (batch,); arguments as of a call."""
        assert self.uncertainty is not None, "this network tells no uncertainty"
        return self(x, c_noise, condition, deterministic), self.uncertainty(c_noise)


def drop_condition(
    dropped: Bool[Array, " batch"], condition: Condition, null: Condition
) -> Condition:
    """Replaces the dropped rows by the null condition (Ho & Salimans 2022, algorithm 1).

    >>> captions, null = {"words": jnp.array([[3, 5], [4, 6]])}, {"words": jnp.zeros((2, 2), int)}
    >>> drop_condition(jnp.array([True, False]), captions, null)["words"].tolist()
    [[0, 0], [4, 6]]
    """

    def drop(value: Array, null: Array) -> Array:
        rows = dropped.reshape(dropped.shape + (1,) * (value.ndim - 1))
        return jnp.where(rows, null, value)

    return jax.tree.map(drop, condition, null)


def make_conditioner(spec: str, dtype: str = "float32", **context: object) -> Conditioner:
    """Makes a conditioner, which computes in a dtype.

    Raises:
        UserError: the spec is wrong, or the conditioner computes in one dtype alone.
    """
    if dtype != "float32":
        check_field(conditioners, spec, "dtype", f"training.dtype={dtype!r}")
    return conditioners.make(spec, dtype=dtype, **context)


def build(
    network: str,
    conditioner: str | Conditioner = "none",
    vocabulary_size: int = 0,
    num_classes: int = 0,
    dtype: str = "float32",
    variance: str | None = None,
    uncertain: bool = False,
    noise_inputs: int = 1,
) -> ScoreNetwork:
    """Builds a score network from specs.

    Args:
        network: spec of the backbone, e.g. `"unet(channels=(32, 64))"`.
        conditioner: one, its spec such as `"transformer(width=64)"`, or `"none"`.
        vocabulary_size: ids that captions use, padding included; for a spec.
        num_classes: classes that labels use; for a spec.
        dtype: "float32" or "bfloat16", for the computation; parameters stay float32.
        variance: how to read the variance that it tells; None if it tells none.
        uncertain: whether it tells how large its error is.
        noise_inputs: how many numbers c_noise is.

    Raises:
        UserError: unknown member, setting or dtype, a setting that cannot work, or a member
            without a field that is asked for.
    """
    one_of(dtype, ("float32", "bfloat16"), "computation dtype")
    if dtype != "float32":
        check_field(networks, network, "dtype", f"training.dtype={dtype!r}")
    if variance is not None:
        check_field(networks, network, "outputs", "a loss that learns a variance")
    context = {
        "vocabulary_size": vocabulary_size,
        "num_classes": num_classes,
        "outputs": 1 if variance is None else 2,
    }
    encoder = conditioner if isinstance(conditioner, Conditioner) else None
    if isinstance(conditioner, str) and conditioner != "none":
        encoder = make_conditioner(conditioner, dtype, **context)
    backbone = networks.make(network, dtype=dtype, **context)
    own = backbone.uncertainty_head if isinstance(backbone, KnowsError) else UncertaintyHead
    head = own() if uncertain else None
    return ScoreNetwork(backbone, encoder, variance, head, noise_inputs)
