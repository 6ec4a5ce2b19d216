"""Prompts as the ids of tokens that released text encoders read."""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int32

from diffusion_jax.errors import UserError, one_of, shown
from diffusion_jax.hints import fits
from diffusion_jax.networks.tokenizers.byte_pairs import opened
from diffusion_jax.networks.tokenizers.files import WORD_END, special_tokens, tokenizer_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

MOST = 10**6  # what a tokenizer without a length says is far more
PURPOSES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")

Ids = Int32[np.ndarray, "batch length"]
Mask = Bool[np.ndarray, "batch length"]


@dataclasses.dataclass(frozen=True, eq=False)
class PromptTokenizer:
    """A released tokenizer, with the special tokens that it sets around a prompt.

    Attributes:
        library: the tokenizer of the `tokenizers` library.
        pad: the token that fills up to the length of all.
        longest: the most tokens of a prompt; None where its settings do not say.
        strict: refuse longer prompts, and do not cut them.
        side: "right" or "left" of a prompt, where padding stands.
    """

    library: "Library"
    pad: str
    longest: int | None
    strict: bool = False
    side: str = "right"

    def __call__(self, prompts: Sequence[str], length: int | None = None) -> tuple[Ids, Mask]:
        """The ids of prompts, and which of them are no padding.

        Prompts that are too long are cut, with a warning that shows what was cut.

        Args:
            prompts: in words.
            length: of all; None is `longest`.

        Raises:
            UserError: a prompt is too long and this is strict, or no length is known.
        """
        length = length or self.longest
        if length is None:
            raise UserError("This tokenizer does not say how long prompts are: give a length.")
        self.library.no_truncation()
        self.library.no_padding()
        for prompt in dict.fromkeys(prompts):
            self._check(prompt, length)
        self.library.enable_truncation(length)
        pad = self.library.token_to_id(self.pad)
        self.library.enable_padding(
            direction=self.side, pad_id=pad, pad_token=self.pad, length=length
        )
        found = self.library.encode_batch(list(prompts))
        ids = np.array([each.ids for each in found], np.int32).reshape(-1, length)
        mask = np.array([each.attention_mask for each in found], bool).reshape(-1, length)
        return ids, mask

    def _check(self, prompt: str, length: int) -> None:
        """Warns of a prompt that is too long, or refuses it."""
        count = len(self.library.encode(prompt).ids)
        if count <= length:
            return
        words = self.library.encode(prompt, add_special_tokens=False).ids
        # The tokens that are set around a prompt stay.
        left = words[length - (count - len(words)) :]
        cut = self.library.decode(left, skip_special_tokens=False).replace(WORD_END, " ").strip()
        line = f"The prompt {prompt!r} has {count} tokens, and the text encoder reads {length}"
        if self.strict:
            raise UserError(f"{line}: shorten it by {cut!r}.")
        warnings.warn(f"{line}: this was cut: {cut!r}.", stacklevel=3)


def read_tokenizer(folder: Path, strict: bool = False) -> PromptTokenizer:
    """Reads a tokenizer's folder, as diffusers and transformers write it.

    Args:
        folder: with any of the files that `networks.tokenizers.files` reads, and
            tokenizer_config.json or special_tokens_map.json.
        strict: of the tokenizer.

    Raises:
        UserError: there is no such folder, or something in it is not known.
    """
    settings = special_tokens(folder)
    library = opened(tokenizer_text(folder))
    if settings.get("truncation_side", "right") != "right":
        raise UserError(
            f"{folder}: truncation_side={settings['truncation_side']!r} is not known; it must be "
            "'right'."
        )
    is_gemma = str(settings.get("tokenizer_class")).startswith("Gemma")
    side = settings.get("padding_side", "left" if is_gemma else "right")
    one_of(side, ("left", "right"), f"padding_side of {folder}")
    _add(library, settings, folder)
    pad = settings.get("pad_token") or settings.get("eos_token")
    if not isinstance(pad, str) or library.token_to_id(pad) is None:
        raise UserError(f"{folder} does not say which token is padding (pad_token).")
    longest = settings.get("model_max_length")
    if longest is not None and (not fits(longest, float) or longest < 1):
        raise UserError(
            f"{folder}: model_max_length must be a positive number, not {shown(longest)}."
        )
    known = int(longest) if longest is not None and longest < MOST else None
    return PromptTokenizer(library, pad, known, strict, side)


def _are_tokens(added: Any) -> bool:
    return isinstance(added, Mapping) and all(
        number.isdecimal() and isinstance(told, Mapping) and isinstance(told.get("content"), str)
        for number, told in added.items()
    )


def _add(library: "Library", settings: Mapping[str, Any], folder: Path) -> None:
    """Adds the tokens that settings name, which are whole wherever they stand in a prompt."""
    from tokenizers import AddedToken

    added = settings.get("added_tokens_decoder") or {}
    if not _are_tokens(added):
        raise UserError(f"{folder}: added_tokens_decoder must be tokens by their numbers.")
    for number, told in sorted(added.items(), key=lambda item: int(item[0])):
        token = AddedToken(
            told["content"],
            single_word=told.get("single_word", False),
            lstrip=told.get("lstrip", False),
            rstrip=told.get("rstrip", False),
            normalized=told.get("normalized", True),
            special=told.get("special", False),
        )
        (library.add_special_tokens if token.special else library.add_tokens)([token])
        if library.token_to_id(token.content) != int(number):
            raise UserError(f"{folder}: token {token.content!r} cannot have the id {number}.")
    known = {each.content for each in library.get_added_tokens_decoder().values()}
    named = [settings[name] for name in PURPOSES if isinstance(settings.get(name), str)]
    library.add_special_tokens([token for token in dict.fromkeys(named) if token not in known])
