"""GuidedClassifier: the classifier of noisy pictures that guides ADM."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.attention import attend
from diffusion_jax.networks.guided_diffusion import layers
from diffusion_jax.networks.guided_diffusion.layers import GuidedBlocks, RowConv, dense, group_norm

Picture = Float[Array, "batch height width channels"]
POOLS = ("adaptive", "attention", "spatial", "spatial_v2")
HIDDEN = 2048  # features between the two layers that end a spatial pool
OWNER = "guided classifier"


class GuidedClassifier(nn.Module):
    """The way down of `GuidedUNet`, and a pool: logits of the class of a noisy picture.

    It is called as `classifier(x, c_noise)`, with timesteps 0 … 999. The gradient of
    log softmax(logits) of a class in x is what guides (Dhariwal & Nichol 2021, sec. 4).

    Source: Dhariwal & Nichol 2021 (ADM), sec. 4; github.com/openai/guided-diffusion,
    guided_diffusion/unet.py, EncoderUNetModel.

    Attributes:
        classes: how many logits.
        pool: "adaptive", the mean over all places; "attention", a place that looks at all others;
            "spatial" or "spatial_v2", means over the places of every level.

    All others are as of a `GuidedUNet`.

    Raises:
        UserError: a setting that cannot work, or data that does not fit.

    >>> import jax
    >>> network = GuidedClassifier(10, model_channels=32, channel_mult=(1, 2), num_res_blocks=1)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 10)
    """

    classes: int
    model_channels: int = 128
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (2, 4, 8)
    dropout: float = 0.0
    channel_mult: tuple[float, ...] = (1, 2, 4, 8)
    conv_resample: bool = True
    num_heads: int = 1
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    use_new_attention_order: bool = False
    pool: str = "adaptive"
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        layers.check_guided(OWNER, self)
        checks.positive_integers(OWNER, classes=self.classes)
        one_of(self.pool, POOLS, "pool of a guided classifier")
        if self.pool == "attention" and self.num_head_channels == -1:
            raise UserError(f"{OWNER}: pool='attention' needs num_head_channels, such as 64.")

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, " batch"],
        deterministic: bool = True,
    ) -> Float[Array, "batch {self.classes}"]:
        """Returns logits, in at least float32.

        Args:
            x: (batch, height, width, channels), noisy pictures.
            c_noise: (batch,) timesteps.
            deterministic: no dropout.
        """
        halvings = len(self.channel_mult) - 1
        checks.picture_fits(OWNER, x.shape, 2**halvings, f"{halvings} halvings")
        block = GuidedBlocks(self, layers.embedded(c_noise, self), deterministic)
        made = block.down(x.astype(self.dtype))
        dtype = layers.at_least_single(self.dtype)
        made = [h.astype(dtype) for h in [*made, block.middle(made[-1])]]
        if self.pool.startswith("spatial"):
            return self._spatial(made, dtype)
        h = nn.silu(group_norm(made[-1], dtype, "out.0"))
        rows = h.reshape(len(h), -1, h.shape[-1])
        if self.pool == "attention":
            return AttentionPool(self.classes, self.num_head_channels, dtype, name="out.2")(rows)
        mean = rows.mean(axis=1)
        return PixelConv(self.classes, dtype, name="out.3")(mean)

    def _spatial(self, made: list[Array], dtype: str) -> Float[Array, "batch classes"]:
        means = jnp.concatenate([h.mean(axis=(1, 2)) for h in made], axis=-1)
        hidden = dense(means, HIDDEN, dtype, "out.0")
        if self.pool == "spatial":
            return dense(nn.relu(hidden), self.classes, dtype, "out.2")
        return dense(nn.silu(group_norm(hidden, dtype, "out.1")), self.classes, dtype, "out.3")


class PixelConv(nn.Module):
    """A linear map that starts at zero, whose kernel is that of a 1 × 1 convolution.

    Attributes:
        features: of the result.
        dtype: dtype of the computation.
    """

    features: int
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch features"]:
        zeros = nn.initializers.zeros
        kernel = self.param("kernel", zeros, (1, 1, x.shape[-1], self.features))
        bias = self.param("bias", zeros, (self.features,))
        return x @ kernel[0, 0].astype(self.dtype) + bias.astype(self.dtype)


class AttentionPool(nn.Module):
    """What the mean of all places sees when it looks at them, as in CLIP.

    Attributes:
        features: of the result.
        num_head_channels: features of an attention head.
        dtype: dtype of the computation.

    Source: Radford et al. 2021 (CLIP), sec. 2.4.
    """

    features: int
    num_head_channels: int
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch rows width"]) -> Float[Array, "batch features"]:
        rows = jnp.concatenate([x.mean(axis=1, keepdims=True), x], axis=1)
        batch, length, width = rows.shape
        first = nn.initializers.normal(width**-0.5)
        places = self.param("positional_embedding", first, (width, length))
        rows += jnp.asarray(places).T.astype(self.dtype)
        qkv = RowConv(3 * width, self.dtype, name="qkv_proj")(rows)
        heads = layers.split_heads(qkv, width // self.num_head_channels, new_order=True)
        seen = attend(*heads).reshape(batch, length, width)
        return RowConv(self.features, self.dtype, name="c_proj")(seen)[:, 0]
