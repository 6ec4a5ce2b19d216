"""The U-Net of Stable Diffusion 1, 2 and XL as the diffusers library has it."""

import dataclasses
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
from diffusion_jax.networks.layers import Conv, Linear, activation, affine_group_norm
from diffusion_jax.networks.unet2d.attention import Text
from diffusion_jax.networks.unet2d.classes import KINDS, Told
from diffusion_jax.networks.unet2d.condition_levels import LevelPlan, level, plan
from diffusion_jax.networks.unet2d.embedding import FourierFeatures, VectorEmbedding, sines
from diffusion_jax.networks.unet2d.kinds import (
    DOWN,
    UP,
    check_blocks,
    check_levels,
    per_level,
    without,
)
from diffusion_jax.networks.unet2d.resnet import ResnetStyle

Grid = Float[Array, "batch height width channels"]
Features = Float[Array, "batch height width features"]
Embedding = Float[Array, "batch embedding"]

TIMES = ("positional", "fourier")
OWNER = "unet2d_condition"
# Numbers that SDXL is told: sizes and places; of its refiner, a score in the place of two.
MANY_SIZES, FEW_SIZES = 6, 5
LEAST_SINES = 4
THOUSAND = 1000.0  # by which a scale of guidance is multiplied, as noise levels are labels


@networks.register("unet2d_condition")
class UNet2DCondition(nn.Module):
    """U-Net with attention among cells and to words: Stable Diffusion's and SDXL's.

    c_noise is a label such as 0 … 999. Text is the tokens of the condition. Its pooled vector is
    the class, if there is one, and then SDXL's pooled text; its numbers are a class that is a
    number, then SDXL's six sizes, and last the scale of guidance that a distilled network is told.
    Pictures of any size fit, unless levels double it by residual
    blocks.

    Source: Rombach et al. 2022 (latent diffusion), appendix E; Podell et al. 2023 (SDXL), section
    2; Luo et al. 2023 (LCM), section 4.2, for the scale; huggingface/diffusers,
    models/unets/unet_2d_condition.py, whose names of parameters and settings these are.

    Attributes:
        out_channels: channels of the result; None is `outputs` times those of x.
        center_input_sample: as of a `UNet2D`.
        flip_sin_to_cos, freq_shift: of the sines of the label, see `sines`.
        down_block_types, up_block_types: kinds of levels, keys of `kinds.DOWN` and `kinds.UP`.
        mid_block_type: "UNetMidBlock2DCrossAttn", "UNetMidBlock2D" for one residual block, or None.
        only_cross_attention: levels without attention among cells: one for all, or for each.
        block_out_channels: channels of each level, finest first.
        layers_per_block: residual blocks per level down, for all or each; there is one more up.
        downsample_padding, mid_block_scale_factor, dropout: as of a `UNet2D`.
        act_fn: activation.
        norm_num_groups, norm_eps: of norms.
        cross_attention_dim: features of a word.
        transformer_layers_per_block: blocks of each transformer of a level, for all or each; or for
            each transformer of each level.
        reverse_transformer_layers_per_block: the same for levels up, coarsest first; None for those
            of the levels down.
        encoder_hid_dim: features of a word before a linear map to cross_attention_dim; None for
            none.
        encoder_hid_dim_type: "text_proj" for that map, or None.
        attention_head_dim: number of heads, for all levels or each, whatever it is called; in
            levels with attention among cells alone, features of a head.
        use_linear_projection: first and last map of transformers are linear, and no convolutions.
        class_embed_type: None for one of `num_class_embeds`, or a member of `classes.KINDS`.
        num_class_embeds: number of classes.
        addition_embed_type: "text_time" for SDXL's pooled text and sizes, or None.
        addition_time_embed_dim: features of each size.
        projection_class_embeddings_input_dim: of text and sizes together, or of a class vector.
        class_embeddings_concat: the class stands beside the noise level, and is not added.
        resnet_time_scale_shift: as of a `UNet2D`.
        resnet_skip_time_act, resnet_out_scale_factor: of levels that change their size by residual
            blocks, see `ResnetBlock`.
        time_embedding_type: "positional" or "fourier", with frequencies that are drawn once.
        time_embedding_dim: width of the embedding; None is four (or two) times the first channels.
        time_embedding_act_fn: activation of the whole embedding; None for none.
        timestep_post_act: activation of what the noise level gives; None for none.
        time_cond_proj_dim: sines of the scale of guidance that it is told; None for none.
        conv_in_kernel, conv_out_kernel: sides of the first and the last convolution's kernels.
        remat: compute residual and transformer blocks again in the backward pass.
        attention_implementation, perturbed, outputs: as of a `DiT`.
        convolution: as of a `UNet`.
        dtype: dtype of the computation; parameters are float32, and the result at least.

    Raises:
        UserError: a setting that cannot work, or a picture or condition that does not fit.

    >>> import jax
    >>> from diffusion_jax.networks.conditioners import Context
    >>> network = UNet2DCondition(block_out_channels=(32,), down_block_types=("DownBlock2D",),
    ...     up_block_types=("UpBlock2D",), cross_attention_dim=16)
    >>> words = Context(jnp.zeros((1, 5, 16)), jnp.ones((1, 5), bool), jnp.zeros((1, 0)))
    >>> x, c_noise = jnp.zeros((1, 8, 8, 4)), jnp.zeros(1)
    >>> jax.eval_shape(network.init_with_output, jax.random.key(0), x, c_noise, words)[0].shape
    (1, 8, 8, 4)
    """

    fixed: ClassVar[dict[str, Any]] = {
        "in_channels": ANY,  # those of the pictures that it is given
        "sample_size": ANY,
        "upcast_attention": ANY,  # the softmax is always at least in float32
        "mid_block_only_cross_attention": ANY,  # of a kind of middle that there is none of here
        "cross_attention_norm": ANY,  # as its neighbours below: of kinds that there are none of
        "addition_embed_type_num_heads": ANY,
        "num_attention_heads": None,
        "dual_cross_attention": False,
        "attention_type": "default",
    }

    original: ClassVar[str] = "UNet2DConditionModel"

    out_channels: int | None = None
    center_input_sample: bool = False
    flip_sin_to_cos: bool = True
    freq_shift: float = 0
    down_block_types: tuple[str, ...] = (*["CrossAttnDownBlock2D"] * 3, "DownBlock2D")
    mid_block_type: str | None = "UNetMidBlock2DCrossAttn"
    up_block_types: tuple[str, ...] = ("UpBlock2D", *["CrossAttnUpBlock2D"] * 3)
    only_cross_attention: bool | tuple[bool, ...] = False
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers_per_block: int | tuple[int, ...] = 2
    downsample_padding: int = 1
    mid_block_scale_factor: float = 1.0
    dropout: float = 0.0
    act_fn: str = "silu"
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    cross_attention_dim: int = 1280
    transformer_layers_per_block: int | tuple[int | tuple[int, ...], ...] = 1
    reverse_transformer_layers_per_block: tuple[int | tuple[int, ...], ...] | None = None
    encoder_hid_dim: int | None = None
    encoder_hid_dim_type: str | None = None
    attention_head_dim: int | tuple[int, ...] = 8
    use_linear_projection: bool = False
    class_embed_type: str | None = None
    addition_embed_type: str | None = None
    addition_time_embed_dim: int | None = None
    num_class_embeds: int | None = None
    resnet_time_scale_shift: str = "default"
    resnet_skip_time_act: bool = False
    resnet_out_scale_factor: float = 1.0
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    time_embedding_act_fn: str | None = None
    timestep_post_act: str | None = None
    time_cond_proj_dim: int | None = None
    conv_in_kernel: int = 3
    conv_out_kernel: int = 3
    projection_class_embeddings_input_dim: int | None = None
    class_embeddings_concat: bool = False
    remat: bool = False
    attention_implementation: str = "xla"
    convolution: str = "direct"
    perturbed: tuple[int, ...] | None = None
    outputs: int = 1
    dtype: str = "float32"

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call; SDXL is told six sizes."""
        side, sizes = 2 ** len(self.block_out_channels), self.addition_time_embed_dim or 0
        numbers = int(self.class_embed_type == "timestep")
        pooled = self._told.class_width
        if self.addition_embed_type is not None:
            count = MANY_SIZES if sizes * MANY_SIZES < self._inputs else FEW_SIZES
            numbers, pooled = numbers + count, pooled + self._inputs - count * sizes
        numbers += int(self.guidance_embeds)
        text = self.encoder_hid_dim or self.cross_attention_dim
        x = rows(side, side, configuration.get("in_channels", 4))
        return x, rows(), told(text, pooled, numbers)

    @property
    def _inputs(self) -> int:
        return self.projection_class_embeddings_input_dim or 0

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = [without(each, resample="fir") for each in (DOWN, UP)]
        channels = self.block_out_channels
        check_levels(OWNER, channels, self.down_block_types, self.up_block_types, *kinds)
        check_blocks(OWNER, self)
        checks.positive_integers(
            OWNER,
            norm_num_groups=self.norm_num_groups,
            cross_attention_dim=self.cross_attention_dim,
            conv_in_kernel=self.conv_in_kernel,
            conv_out_kernel=self.conv_out_kernel,
        )
        each = per_level(OWNER, "layers_per_block", self.layers_per_block, len(channels))
        heads = per_level(OWNER, "attention_head_dim", self.attention_head_dim, len(channels))
        for layers, number in zip(each, heads, strict=True):
            checks.positive_integers(OWNER, layers_per_block=layers, attention_head_dim=number)
        one_of(self.time_embedding_type, TIMES, f"time_embedding_type of a {OWNER}")
        if self.class_embed_type == "timestep" and self.time_embedding_type != "positional":
            raise UserError(f"{OWNER}: class_embed_type='timestep' needs positional embeddings.")
        if self.addition_embed_type is not None:
            one_of(self.addition_embed_type, ("text_time",), f"addition_embed_type of a {OWNER}")
            checks.positive_integers(OWNER, addition_time_embed_dim=self.addition_time_embed_dim)
        if self.encoder_hid_dim_type is not None:
            one_of(self.encoder_hid_dim_type, ("text_proj",), f"encoder_hid_dim_type of a {OWNER}")
            checks.positive_integers(OWNER, encoder_hid_dim=self.encoder_hid_dim)
        if self.time_cond_proj_dim is not None:
            checks.positive_integers(OWNER, time_cond_proj_dim=self.time_cond_proj_dim)
            if self.time_cond_proj_dim < LEAST_SINES:
                raise UserError(
                    f"{OWNER}: time_cond_proj_dim must be {LEAST_SINES} or more, not "
                    f"{self.time_cond_proj_dim}: two sines and two cosines."
                )
        for act in (self.time_embedding_act_fn, self.timestep_post_act):
            activation(act or "silu")
        self._told.check(*KINDS)
        levels = plan(OWNER, self)
        widths = [level.attention.head_width for level in levels if level.attention is not None]
        checks.attention(OWNER, self.attention_implementation, widths, self.dtype)
        layers = sum(level.layers for level in levels)
        checks.size(OWNER, layers, 27 * layers * max(channels) ** 2)

    @property
    def self_attentions(self) -> int:
        """How many there are."""
        return sum(level.self_attentions for level in plan(OWNER, self))

    @property
    def guidance_embeds(self) -> bool:
        """Whether it is told a scale of guidance."""
        return self.time_cond_proj_dim is not None

    @property
    def _told(self) -> Told:
        return Told(
            OWNER,
            self._embedding_width,
            self.class_embed_type,
            self.num_class_embeds,
            inputs=self.projection_class_embeddings_input_dim,
            sizes=self.addition_time_embed_dim if self.addition_embed_type else None,
            sines_width=self.block_out_channels[0],
            flip_sin_to_cos=self.flip_sin_to_cos,
            freq_shift=self.freq_shift,
            act=self.act_fn,
            dtype=self.dtype,
        )

    @property
    def _embedding_width(self) -> int:
        times = 2 if self.time_embedding_type == "fourier" else 4
        return self.time_embedding_dim or times * self.block_out_channels[0]

    @nn.compact
    def __call__(
        self,
        x: Grid,
        c_noise: Float[Array, "batch *numbers"],
        context: Context | None = None,
        deterministic: bool = True,
    ) -> Features:
        """Returns the network's raw prediction; arguments as in `UNet`, but for c_noise."""
        levels = plan(OWNER, self)
        self._check_size(x.shape, levels)
        text = self._text(context)
        embedding = self._embedding(c_noise, context)
        style = ResnetStyle(
            self.norm_eps,
            self.act_fn,
            self.resnet_time_scale_shift,
            self.dropout,
            self.dtype,
            self.convolution,
        )
        x = x.astype(self.dtype)
        if self.center_input_sample:
            x = 2 * x - 1
        h = self._conv(self.block_out_channels[0], self.conv_in_kernel, "conv_in")(x)
        skips = [h]
        for each in levels:
            module = level(self, each, style)
            if each.name.startswith("down"):
                h, results = module(h, embedding, text, deterministic)
                skips += results
            elif each.name.startswith("mid"):
                h = module(h, embedding, text, deterministic)
            else:
                here = [skips.pop() for _ in range(each.layers)]
                size = skips[-1].shape[1:3] if skips else None
                h = module(h, here, size, embedding, text, deterministic)
        norm = affine_group_norm(
            self.norm_num_groups, h.shape[-1], self.norm_eps, self.dtype, "conv_norm_out"
        )
        features = self.out_channels or self.outputs * x.shape[-1]
        h = self._conv(features, self.conv_out_kernel, "conv_out")(activation(self.act_fn)(norm(h)))
        return h.astype(jnp.promote_types(jnp.float32, self.dtype))

    def _check_size(self, shape: tuple[int, ...], levels: list[LevelPlan]) -> None:
        by_resnet = any(level.resample == "resnet" for level in levels)
        halvings = len(self.block_out_channels) - 1
        multiple = 2**halvings if by_resnet else 1
        why = f"2^{halvings} for its halvings by residual blocks"
        checks.picture_fits(OWNER, shape, multiple, why)

    def _conv(self, features: int, side: int, name: str) -> Conv:
        return Conv(features, side, dtype=self.dtype, convolution=self.convolution, name=name)

    def _text(self, context: Context | None) -> Text:
        """Words to attend to."""
        width = self.encoder_hid_dim or self.cross_attention_dim
        given = None if context is None else context.tokens.shape[-1]
        if context is None or given != width:
            told = "no text" if given is None else f"text of {given} features a word"
            raise UserError(
                f"{OWNER}: it is given {told}, and wants {width} features a word: set "
                "cross_attention_dim to what the conditioner gives."
            )
        tokens = context.tokens.astype(self.dtype)
        if self.encoder_hid_dim is not None:
            tokens = Linear(self.cross_attention_dim, dtype=self.dtype, name="encoder_hid_proj")(
                tokens
            )
        return tokens, context.mask

    def _guidance(
        self, context: Context | None
    ) -> tuple[Float[Array, "batch features"] | None, Context | None]:
        """Sines of the last number, a scale of guidance, and the context without it.

        What counts is the scale beyond 1, which is none.
        """
        if self.time_cond_proj_dim is None:
            return None, context
        if context is None or context.numbers is None or not context.numbers.shape[1]:
            raise UserError(
                f"{OWNER}: it wants a scale of guidance as the last of the condition's numbers, "
                "and is given none."
            )
        beyond = context.numbers[:, -1] - 1
        features = sines(THOUSAND * beyond, self.time_cond_proj_dim, False, 1.0, self.dtype)
        return features, dataclasses.replace(context, numbers=context.numbers[:, :-1])

    def _embedding(
        self, c_noise: Float[Array, "batch *numbers"], context: Context | None
    ) -> Embedding:
        """Noise level, class, text and sizes as one vector."""
        numbers, width = c_noise.reshape(-1), self._embedding_width
        if self.time_embedding_type == "fourier":
            project = FourierFeatures(
                width, 1.0, self.flip_sin_to_cos, self.dtype, name="time_proj"
            )
            told = project(numbers)
        else:
            first = self.block_out_channels[0]
            told = sines(numbers, first, self.flip_sin_to_cos, self.freq_shift, self.dtype)
        post = self.timestep_post_act or ""
        embed = VectorEmbedding(width, self.act_fn, post, self.dtype, name="time_embedding")
        scale, context = self._guidance(context)
        embedding = embed(told.reshape(len(c_noise), -1), scale)
        class_vector = self._told.class_vector(context)
        if class_vector is not None and self.class_embeddings_concat:
            embedding = jnp.concatenate([embedding, class_vector], axis=-1)
        elif class_vector is not None:
            embedding += class_vector
        added = self._told.text_and_sizes(context)
        if added is not None:
            embedding += added
        act = self.time_embedding_act_fn
        return embedding if act is None else activation(act)(embedding)
