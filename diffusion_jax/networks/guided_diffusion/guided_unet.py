"""GuidedUNet: the U-Net of ADM as OpenAI released it, and of its super-resolution."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError
from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.guided_diffusion import layers
from diffusion_jax.networks.guided_diffusion.layers import GuidedBlocks
from diffusion_jax.networks.initializers import unit_normal

Picture = Float[Array, "batch height width channels"]
Result = Float[Array, "batch height width outputs"]
Hidden = Float[Array, "batch _ _ _"]
Embedding = Float[Array, "batch embedding"]
OWNER = "guided_unet"


@networks.register("guided_unet")
class GuidedUNet(nn.Module):
    """U-Net of openai/guided-diffusion, which is improved DDPM's too.

    It is called with timesteps 0 … 999, which may be fractions. `context.pooled` is the class as a
    one-hot vector, or any vector. The released networks have `outputs=2`: they tell a variance.

    Source: Dhariwal & Nichol 2021 (ADM), sec. 3; Nichol & Dhariwal 2021 (improved DDPM);
    github.com/openai/guided-diffusion, guided_diffusion/unet.py.

    Attributes:
        label_dim: classes, the width of `context.pooled`; 0 is the width of what comes.
        model_channels: channels, which each level has a multiple of, itself a multiple of 32.
        num_res_blocks: residual blocks of a level on the way down; one more on the way up.
        attention_resolutions: how often the sides are divided, 1, 2, 4, …, where all blocks attend;
            the middle does always.
        dropout: fraction of activations dropped in each block while training.
        channel_mult: multiples, finest level first.
        conv_resample: whether a convolution goes with halving and doubling, where no block does.
        num_heads: attention heads.
        num_head_channels: features of a head, whose number then follows; -1 for `num_heads`.
        num_heads_upsample: heads on the way up; -1 for `num_heads`.
        use_scale_shift_norm: whether the embedding scales and shifts a norm, or is added before it.
        resblock_updown: whether sides are halved and doubled within residual blocks.
        use_new_attention_order: whether queries, keys and values are apart before the heads are.
        super_resolution: whether it sees a smaller picture, `context.channels`, of the channels of
            x, enlarged between pixels.
        remat: compute blocks again in the backward pass, for less memory.
        attention_implementation: as of a `DiT`.
        convolution: as of a `UNet`.
        perturbed: as of a `UNet`.
        outputs: channels of the result for each channel of x; 2 with a variance.
        dtype: dtype of the computation but for norms, first and last layers, which are of float32
            at least.

    Raises:
        UserError: a setting that cannot work, or data that does not fit.

    >>> network = GuidedUNet(model_channels=32, channel_mult=(1, 2), num_res_blocks=1)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    label_dim: int = 0
    model_channels: int = 128
    num_res_blocks: int = 2
    attention_resolutions: tuple[int, ...] = (4, 8)
    dropout: float = 0.0
    channel_mult: tuple[float, ...] = (1, 2, 4, 8)
    conv_resample: bool = True
    num_heads: int = 1
    num_head_channels: int = -1
    num_heads_upsample: int = -1
    use_scale_shift_norm: bool = False
    resblock_updown: bool = False
    use_new_attention_order: bool = False
    super_resolution: bool = False
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        layers.check_guided(OWNER, self)
        checks.counts(OWNER, label_dim=self.label_dim)
        checks.switch(OWNER, super_resolution=self.super_resolution)
        checks.positive_integers(OWNER, outputs=self.outputs)

    @property
    def self_attentions(self) -> int:
        """How many there are: of each block of a level that attends, and of the middle."""
        return layers.attending(self) * (2 * self.num_res_blocks + 1) + 1

    @property
    def reads_channels(self) -> bool:
        """Whether it puts `context.channels` beside x itself."""
        return self.super_resolution

    @nn.compact
    def __call__(
        self,
        x: Picture,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Result:
        """Returns the network's raw prediction; arguments as in `SongUNet`."""
        halvings = len(self.channel_mult) - 1
        checks.picture_fits(OWNER, x.shape, 2**halvings, f"{halvings} halvings")
        embedding = self._embedding(c_noise, context)
        block, features = GuidedBlocks(self, embedding, deterministic), x.shape[-1]
        if self.super_resolution:
            x = jnp.concatenate([x, self._enlarged(x, context)], axis=-1)
        made = block.down(x.astype(self.dtype))
        h = self._up(block.middle(made[-1]), made, block)
        dtype = layers.at_least_single(self.dtype)
        h = nn.silu(layers.group_norm(h.astype(dtype), dtype, "out.0"))
        style = dataclasses.replace(block.style, dtype=dtype)
        return layers.conv(h, self.outputs * features, style, "out.2", zero=True)

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Embedding:
        embedding = layers.embedded(c_noise, self)
        pooled = None if context is None else context.pooled
        pooled = checks.vector(OWNER, "label_dim", self.label_dim, pooled, len(c_noise))
        if pooled is not None:
            embedding += ClassVectors(embedding.shape[-1], name="label_emb")(pooled)
        return embedding

    def _enlarged(self, x: Picture, context: Context | None) -> Picture:
        """The smaller picture at the size of x."""
        small = None if context is None else context.channels
        if small is None or small.shape[-1] != x.shape[-1]:
            raise UserError(
                f"{OWNER}: super_resolution needs a picture of {x.shape[-1]} channels as "
                "context.channels, such as the conditioner 'image' gives."
            )
        return jax.image.resize(small.astype(x.dtype), x.shape, "bilinear", antialias=False)

    def _up(self, h: Picture, made: list[Hidden], block: GuidedBlocks) -> Hidden:
        """What the coarsest to the finest level make of all that was made on the way down."""
        entry = 0
        for level, width in reversed(list(enumerate(layers.widths(self)))):
            attends = 2**level in self.attention_resolutions
            for i in range(self.num_res_blocks + 1):
                name = f"output_blocks.{entry}"
                h = jnp.concatenate([h, made.pop()], axis=-1)
                h = block.block(h, width, f"{name}.0")
                if attends:
                    h = block.attention(h, f"{name}.1", up=True)
                if level and i == self.num_res_blocks:
                    h = block.resampled(h, "up", f"{name}.{1 + attends}")
                entry += 1
        return h


class ClassVectors(nn.Module):
    """A vector for each class: those of a one-hot vector, or their sum for any vector.

    Attributes:
        width: of the vectors.
    """

    width: int

    @nn.compact
    def __call__(self, chosen: Float[Array, "batch classes"]) -> Float[Array, "batch {self.width}"]:
        """The vectors of the chosen classes."""
        table = self.param("embedding", unit_normal, (chosen.shape[-1], self.width))
        return chosen @ jnp.asarray(table)
