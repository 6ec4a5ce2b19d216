"""JiT: a plain transformer over large patches of pixels that predicts the clean picture."""

from typing import ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import is_perturbed
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.patches import from_patches
from diffusion_jax.networks.rematerialise import rematerialised
from diffusion_jax.networks.transformers.embeddings import (
    ClassTable,
    TimestepEmbedding,
    timestep_features,
    wide,
)
from diffusion_jax.networks.transformers.fused_attention import FusedAttention
from diffusion_jax.networks.transformers.layers import (
    Dense,
    PatchProjection,
    Tokens,
    Vector,
    ZeroDense,
    modulate,
    modulations,
)
from diffusion_jax.networks.transformers.positions import sincos_table
from diffusion_jax.networks.transformers.rotary import Rotation, grid_places, rotation

OWNER = "jit"
EPSILON = 1e-6
STEER = "adaLN_modulation.1"


@networks.register(OWNER)
class JiT(nn.Module):
    """Just image transformer of LTH14/JiT: DiT with RMS norms, SwiGLU, rotary places, class tokens.

    It is called with times in [0, 1], where 1 is data, on pixels, and predicts x_0.
    `context.pooled` is a one-hot vector of the classes and, last, of no class; without a context
    there is no class. The released JiT-L/16 has the default settings. Patches have the places
    0, 1, 2, … of a picture of any size.

    Source: Li & He 2025, Back to Basics: Let Denoising Generative Models Denoise, section 4;
    model_jit.py.

    Attributes:
        patch_size: side of a patch.
        hidden_size: features of a token; those of a head are a multiple of 4.
        depth: number of blocks.
        num_heads: attention heads.
        mlp_ratio: 3/2 of the features within a layer for each of a token.
        bottleneck_dim: features that a patch is first reduced to.
        in_context_len: tokens of the class before those of the picture.
        in_context_start: first block that sees them.
        proj_drop: fraction dropped after attention, and within layers, in the middle half of the
            blocks while training.
        remat: compute each block again in the backward pass rather than keep what it computed.
        attention_implementation: "xla", "cudnn", "pallas" or "auto", as of `attend`.
        perturbed: self-attentions whose map is the identity; () is all, None none.
        dtype: dtype of the computation; parameters are float32.
        outputs: channels of the result for each channel of x; 2 with a variance.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            patch_size.
    """

    patch_size: int = 16
    hidden_size: int = 1024
    depth: int = 24
    num_heads: int = 16
    mlp_ratio: float = 4.0
    bottleneck_dim: int = 128
    in_context_len: int = 32
    in_context_start: int = 8
    proj_drop: float = 0.0
    remat: bool = False
    attention_implementation: str = "xla"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"
    outputs: int = 1

    unused: ClassVar[tuple[str, ...]] = ("pos_embed", r"feat_rope.*")

    def __post_init__(self) -> None:
        super().__post_init__()
        width, heads = self.hidden_size, self.num_heads
        checks.positive_integers(
            OWNER,
            patch_size=self.patch_size,
            hidden_size=width,
            depth=self.depth,
            num_heads=heads,
            bottleneck_dim=self.bottleneck_dim,
            outputs=self.outputs,
        )
        checks.divides(OWNER, width, "hidden_size", 4 * heads, "four times the number of heads")
        checks.size(OWNER, self.depth, 18 * self.depth * width**2)
        checks.fraction(OWNER, proj_drop=self.proj_drop)
        checks.switch(OWNER, remat=self.remat)
        checks.attention(OWNER, self.attention_implementation, [width // heads], self.dtype)
        if self.in_context_len and self.in_context_start not in range(self.depth):
            raise UserError(
                f"{OWNER}: in_context_start must be among the blocks 0 to {self.depth - 1}, got "
                f"{self.in_context_start}."
            )

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return self.depth

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Float[Array, "batch height width outputs"]:
        """Returns the network's raw prediction; arguments as in `UNet`."""
        checks.picture_fits(OWNER, x.shape, self.patch_size, "its patch_size")
        width = self.hidden_size
        few = PatchProjection(
            self.patch_size, self.bottleneck_dim, self.dtype, False, name="x_embedder.proj1"
        )
        patches = PatchProjection(1, width, self.dtype, name="x_embedder.proj2")(few(x))
        rows, columns = patches.shape[1:3]
        h = patches + sincos_table(rows, columns, width).astype(self.dtype)
        h = h.reshape(len(x), rows * columns, width)
        embed = TimestepEmbedding(width, ("mlp.0", "mlp.2"), self.dtype, name="t_embedder")
        condition = embed(timestep_features(c_noise, dtype=self.dtype))
        label = jnp.zeros_like(condition)
        if context is not None:
            table = ClassTable(width, self.dtype, name="y_embedder.embedding_table")
            label = table(context.pooled)
        condition += label
        turn = self._rotation(rows, columns)
        kind = rematerialised(JiTBlock) if self.remat else JiTBlock
        for i in range(self.depth):
            if self.in_context_len and i == self.in_context_start:
                h = jnp.concatenate([self._class_tokens(label), h], axis=1)
                turn = _with_unturned(turn, self.in_context_len)
            middle = self.depth // 4 <= i < self.depth // 4 * 3
            block = kind(
                self.num_heads,
                self.mlp_ratio,
                self.proj_drop if middle else 0.0,
                self.dtype,
                self.attention_implementation,
                is_perturbed(i, self.perturbed),
                name=f"blocks.{i}",
            )
            h = block(h, condition, turn, deterministic)
        features = self.patch_size**2 * self.outputs * x.shape[-1]
        last = JiTFinalLayer(features, self.dtype, name="final_layer")
        h = last(h[:, -rows * columns :], condition).reshape(len(x), rows, columns, features)
        return from_patches(h, self.patch_size).astype(wide(self.dtype))

    def _class_tokens(self, label: Vector) -> Tokens:
        """The class, once for each of some learnt places."""
        shape = (1, self.in_context_len, self.hidden_size)
        places = self.param("in_context_posemb", nn.initializers.normal(0.02), shape)
        return label[:, None] + places.astype(self.dtype)

    def _rotation(self, rows: int, columns: int) -> Rotation:
        """Half of a head turns with the row, half with the column."""
        half = self.hidden_size // self.num_heads // 2
        return rotation(grid_places(rows, columns), (half, half), dtype="float32")


def _with_unturned(
    turn: Rotation, count: int
) -> tuple[Float[np.ndarray, "more pairs"], Float[np.ndarray, "more pairs"]]:
    """Rotations with as many rows before them that are not turned."""
    cos, sin = (np.asarray(each) for each in turn)
    before = (count, cos.shape[1])
    return (
        np.concatenate([np.ones(before, cos.dtype), cos]),
        np.concatenate([np.zeros(before, sin.dtype), sin]),
    )


class JiTBlock(nn.Module):
    """Attention and a SwiGLU layer, each scaled, shifted and gated by the condition."""

    heads: int
    mlp_ratio: float
    dropout: float
    dtype: str
    attention_implementation: str
    perturbed: bool

    @nn.compact
    def __call__(
        self, h: Tokens, condition: Vector, rotation: Rotation, deterministic: bool
    ) -> Tokens:
        steer = modulations(condition, 6, self.dtype, STEER)
        attention = FusedAttention(
            self.heads,
            self.dtype,
            self.attention_implementation,
            self.perturbed,
            True,
            self.dropout,
            name="attn",
        )
        norm = nn.RMSNorm(EPSILON, dtype=self.dtype, name="norm1")
        hidden = modulate(norm(h), steer[0], steer[1])
        h += steer[2][:, None] * attention(hidden, rotation, deterministic)
        norm = nn.RMSNorm(EPSILON, dtype=self.dtype, name="norm2")
        hidden = modulate(norm(h), steer[3], steer[4])
        return h + steer[5][:, None] * self._layer(hidden, deterministic)

    def _layer(self, h: Tokens, deterministic: bool) -> Tokens:
        """SwiGLU (Shazeer 2020, section 2)."""
        width = h.shape[-1]
        features = int(int(width * self.mlp_ratio) * 2 / 3)
        gate, value = jnp.split(
            Dense(2 * features, dtype=self.dtype, name="mlp.w12")(h), 2, axis=-1
        )
        hidden = nn.Dropout(self.dropout)(nn.silu(gate) * value, deterministic=deterministic)
        result: Array = Dense(width, dtype=self.dtype, name="mlp.w3")(hidden)
        return result


class JiTFinalLayer(nn.Module):
    """An RMS norm, scaled and shifted by the condition, and a linear map that starts at 0."""

    features: int
    dtype: str

    @nn.compact
    def __call__(
        self, h: Tokens, condition: Vector
    ) -> Float[Array, "batch tokens {self.features}"]:
        shift, scale = modulations(condition, 2, self.dtype, STEER)
        h = modulate(nn.RMSNorm(EPSILON, dtype=self.dtype, name="norm_final")(h), shift, scale)
        result: Array = ZeroDense(self.features, dtype=self.dtype, name="linear")(h)
        return result
