"""CLIP whole: its encoders of captions and of pictures, whose pooled vectors are compared."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.configurations import ANY, from_configuration
from diffusion_jax.networks.encoders.base import (
    GENERIC,
    Encoder,
    Encoding,
    Ids,
    Mask,
    Pictures,
    Tokens,
    at_least_single,
    encoders,
)
from diffusion_jax.networks.encoders.clip_text import CLIPTextWithProjection
from diffusion_jax.networks.encoders.clip_vision import CLIPVisionWithProjection


@encoders.register("clip")
class CLIP(Encoder):
    """Reads ids of tokens or pictures; both give a pooled vector of the same features.

    How alike a caption and a picture are is exp(logit_scale) times the cosine between the two.

    Source: Radford et al. 2021 (CLIP), figure 3; CLIPModel of huggingface/transformers.

    Attributes:
        text_config: settings of the encoder of captions, as transformers has them.
        vision_config: settings of the encoder of pictures.
        projection_dim: features of the pooled vectors.
        logit_scale_init_value: first value of logit_scale.
        text_config_dict: settings that are said in place of those of text_config by older files.
        vision_config_dict: likewise.
        attention_implementation: as of a `DiT`.
        dtype: dtype of the computation; results are at least float32.

    Raises:
        UserError: a setting that cannot work, or what neither of the two encoders reads.
    """

    reads: ClassVar[str] = "both"
    original: ClassVar[str] = "CLIPModel"
    fixed: ClassVar[dict[str, Any]] = dict(GENERIC)
    unused: ClassVar[tuple[str, ...]] = (r".*position_ids",)
    renamed: ClassVar[tuple[tuple[str, str], ...]] = ((r"^(text|vision)\.", ""),)

    text_config: Mapping[str, Any] | None = None
    vision_config: Mapping[str, Any] | None = None
    projection_dim: int = 512
    logit_scale_init_value: float = 2.6592
    text_config_dict: Mapping[str, Any] | None = None
    vision_config_dict: Mapping[str, Any] | None = None
    attention_implementation: str = "xla"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("clip", projection_dim=self.projection_dim)
        self.halves()

    @nn.nowrap
    def halves(self) -> tuple[CLIPTextWithProjection, CLIPVisionWithProjection]:
        """The encoders of captions and of pictures, as they are alone."""
        own = {
            "attention_implementation": self.attention_implementation,
            "dtype": self.dtype,
            "projection_dim": self.projection_dim,
            "parent": None,
        }
        text = dict(SMALL_TEXT) | _said(self.text_config, self.text_config_dict)
        vision = _said(self.vision_config, self.vision_config_dict)
        return (
            from_configuration(CLIPTextWithProjection, text, **own),
            from_configuration(CLIPVisionWithProjection, vision, **own),
        )

    @property
    def width(self) -> int:
        """Features of a caption's token."""
        return self.halves()[0].width

    @property
    def longest(self) -> int:
        """The most tokens of a caption."""
        return self.halves()[0].longest

    @property
    def vocab_size(self) -> int:
        """Number of ids."""
        return self.halves()[0].vocab_size

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        return (jax.ShapeDtypeStruct((1, 2), jnp.int32),)

    def setup(self) -> None:
        """Names the parts."""
        self.text, self.vision = (each.clone() for each in self.halves())
        scale = nn.initializers.constant(self.logit_scale_init_value)
        self.logit_scale = self.param("logit_scale", scale, ())

    def __call__(self, given: Ids | Pictures, mask: Mask | None = None) -> Encoding:
        """Encodes captions, if it is given integers, or pictures."""
        is_text = jnp.issubdtype(given.dtype, jnp.integer)
        if self.is_initializing():  # both are to have parameters, whatever is read first
            side = self.vision.image_size
            self.text(jnp.zeros((1, 2), jnp.int32))
            self.vision(jnp.zeros((1, side, side, self.vision.num_channels), self.dtype))
        found: Encoding = (self.text if is_text else self.vision)(given, mask)
        return found

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm of captions, for the result of a layer before the last."""
        return self.text.normalise(hidden)

    def alike(
        self,
        captions: Float[Array, "captions features"],
        pictures: Float[Array, "pictures features"],
    ) -> Float[Array, "pictures captions"]:
        """exp(logit_scale) times the cosine of each picture's vector with each caption's.

        Args:
            captions, pictures: pooled vectors of `Encoding`.
        """
        first, second = (
            each / jnp.linalg.norm(each, axis=-1, keepdims=True) for each in (captions, pictures)
        )
        return jnp.exp(at_least_single(self.logit_scale)) * second @ first.T


# What transformers takes where a configuration says nothing, of ViT-B/32.
SMALL_TEXT = {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}


def _said(config: Mapping[str, Any] | None, older: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of one of the two encoders.

    Raises:
        UserError: two places say different things.
    """
    found, also = dict(config or {}), dict(older or {})
    for name, value in also.items():
        if found.get(name, value) != value and GENERIC.get(name) is not ANY:
            raise UserError(
                f"clip: {name} is {found[name]!r} in one place of the configuration, and {value!r} "
                "in another."
            )
    return found | also
