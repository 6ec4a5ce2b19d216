"""The U-Net of DDPM and NCSN++ as the diffusers library has it."""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffusion_jax.errors import UserError, one_of
from diffusion_jax.networks import checks
from diffusion_jax.networks.base import networks
from diffusion_jax.networks.conditioners.base import Context
from diffusion_jax.networks.configurations import ANY, rows, told
from diffusion_jax.networks.layers import Conv, affine_group_norm
from diffusion_jax.networks.unet2d.attention import LevelAttention
from diffusion_jax.networks.unet2d.classes import Told
from diffusion_jax.networks.unet2d.embedding import (
    FourierFeatures,
    LearnedFeatures,
    VectorEmbedding,
    sines,
)
from diffusion_jax.networks.unet2d.kinds import DOWN, UP, Kind, check_blocks, check_levels, without
from diffusion_jax.networks.unet2d.levels import DownLevel, MiddleLevel, UpLevel
from diffusion_jax.networks.unet2d.resnet import ResnetStyle
from diffusion_jax.networks.unet2d.skip_levels import (
    MOST_GROUPS,
    OUTPUT_SCALE,
    SkipDownLevel,
    SkipUpLevel,
    group_count,
)

Grid = Float[Array, "batch height width channels"]
Features = Float[Array, "batch height width features"]

FOURIER_SCALE = 16.0
TIMES = ("positional", "fourier", "learned")
CHOICES = ("conv", "resnet")
OWNER = "unet2d"


@networks.register("unet2d")
class UNet2D(nn.Module):
    """U-Net with attention among cells, for pictures without a condition or with a class.

    With time_embedding_type "positional", c_noise is a label such as 0 … 999; with "fourier" it is
    sigma, of which the logarithm is embedded and by which the result is divided; with "learned" it
    is a whole number. A class is the pooled vector of the condition: one-hot, or any vector.

    Source: Ho et al. 2020 (DDPM), appendix B; Song et al. 2021 (score SDE), appendix H.2, for
    levels that skip; huggingface/diffusers, models/unets/unet_2d.py, whose names of parameters and
    settings these are.

    Attributes:
        out_channels: channels of the result; None is `outputs` times those of x.
        center_input_sample: pictures are from 0 to 1, and are taken to -1 to 1.
        time_embedding_type: "positional", "fourier" or "learned".
        time_embedding_dim: width of the embedding; None is four times the first channels.
        freq_shift, flip_sin_to_cos: of the sines of the label, see `sines`.
        down_block_types, up_block_types: kinds of levels, keys of `kinds.DOWN` and `kinds.UP`.
        mid_block_type: "UNetMidBlock2D", or None for no level in the middle.
        block_out_channels: channels of each level, finest first.
        layers_per_block: residual blocks per level down; there is one more up.
        mid_block_scale_factor: divides the results of blocks in the middle.
        downsample_padding: zeros around before halving: 1, or 0 for a row and a column at the end.
        downsample_type, upsample_type: "conv" or "resnet", for levels with attention.
        dropout: fraction of activations dropped in each residual block while training.
        act_fn: activation of residual blocks.
        attention_head_dim: features of a head; None is one head.
        norm_num_groups: groups of norms; None, for levels that skip alone, is one for four
            channels.
        attn_norm_num_groups: groups of the norm of the middle's attention; None is norm_num_groups,
            or no norm with "scale_shift".
        norm_eps: added to variances.
        resnet_time_scale_shift: "default" or "scale_shift", see `ResnetBlock`.
        add_attention: have attention in the middle.
        class_embed_type: "timestep" for a class that is a number of the condition, "identity" for
            one that is an embedding already, None for one of `num_class_embeds`.
        num_class_embeds: number of classes.
        num_train_timesteps: number of labels that are learned.
        remat: compute residual blocks again in the backward pass.
        attention_implementation, perturbed, outputs: as of a `DiT`.
        convolution: as of a `UNet`.
        dtype: dtype of the computation; parameters are float32, and the result at least.

    Raises:
        UserError: a setting that cannot work, or a picture whose sides are not multiples of
            2^(levels - 1), or a condition that does not fit.

    >>> import jax
    >>> network = UNet2D(block_out_channels=(32, 64), down_block_types=("DownBlock2D",) * 2,
    ...     up_block_types=("UpBlock2D",) * 2)
    >>> x, c_noise = jnp.zeros((1, 8, 8, 3)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise)[0].shape
    (1, 8, 8, 3)
    """

    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "sample_size": ANY,
    }

    original: ClassVar[str] = "UNet2DModel"

    out_channels: int | None = None
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: float = 0
    flip_sin_to_cos: bool = True
    down_block_types: tuple[str, ...] = ("DownBlock2D", *["AttnDownBlock2D"] * 3)
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: tuple[str, ...] = (*["AttnUpBlock2D"] * 3, "UpBlock2D")
    block_out_channels: tuple[int, ...] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1.0
    downsample_padding: int = 1
    downsample_type: str = "conv"
    upsample_type: str = "conv"
    dropout: float = 0.0
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int | None = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    num_train_timesteps: int | None = None
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        side = 2 ** len(self.block_out_channels)
        classes = self._told.class_width
        context = told(pooled=classes, numbers=1) if self._told.has_class else None
        return rows(side, side, configuration.get("in_channels", 3)), rows(), context

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = [without(each, attends="words") for each in (DOWN, UP)]
        channels = self.block_out_channels
        check_levels(OWNER, channels, self.down_block_types, self.up_block_types, *kinds)
        check_blocks(OWNER, self)
        checks.positive_integers(OWNER, layers_per_block=self.layers_per_block)
        one_of(self.time_embedding_type, TIMES, f"time_embedding_type of a {OWNER}")
        if self.time_embedding_type == "learned":
            checks.positive_integers(OWNER, num_train_timesteps=self.num_train_timesteps)
        if self.mid_block_type is not None:
            one_of(self.mid_block_type, ("UNetMidBlock2D",), f"mid_block_type of a {OWNER}")
        for name in ("downsample_type", "upsample_type"):
            one_of(getattr(self, name), CHOICES, f"{name} of a {OWNER}")
        self._check_groups()
        self._told.check("timestep", "identity")
        if self.class_embed_type == "timestep" and self.time_embedding_type != "positional":
            raise UserError(
                f"{OWNER}: class_embed_type='timestep' needs time_embedding_type='positional', not "
                f"{self.time_embedding_type!r}."
            )
        widths = [self._heads(width)[1] for width in channels]
        checks.attention(OWNER, self.attention_implementation, widths, self.dtype)
        layers = (2 * self.layers_per_block + 1) * len(channels)
        checks.size(OWNER, layers, 27 * layers * max(channels) ** 2)

    def _check_groups(self) -> None:
        kinds = [DOWN[name] for name in self.down_block_types]
        kinds += [UP[name] for name in self.up_block_types]
        if self.norm_num_groups is None:
            if any(kind.resample != "fir" for kind in kinds):
                raise UserError(
                    f"{OWNER}: norm_num_groups=None is for levels that skip, such as "
                    "SkipDownBlock2D, alone; others need a number."
                )
        else:
            checks.positive_integers(OWNER, norm_num_groups=self.norm_num_groups)
        if self.attention_head_dim is not None:
            checks.positive_integers(OWNER, attention_head_dim=self.attention_head_dim)

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        down = sum(bool(DOWN[name].attends) for name in self.down_block_types)
        up = sum(self._attentions(name) for name in self.up_block_types)
        return down * self.layers_per_block + up + self._middle_attends

    def _attentions(self, up: str) -> int:
        """Attentions of a kind of level up: one after each block, or at its end."""
        kind = UP[up]
        each = 1 if kind.resample == "fir" else self.layers_per_block + 1
        return each * bool(kind.attends)

    @property
    def _middle_attends(self) -> bool:
        return self.mid_block_type is not None and self.add_attention

    @property
    def _style(self) -> ResnetStyle:
        return ResnetStyle(
            self.norm_eps,
            self.act_fn,
            self.resnet_time_scale_shift,
            self.dropout,
            self.dtype,
            self.convolution,
        )

    @property
    def _embedding_width(self) -> int:
        return self.time_embedding_dim or 4 * self.block_out_channels[0]

    @property
    def _told(self) -> Told:
        return Told(
            OWNER,
            self._embedding_width,
            self.class_embed_type,
            self.num_class_embeds,
            inputs=None,
            sizes=None,
            sines_width=self.block_out_channels[0],
            flip_sin_to_cos=self.flip_sin_to_cos,
            freq_shift=self.freq_shift,
            act="silu",
            dtype=self.dtype,
        )

    def _heads(self, channels: int) -> tuple[int, int]:
        """Number and width of heads."""
        width = self.attention_head_dim or channels
        return channels // width, width

    def _attention(
        self, channels: int, groups: int | None, first: int, output_scale: float = 1.0
    ) -> LevelAttention:
        return LevelAttention(
            *self._heads(channels),
            groups,
            self.norm_eps,
            output_scale,
            first=first,
            perturbed=self.perturbed,
            implementation=self.attention_implementation,
            dtype=self.dtype,
        )

    @nn.compact
    def __call__(
        self,
        x: Grid,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Features:
        """Returns the network's raw prediction; arguments as in `UNet`, but for c_noise."""
        halvings = len(self.block_out_channels) - 1
        checks.picture_fits(OWNER, x.shape, 2**halvings, f"2^{halvings} for its halvings")
        x = x.astype(self.dtype)
        if self.center_input_sample:
            x = 2 * x - 1
        embedding = self._embedding(c_noise, context)
        picture, h = x, self._conv(self.block_out_channels[0], "conv_in")(x)
        skips, first = [h], 0
        for i, name in enumerate(self.down_block_types):
            level = self._level(f"down_blocks.{i}", DOWN[name], self.block_out_channels[i], first)
            if DOWN[name].resample == "fir":
                h, results, picture = level(h, picture, embedding, deterministic)
            else:
                h, results = level(h, embedding, None, deterministic)
            skips += results
            first += self.layers_per_block * bool(DOWN[name].attends)
        if self.mid_block_type is not None:
            h = self._middle(first)(h, embedding, None, deterministic)
            first += self._middle_attends
        features = self.out_channels or self.outputs * x.shape[-1]
        built = None
        for i, name in enumerate(self.up_block_types):
            channels = self.block_out_channels[-1 - i]
            level = self._level(f"up_blocks.{i}", UP[name], channels, first)
            here = skips[: -self.layers_per_block - 2 : -1]
            del skips[-self.layers_per_block - 1 :]
            if UP[name].resample == "fir":
                h, built = level(h, here, built, features, embedding, deterministic)
            else:
                h = level(h, here, None, embedding, None, deterministic)
            first += self._attentions(name)
        groups = self.norm_num_groups or group_count(h.shape[-1])
        h = nn.silu(
            affine_group_norm(groups, h.shape[-1], self.norm_eps, self.dtype, "conv_norm_out")(h)
        )
        h = self._conv(features, "conv_out")(h)
        h = h if built is None else h + built
        h = h.astype(jnp.promote_types(jnp.float32, self.dtype))
        if self.time_embedding_type == "fourier":
            h /= c_noise.reshape(len(h), -1)[:, :1, None, None].astype(h.dtype)
        return h

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Float[Array, "batch embedding"]:
        """Noise level and class as one vector."""
        numbers, first = c_noise.reshape(-1), self.block_out_channels[0]
        if self.time_embedding_type == "fourier":
            features = FourierFeatures(
                2 * first, FOURIER_SCALE, False, self.dtype, name="time_proj"
            )
            told = features(jnp.log(numbers))
        elif self.time_embedding_type == "learned":
            assert self.num_train_timesteps is not None
            table = LearnedFeatures(self.num_train_timesteps, first, self.dtype, name="time_proj")
            told = table(numbers)
        else:
            told = sines(numbers, first, self.flip_sin_to_cos, self.freq_shift, self.dtype)
        told = told.reshape(len(c_noise), -1)
        embed = VectorEmbedding(self._embedding_width, dtype=self.dtype, name="time_embedding")
        embedding = embed(told)
        if not self._told.has_class and context is not None:
            raise UserError(
                f"{OWNER}: it is given a condition, and has no place for one: set num_class_embeds "
                "to the width of the condition's vector."
            )
        class_vector = self._told.class_vector(context)
        return embedding if class_vector is None else embedding + class_vector

    def _conv(self, features: int, name: str) -> Conv:
        return Conv(features, dtype=self.dtype, convolution=self.convolution, name=name)

    def _level(self, name: str, kind: Kind, channels: int, first: int) -> Any:
        """The module of a level, within the calling module; names end with its number."""
        down = name.startswith("down")
        plain, skips = (DownLevel, SkipDownLevel) if down else (UpLevel, SkipUpLevel)
        chosen = self.downsample_type if down else self.upsample_type
        resample = chosen if kind.resample == "choice" else kind.resample
        ends = name.endswith(f".{len(self.block_out_channels) - 1}")
        which: Any = skips if kind.resample == "fir" else plain
        return which(
            channels,
            self.layers_per_block if down else self.layers_per_block + 1,
            self.norm_num_groups or group_count(channels),
            self._style,
            self._level_attention(kind, channels, first),
            "" if ends else resample,
            self.downsample_padding,
            remat=self.remat,
            name=name,
        )

    def _level_attention(self, kind: Kind, channels: int, first: int) -> LevelAttention | None:
        if not kind.attends:
            return None
        if kind.resample == "fir":
            return self._attention(channels, MOST_GROUPS, first, OUTPUT_SCALE)
        return self._attention(channels, self.norm_num_groups, first)

    def _middle(self, first: int) -> MiddleLevel:
        channels, scale = self.block_out_channels[-1], self.mid_block_scale_factor
        groups = self.norm_num_groups or group_count(channels)
        normed = groups if self.resnet_time_scale_shift == "default" else None
        attention = self._attention(channels, self.attn_norm_num_groups or normed, first, scale)
        return MiddleLevel(
            channels,
            1,
            groups,
            self._style,
            attention if self.add_attention else None,
            output_scale=scale,
            remat=self.remat,
            name="mid_block",
        )
