"""A score network with its condition: text in, prediction of a noisy picture's target out."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from diffusion_jax.errors import one_of
from diffusion_jax.networks.registries import networks, text_encoders
from diffusion_jax.networks.text import NO_LABEL, PADDING
from diffusion_jax.networks.uncertainty import Uncertainty

Condition = dict[str, Int[Array | np.ndarray, "batch ..."]]
"""{"tokens": (batch, length) int32}, {"label": (batch,) int32}, both, or {} for none."""

NULL = {"tokens": PADDING, "label": NO_LABEL}


class ScoreNetwork(nn.Module):
    """A backbone that sees the picture, and an encoder that reads the condition for it.

    Attributes:
        backbone: a member of `networks`.
        encoder: a member of `text_encoders`, or None for an unconditional network.
        variance: how to read the variance that it tells in the second half of its channels
            (`process.posterior.log_variance`), or None if it tells none.
        uncertainty: tells how large its error is, for the loss "uncertainty", or None.
        labels: how many numbers a label is: 1, or 2 where the network is told, besides the noise,
            how far to go (`fewstep`).

    >>> network = build("mlp(width=8, depth=1)", "label(width=8)", num_classes=3)
    >>> inputs = jnp.ones((2, 4)), jnp.zeros(2), {"label": jnp.array([0, 2])}
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), *inputs)[0].shape
    (2, 4)
    """

    backbone: nn.Module
    encoder: nn.Module | None = None
    variance: str | None = None
    uncertainty: nn.Module | None = None
    labels: int = 1

    @property
    def reads(self) -> str:
        """The entry of the condition that it is told, "tokens" or "label"; "" if it is none."""
        return "" if self.encoder is None else str(self.encoder.reads)

    def __call__(
        self,
        x: Float[Array, "batch ..."],
        label: Float[Array, "batch *numbers"],
        condition: Condition,
        deterministic: bool = True,
    ) -> Float[Array, "batch ..."]:
        """Returns the raw prediction F, float32, with the shape of x; with `variance`, of [F, it].

        Args:
            x: noisy data scaled to about unit variance.
            label: (batch,) noise label, about [-2.5, 2.5]; (batch, 2) with `labels` = 2.
            condition: see `Condition`; an encoder reads the entry it knows.
            deterministic: no dropout; with dropout, `rngs={"dropout": key}` is needed.
        """
        context = None if self.encoder is None else self.encoder(condition)
        if self.uncertainty is not None and self.is_initializing():
            self.uncertainty(label)  # so that its parameters are made with the others
        return self.backbone(x, label, context, deterministic)

    def with_uncertainty(
        self,
        x: Float[Array, "batch ..."],
        label: Float[Array, " batch"],
        condition: Condition,
        deterministic: bool = True,
    ) -> tuple[Float[Array, "batch ..."], Float[Array, " batch"]]:
        """Returns the raw prediction, and u, (batch,); arguments as of a call."""
        assert self.uncertainty is not None, "this network tells no uncertainty"
        return self(x, label, condition, deterministic), self.uncertainty(label)


def null_condition(condition: Condition) -> Condition:
    """Returns the condition that says nothing: tokens all padding, label -1."""
    return {name: jnp.full_like(value, NULL[name]) for name, value in condition.items()}


def drop_condition(dropped: Bool[Array, " batch"], condition: Condition) -> Condition:
    """Replaces the dropped rows by the null condition (Ho & Salimans 2022, algorithm 1).

    >>> captions = {"tokens": jnp.array([[3, 5], [4, 6]])}
    >>> drop_condition(jnp.array([True, False]), captions)["tokens"].tolist()
    [[0, 0], [4, 6]]
    """

    def drop(value: Array, null: Array) -> Array:
        rows = dropped.reshape(dropped.shape + (1,) * (value.ndim - 1))
        return jnp.where(rows, null, value)

    return jax.tree.map(drop, condition, null_condition(condition))


def build(
    network: str,
    text: str = "none",
    vocabulary_size: int = 0,
    num_classes: int = 0,
    dtype: str = "float32",
    variance: str | None = None,
    uncertain: bool = False,
    labels: int = 1,
) -> ScoreNetwork:
    """Builds a score network from specs.

    Args:
        network: spec of the backbone, e.g. `"unet(channels=(32, 64))"`.
        text: spec of the encoder, e.g. `"transformer(width=64)"`, or `"none"`.
        vocabulary_size: ids that captions use, padding included.
        num_classes: classes that labels use.
        dtype: "float32" or "bfloat16", for the computation; parameters stay float32.
        variance: how to read the variance that it tells; None if it tells none.
        uncertain: whether it tells how large its error is.
        labels: how many numbers a label is.

    Raises:
        UserError: unknown member, setting or dtype, or a setting that cannot work.
    """
    one_of(dtype, ("float32", "bfloat16"), "computation dtype")
    context: dict[str, Any] = {
        "vocabulary_size": vocabulary_size,
        "num_classes": num_classes,
        "dtype": dtype,
        "outputs": 1 if variance is None else 2,
    }
    encoder = None if text == "none" else text_encoders.make(text, **context)
    head = Uncertainty() if uncertain else None
    return ScoreNetwork(networks.make(network, **context), encoder, variance, head, labels)
