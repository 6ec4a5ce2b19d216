"""The family of encoders, which grows by a file in this folder.

An encoder makes vectors of a caption's tokens or of a picture:

    encoding = encoder.apply({"params": params}, ids, mask)
    encoding.tokens, encoding.pooled, encoding.hidden
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from diffusion_jax.errors import UserError
from diffusion_jax.networks.configurations import ANY
from diffusion_jax.registry import Registry
from diffusion_jax.struct import pytree

Ids = Int[Array, "batch length"]
Pictures = Float[Array, "batch height width colours"]
Mask = Bool[Array, "batch length"]
Tokens = Float[Array, "batch length width"]

GENERIC: Mapping[str, Any] = dict.fromkeys(
    (
        "architectures",
        "attention_dropout",  # as all of dropout: it is off, except where the original is trained
        "attention_probs_dropout_prob",
        "bos_token_id",
        "chunk_size_feed_forward",
        "classifier_dropout",
        "dropout",
        "dropout_rate",
        "gradient_checkpointing",
        "hidden_dropout_prob",
        "id2label",
        "initializer_factor",
        "initializer_range",
        "is_encoder_decoder",
        "label2id",
        "model_type",
        "output_attentions",
        "output_hidden_states",
        "output_past",
        "pad_token_id",
        "problem_type",
        "return_dict",
        "sep_token_id",
        "task_specific_params",
        "tie_word_embeddings",
        "tokenizer_class",
        "torch_dtype",
        "torchscript",
        "transformers_version",
        "use_bfloat16",
        "use_cache",
        # What older files say of how words are drawn, which no encoder does.
        *("bad_words_ids", "begin_suppress_tokens", "cross_attention_hidden_size"),
        *("decoder_start_token_id", "diversity_penalty", "do_sample", "early_stopping"),
        *("encoder_no_repeat_ngram_size", "exponential_decay_length_penalty", "finetuning_task"),
        *("forced_bos_token_id", "forced_eos_token_id", "length_penalty", "max_length"),
        *("min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams"),
        *("num_return_sequences", "output_scores", "prefix", "remove_invalid_values"),
        *("repetition_penalty", "return_dict_in_generate", "suppress_tokens", "temperature"),
        *("tf_legacy_loss", "tie_encoder_decoder", "top_k", "top_p", "typical_p"),
    ),
    ANY,
) | {"add_cross_attention": False, "is_decoder": False, "pruned_heads": {}}
"""What configurations of transformers say beside what decides about an encoder's numbers."""


@pytree
class Encoding:
    """What an encoder makes, at least float32.

    Attributes:
        tokens: (batch, length, width), the result of the last layer after the last norm.
        pooled: (batch, features), one vector for all; None where the original has none.
        hidden: what goes into the first layer, and what each layer gives before the last norm; as
            many as there are layers, and one.
    """

    tokens: Tokens
    pooled: Float[Array, "batch features"] | None
    hidden: tuple[Tokens, ...]


class Encoder(nn.Module):
    """What every encoder is: a member has the original's parameters and settings.

    Attributes:
        reads: "text" for the ids of tokens, "pictures", or "both".
        holders: classes of the original that hold it with more -> where its settings stand among
            theirs, "" where they are its own.
    """

    reads: ClassVar[str] = "text"
    holders: ClassVar[Mapping[str, str]] = {}

    @property
    def width(self) -> int:
        """Features of a token."""
        raise NotImplementedError

    @property
    def longest(self) -> int | None:
        """The most tokens of a caption; None for any number."""
        return None

    @nn.nowrap
    def example(self, configuration: Mapping[str, Any]) -> tuple[Any, ...]:
        """Shapes of the inputs of a call."""
        return (jax.ShapeDtypeStruct((1, 2), jnp.int32),)

    def __call__(self, given: Ids | Pictures, mask: Mask | None = None) -> Encoding:
        """Encodes captions or pictures.

        Args:
            given: ids of tokens, (batch, length) int; or pictures, (batch, height, width, colours)
                float, normalised as the original's are.
            mask: false for tokens that nothing is to look at; None is all true.

        Raises:
            UserError: more tokens than it can read, or a picture that does not fit.
        """
        raise NotImplementedError

    def normalise(self, hidden: Tokens) -> Tokens:
        """The last norm, for the result of a layer before the last."""
        raise NotImplementedError


encoders: Registry[Encoder] = Registry("encoder")


def check_length(owner: str, ids: Ids, longest: int) -> None:
    """Raises UserError for more tokens than an encoder has places for."""
    if ids.shape[-1] > longest:
        raise UserError(
            f"{owner} has {longest} places for tokens, and was given {ids.shape[-1]}: cut the "
            "caption."
        )


def at_least_single(h: Float[Array, "..."]) -> Float[Array, "..."]:
    """As float32, or as float64 where it was computed so."""
    return h.astype(jnp.promote_types(jnp.float32, h.dtype))
