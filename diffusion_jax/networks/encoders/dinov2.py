"""DINOv2's encoders of pictures, without registers and with them."""

from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

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
from diffusion_jax.networks.encoders.layers import (
    SWIGLU,
    AttentionStyle,
    LayerStyle,
    PreNormLayer,
)
from diffusion_jax.networks.encoders.positions import resampled_places
from diffusion_jax.networks.encoders.vit import ViT
from diffusion_jax.networks.layers import activation, affine_layer_norm

STD = 0.02


@encoders.register("dinov2")
class Dinov2(ViT):
    """A ViT with scaled branches, which takes pictures of any size by resampling its places.

    Source: Oquab et al. 2023 (DINOv2), section 5; Dinov2Model of huggingface/transformers, whose
    names of parameters and settings these are.

    Attributes:
        mlp_ratio: features within the layers after attention for each of a token; two thirds of
            it, in multiples of 8, where they are gated.
        hidden_act: activation.
        layer_norm_eps: of norms.
        qkv_bias: whether the maps to queries, keys and values have one.
        layerscale_value: first value of the scales.
        use_swiglu_ffn: gate the layers after attention by silu, as the giant does.
        interpolate_offset: added to the size in patches where places are resampled; 0.1 in the
            authors' repository, 0 in transformers.
        others: as of a `ViT`.

    Raises:
        UserError: a setting that cannot work, or pictures that are smaller than a patch.
    """

    original: ClassVar[str] = "Dinov2Model"
    holders: ClassVar[dict[str, str]] = {"Dinov2ForImageClassification": "", "Dinov2Backbone": ""}
    fixed: ClassVar[dict[str, Any]] = {
        **GENERIC,
        "apply_layernorm": ANY,  # as its neighbours: of layers in the midst, which are all given
        "drop_path_rate": ANY,
        "out_features": ANY,
        "out_indices": ANY,
        "reshape_hidden_states": ANY,
        "stage_names": ANY,
        "use_mask_token": ANY,  # what patches are replaced by while the original is trained
    }
    unused: ClassVar[tuple[str, ...]] = (r"embeddings\.mask_token", r"classifier\..*")
    # A classifier's file, and the names of transformers' modules since its version 5.
    aliases: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^dinov2(_with_registers)?\.", ""),
        (r"\.attention\.q_proj\.", ".attention.attention.query."),
        (r"\.attention\.k_proj\.", ".attention.attention.key."),
        (r"\.attention\.v_proj\.", ".attention.attention.value."),
        (r"\.attention\.o_proj\.", ".attention.output.dense."),
    )
    widened: ClassVar[bool] = False

    mlp_ratio: float = 4
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-6
    qkv_bias: bool = True
    layerscale_value: float = 1.0
    use_swiglu_ffn: bool = False
    interpolate_offset: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("dinov2", int(self.hidden_size * self.mlp_ratio))
        checks.switch("dinov2", qkv_bias=self.qkv_bias, use_swiglu_ffn=self.use_swiglu_ffn)
        activation(self.hidden_act)

    def setup(self) -> None:
        """Names the parts."""
        width, init = self.hidden_size, nn.initializers.truncated_normal(STD)
        self.patches = self._patches("embeddings.patch_embeddings.projection", True, STD)
        self.whole = self.param("embeddings.cls_token", init, (1, 1, width))
        places = 1, self.side**2 + 1, width
        self.places = self.param("embeddings.position_embeddings", init, places)
        style = self._style()
        self.blocks = [
            PreNormLayer(style, name=f"encoder.layer.{i}") for i in range(self.num_hidden_layers)
        ]
        self.layernorm = affine_layer_norm(self.layer_norm_eps, self.dtype, "layernorm")

    @nn.nowrap
    def _style(self) -> LayerStyle:
        hidden, maps = int(self.hidden_size * self.mlp_ratio), ("mlp.fc1", "mlp.fc2")
        if self.use_swiglu_ffn:
            hidden, maps = -(-int(hidden * 2 / 3) // 8) * 8, ("mlp.weights_in", "mlp.weights_out")
        attention = AttentionStyle(
            ("attention.query", "attention.key", "attention.value", "output.dense"),
            self.num_attention_heads,
            self.hidden_size // self.num_attention_heads,
            (STD, STD, STD, STD),
            use_bias=self.qkv_bias,
            implementation=self.attention_implementation,
            dtype=self.dtype,
        )
        return LayerStyle(
            attention,
            "attention",
            ("norm1", "norm2"),
            maps,
            hidden,
            (STD, STD),
            SWIGLU if self.use_swiglu_ffn else self.hidden_act,
            self.layer_norm_eps,
            self.layerscale_value,
        )

    def _encoded(self, pictures: Pictures) -> Encoding:
        cells, table = self._cells(pictures), at_least_single(self.places[0])
        grid = table[1:].reshape(self.side, self.side, -1)
        places = resampled_places(
            grid, cells.shape[1], cells.shape[2], self.interpolate_offset, self.widened
        ).astype(self.dtype)
        whole, place = (each.astype(self.dtype) for each in (self.whole[0, 0], table[0]))
        hidden = self._through(self._registered(self._tokens(cells, whole, place, places)))
        tokens = self.normalise(hidden[-1])
        return Encoding(tokens, tokens[:, 0], hidden)

    def _registered(self, tokens: Tokens) -> Float[Array, "batch longer width"]:
        """The tokens with what else goes into the first layer."""
        return tokens

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm, for the result of a layer before the last."""
        return at_least_single(self.layernorm(hidden))


@encoders.register("dinov2_with_registers")
class Dinov2WithRegisters(Dinov2):
    """DINOv2 with further tokens, behind that of the whole picture, for what belongs to no patch.

    Source: Darcet et al. 2023, Vision Transformers Need Registers, section 3;
    Dinov2WithRegistersModel of huggingface/transformers.

    Attributes:
        num_register_tokens: how many.
        others: as of a `Dinov2`.
    """

    original: ClassVar[str] = "Dinov2WithRegistersModel"
    holders: ClassVar[dict[str, str]] = dict.fromkeys(
        ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersBackbone"), ""
    )
    widened: ClassVar[bool] = True

    num_register_tokens: int = 4
    patch_size: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.positive_integers("dinov2", num_register_tokens=self.num_register_tokens)

    def setup(self) -> None:
        """Names the parts."""
        super().setup()
        shape = 1, self.num_register_tokens, self.hidden_size
        init = nn.initializers.normal(1e-6)
        self.registers = self.param("embeddings.register_tokens", init, shape)

    def _registered(self, tokens: Tokens) -> Float[Array, "batch longer width"]:
        shape = len(tokens), *self.registers.shape[1:]
        registers = jnp.broadcast_to(self.registers, shape).astype(tokens.dtype)
        return jnp.concatenate([tokens[:, :1], registers, tokens[:, 1:]], axis=1)
