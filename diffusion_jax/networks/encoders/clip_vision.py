"""CLIP's encoders of pictures: OpenAI's, and OpenCLIP's as transformers has them."""

from typing import Any, ClassVar

import flax.linen as nn
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.networks.encoders.base import (
    GENERIC,
    Encoding,
    Pictures,
    Tokens,
    at_least_single,
    encoders,
)
from diffusion_jax.networks.encoders.layers import PreNormLayer, clip_layer, clip_projection
from diffusion_jax.networks.encoders.vit import ViT
from diffusion_jax.networks.layers import activation, affine_layer_norm

STD = 0.02


@encoders.register("clip_vision")
class CLIPVision(ViT):
    """A ViT whose tokens are normalised before the first layer; the pooled vector after the last.

    `tokens` are those of the last layer as they are, as in the original.

    Source: Radford et al. 2021 (CLIP), section 2.4; CLIPVisionModel of huggingface/transformers,
    whose names of parameters and settings these are.

    Attributes:
        intermediate_size: features within the layers after attention.
        hidden_act: activation, "quick_gelu" of OpenAI's and "gelu" of OpenCLIP's.
        layer_norm_eps: of norms.
        others: as of a `ViT`.

    Raises:
        UserError: a setting that cannot work, or pictures of another size than image_size.

    >>> import jax, jax.numpy as jnp
    >>> encoder = CLIPVision(hidden_size=8, intermediate_size=8, num_hidden_layers=1,
    ...     num_attention_heads=2, image_size=8, patch_size=4)
    >>> x = jnp.zeros((2, 8, 8, 3))
    >>> encoding, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), x)
    >>> encoding.tokens.shape, encoding.pooled.shape, len(encoding.hidden)
    ((2, 5, 8), (2, 8), 2)
    """

    original: ClassVar[str] = "CLIPVisionModel"
    fixed: ClassVar[dict[str, Any]] = {**GENERIC, "projection_dim": ANY}
    # Buffers that older files hold, and the names of newer files.
    unused: ClassVar[tuple[str, ...]] = (r".*position_ids",)
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^(?!vision_model\.|visual_projection\.)", "vision_model."),
    )

    intermediate_size: int = 3072
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    patch_size: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("clip_vision", intermediate_size=self.intermediate_size)
        self._check("clip_vision", self.intermediate_size)
        activation(self.hidden_act)

    def setup(self) -> None:
        """Names the parts."""
        init, under = nn.initializers.normal(self.hidden_size**-0.5), "vision_model"
        self.patches = self._patches(f"{under}.embeddings.patch_embedding", False, STD)
        self.whole = self.param(f"{under}.embeddings.class_embedding", init, (self.hidden_size,))
        self.places = nn.Embed(
            self.side**2 + 1,
            self.hidden_size,
            dtype=self.dtype,
            embedding_init=nn.initializers.normal(STD),
            name=f"{under}.embeddings.position_embedding",
        )
        self.blocks = [
            PreNormLayer(clip_layer(self), name=f"{under}.encoder.layers.{i}")
            for i in range(self.num_hidden_layers)
        ]
        # As the original spells it.
        self.first_norm, self.last_norm = (
            affine_layer_norm(self.layer_norm_eps, self.dtype, f"{under}.{name}")
            for name in ("pre_layrnorm", "post_layernorm")
        )

    def _encoded(self, pictures: Pictures) -> Encoding:
        if pictures.shape[1:3] != (self.image_size, self.image_size):
            side = self.image_size
            raise UserError(
                f"{type(self).__name__} takes pictures of {side}x{side} pixels, got "
                f"{pictures.shape[2]}x{pictures.shape[1]}: scale and crop them."
            )
        cells, table = self._cells(pictures), self.places.embedding.astype(self.dtype)
        places = table[1:].reshape(self.side, self.side, -1)
        tokens = self._tokens(cells, self.whole.astype(self.dtype), table[0], places)
        hidden = self._through(self.first_norm(tokens))
        return Encoding(hidden[-1], self._pooled(self.last_norm(hidden[-1][:, 0])), hidden)

    def _pooled(self, whole: Float[Array, "batch width"]) -> Float[Array, "batch features"]:
        return at_least_single(whole)

    def normalise(self, hidden: Tokens) -> Tokens:
        """The same: only the pooled vector is normalised."""
        return hidden


@encoders.register("clip_vision_with_projection")
class CLIPVisionWithProjection(CLIPVision):
    """CLIP's encoder of pictures whose pooled vector is mapped to where those of captions are.

    Source: Radford et al. 2021 (CLIP), section 2.3; CLIPVisionModelWithProjection of
    huggingface/transformers.

    Attributes:
        projection_dim: features of the pooled vector.
        others: as of a `CLIPVision`.
    """

    original: ClassVar[str] = "CLIPVisionModelWithProjection"
    fixed: ClassVar[dict[str, Any]] = dict(GENERIC)

    projection_dim: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("clip_vision", projection_dim=self.projection_dim)

    def setup(self) -> None:
        """Names the parts."""
        super().setup()
        self.visual_projection = clip_projection(self, self.projection_dim, "visual_projection")

    def _pooled(self, whole: Float[Array, "batch width"]) -> Float[Array, "batch features"]:
        return at_least_single(self.visual_projection(whole))
