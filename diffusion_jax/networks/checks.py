"""Refusals shared by the networks: settings and picture sizes that cannot work."""

from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks.attention.implementations import FUSED, IMPLEMENTATIONS, WIDEST, fits

MOST_LAYERS = 1000
MOST_PARAMETERS = 10**11


def positive_integers(owner: str, **settings: object) -> None:
    """Raises UserError unless every setting is a positive integer."""
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"{owner}: {name} must be a positive integer, got {value!r}.")


def size(owner: str, layers: int, parameters: int) -> None:
    """Raises UserError for a network that no machine could hold, before any of it is made.

    Args:
        owner: the network, as the user wrote it.
        layers: how many there are, each of which is traced by itself.
        parameters: about how many.
    """
    if layers > MOST_LAYERS:
        raise UserError(f"{owner}: {layers:,} layers are too many; there may be {MOST_LAYERS:,}.")
    if parameters > MOST_PARAMETERS:
        raise UserError(
            f"{owner}: about {parameters:.1e} parameters are too many; there may be "
            f"{MOST_PARAMETERS:.0e}."
        )


@runtime_checkable
class TransformerSettings(Protocol):
    """The settings that transformers in diffusers' layout share."""

    num_attention_heads: int
    attention_head_dim: int
    num_layers: int
    remat: bool
    attention_implementation: str
    dtype: str


def transformer(owner: str, network: TransformerSettings) -> None:
    """Raises UserError unless a transformer in diffusers' layout has settings that can work."""
    counts = "num_attention_heads", "attention_head_dim", "num_layers"
    positive_integers(owner, **{name: getattr(network, name) for name in counts})
    width = network.num_attention_heads * network.attention_head_dim
    size(owner, network.num_layers, 18 * network.num_layers * width**2)
    switch(owner, remat=network.remat)
    head_widths = [network.attention_head_dim]
    attention(owner, network.attention_implementation, head_widths, network.dtype)


def places(owner: str, width: int, patch_size: int, sample_size: int) -> None:
    """Raises UserError unless patches of a picture can have places as sines and cosines.

    Args:
        owner: the network, as the user wrote it.
        width: features of a token.
        patch_size: side of a patch.
        sample_size: side of a picture.
    """
    positive_integers(owner, patch_size=patch_size, sample_size=sample_size)
    divides(owner, sample_size, "sample_size", patch_size, "its patch_size")
    product = "num_attention_heads * attention_head_dim"
    divides(owner, width, product, 4, "for sines and cosines of two axes")


def channel_tuple(
    owner: str, channels: object, name: str = "channels", example: tuple[int, ...] = (32, 64)
) -> None:
    """Raises UserError unless channels is a non-empty tuple of positive integers."""
    if not isinstance(channels, tuple) or not channels:
        raise UserError(
            f"{owner}: {name} must be a tuple with a number for each level such as {example}, "
            f"got {channels!r}."
        )
    for value in channels:
        positive_integers(owner, **{name: value})


def counts(owner: str, **settings: object) -> None:
    """Raises UserError unless every setting is a whole number, 0 or more."""
    for name, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UserError(f"{owner}: {name} must be a whole number, 0 or more, got {value!r}.")


def vector(
    owner: str, name: str, width: int, given: Float[Array, "batch width"] | None, batch: int
) -> Float[Array, "batch width"] | None:
    """A vector of the context as a network takes it: zeros where it is known but not given.

    Args:
        owner: the network, as the user wrote it.
        name: of the setting that is the width.
        width: what the network knows of; 0 for whatever comes.
        given: the vector, if there is one; one without numbers is none.
        batch: rows, if there is none.

    Raises:
        UserError: the vector has another width.
    """
    if given is None or given.shape[-1] == 0:
        return jnp.zeros((batch, width)) if width else None
    if width and given.shape[-1] != width:
        raise UserError(
            f"{owner}: {name}={width}, and the condition is {given.shape[-1]} numbers a sample: "
            f"set {name}={given.shape[-1]}, or 0 for whatever comes."
        )
    return given


def levels(owner: str, chosen: object, count: int) -> None:
    """Raises UserError unless `chosen` is a tuple of levels among 0 … count - 1."""
    if not isinstance(chosen, tuple) or any(level not in range(count) for level in chosen):
        raise UserError(
            f"{owner}: attention must be a tuple of levels from 0 (finest) to {count - 1}, "
            f"such as ({count - 1},), got {chosen!r}."
        )


def fraction(owner: str, **settings: object) -> None:
    """Raises UserError unless every setting lies in [0, 1)."""
    for name, value in settings.items():
        if not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise UserError(f"{owner}: {name} must be in [0, 1), got {value!r}.")


def divides(owner: str, size: int, name: str, parts: int, what: str) -> None:
    """Raises UserError unless `size` can be cut into `parts` equal pieces."""
    if size % parts:
        raise UserError(f"{owner}: {name}={size} must be a multiple of {parts}, {what}.")


def attention(owner: str, implementation: str, head_widths: list[int], dtype: str) -> None:
    """Raises UserError unless attention can be computed by that implementation.

    Args:
        owner: the network, as the user wrote it.
        implementation: a member of `attention.IMPLEMENTATIONS`.
        head_widths: features of the heads of each attention.
        dtype: of the computation.
    """
    one_of(implementation, IMPLEMENTATIONS, f"attention_implementation of a {owner}")
    if implementation not in FUSED.values():
        return
    if dtype != "bfloat16":
        raise UserError(
            f"{owner}: attention_implementation={implementation!r} computes in bfloat16 only, and "
            f"this network in {dtype}: set training.dtype=bfloat16, or use 'xla'."
        )
    odd = [width for width in head_widths if not fits(width)]
    if odd:
        raise UserError(
            f"{owner}: attention_implementation={implementation!r} takes heads of a multiple of 8 "
            f"features, {WIDEST} at most, and these have {odd[0]}: use others, or 'xla'."
        )


def switch(owner: str, **settings: object) -> None:
    """Raises UserError unless every setting is True or False."""
    for name, value in settings.items():
        if not isinstance(value, bool):
            raise UserError(f"{owner}: {name} must be True or False, got {value!r}.")


def picture_fits(owner: str, shape: tuple[int, ...], multiple: int, why: str) -> None:
    """Raises UserError unless a (batch, height, width, channels) picture fits the network.

    Args:
        owner: the network, as the user wrote it.
        shape: shape of the input.
        multiple: what height and width must be multiples of.
        why: where that number comes from.
    """
    if len(shape) != 4:
        raise UserError(
            f"{owner} takes pictures (batch, height, width, channels), got shape {shape}; "
            "for vectors use 'mlp'."
        )
    height, width = shape[1:3]
    if height % multiple or width % multiple:
        fitting = f"{_nearest(height, multiple)}x{_nearest(width, multiple)}"
        raise UserError(
            f"{owner} cannot take {height}x{width} pictures: height and width must be multiples "
            f"of {multiple} ({why}); {fitting} would fit."
        )


def features_fit(owner: str, found: int, expected: int, name: str) -> None:
    """Raises UserError unless what comes in has the features that a setting says.

    Args:
        owner: the network, as the user wrote it.
        found: features that came in.
        expected: features that the setting says.
        name: of the setting.
    """
    if found != expected:
        raise UserError(
            f"{owner} has {name}={expected}, and what comes in has {found} features: set "
            f"{name}={found}, or use the encoder that the network was made for."
        )


def vector_fits(owner: str, shape: tuple[int, ...]) -> None:
    """Raises UserError unless the input is a batch of vectors, (batch, features)."""
    if len(shape) != 2:
        raise UserError(
            f"{owner} takes vectors (batch, features), got shape {shape}; "
            "for pictures use 'unet' or 'dit'."
        )


def _nearest(size: int, multiple: int) -> int:
    return max(1, round(size / multiple)) * multiple
