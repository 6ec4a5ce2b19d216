"""Tokenizers as their files have them, all as the text of a tokenizer.json.

tokenizer.json            of the `tokenizers` library, read as it is
vocab.json, merges.txt    CLIP's: pairs of bytes, lower case, words end in </w>
vocab.txt                 BERT's: pieces of words, a line each
spiece.model              T5's: SentencePiece's unigrams, read by `sentencepiece`
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_jax.errors import UserError
from diffusion_jax.networks.tokenizers.sentencepiece import unigrams

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Library

WORD_END = "</w>"
# CLIP's words: endings such as 's, letters together, digits alone, and anything else together.
CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
)
CLIP_TOKENS = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}
BERT_TOKENS = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
T5_TOKENS = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
T5_EXTRA = 100


def tokenizer_text(path: Path) -> str:
    """The text of a tokenizer.json, from one, or from a folder with any of the files above.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    if not path.is_dir():
        return _text(path)
    if (path / "tokenizer.json").exists():
        return _text(path / "tokenizer.json")
    settings = special_tokens(path)
    if (path / "merges.txt").exists():
        return str(_clip(path, settings).to_str())
    if (path / "vocab.txt").exists():
        return str(_bert(path, settings).to_str())
    if (path / "spiece.model").exists():
        return str(_t5(path, settings).to_str())
    raise UserError(
        f"{path} holds no tokenizer: there is no tokenizer.json, merges.txt, vocab.txt or "
        "spiece.model in it."
    )


def special_tokens(folder: Path) -> dict[str, Any]:
    """The settings of a tokenizer's folder; tokens by what they are for, as plain text.

    Raises:
        UserError: a file cannot be read.
    """
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        if (folder / name).exists():
            told = _json(folder / name)
            found |= {key: value for key, value in told.items() if value is not None}
    return {key: _content(value) for key, value in found.items()}


def _content(value: Any) -> Any:
    """A token may be written with what is around it."""
    return value["content"] if isinstance(value, Mapping) and "content" in value else value


def _clip(folder: Path, settings: Mapping[str, Any]) -> "Library":
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import RobertaProcessing

    kind = settings.get("tokenizer_class", "CLIPTokenizer")
    if not str(kind).startswith("CLIPTokenizer"):
        raise UserError(f"{folder} has merges of a {kind}, which is read from tokenizer.json only.")
    vocabulary = _vocabulary(folder / "vocab.json")
    lines = _text(folder / "merges.txt").split("\n")
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#version"))
    merges = [(first, second) for first, _, second in pairs]
    tokens = CLIP_TOKENS | {name: settings.get(name, CLIP_TOKENS[name]) for name in CLIP_TOKENS}
    start, end, unknown = (tokens[name] for name in ("bos_token", "eos_token", "unk_token"))
    model = _made(
        folder,
        lambda: models.BPE(vocabulary, merges, end_of_word_suffix=WORD_END, unk_token=unknown),
    )
    made = Tokenizer(model)
    made.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    first, last = (_id(vocabulary, token, folder) for token in (start, end))
    made.post_processor = RobertaProcessing(
        (end, last), (start, first), trim_offsets=False, add_prefix_space=False
    )
    made.add_special_tokens(sorted({start, end, unknown}))
    return made


def _bert(folder: Path, settings: Mapping[str, Any]) -> "Library":
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    lines = _text(folder / "vocab.txt").split("\n")
    vocabulary = {line: i for i, line in enumerate(lines) if line or i + 1 < len(lines)}
    tokens = {name: settings.get(name, BERT_TOKENS[name]) for name in BERT_TOKENS}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token=tokens["unk_token"]))
    made.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    first, last = tokens["cls_token"], tokens["sep_token"]
    around = [(token, _id(vocabulary, token, folder)) for token in (first, last)]
    made.post_processor = TemplateProcessing(
        single=f"{first} $A {last}", special_tokens=list(dict(around).items())
    )
    made.add_special_tokens([token for token in tokens.values() if token in vocabulary])
    return made


def _t5(folder: Path, settings: Mapping[str, Any]) -> "Library":
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    pieces, charsmap, unknown = unigrams(folder / "spiece.model")
    tokens = {name: settings.get(name, T5_TOKENS[name]) for name in T5_TOKENS}
    extra = [f"<extra_id_{i}>" for i in reversed(range(settings.get("extra_ids", T5_EXTRA)))]
    vocabulary = [*pieces, *((token, 0.0) for token in extra)]
    made = Tokenizer(models.Unigram(vocabulary, unk_id=unknown, byte_fallback=False))
    if charsmap:
        made.normalizer = normalizers.Precompiled(charsmap)
    places = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), places])
    made.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    end = tokens["eos_token"]
    known = {token: i for i, (token, _) in enumerate(vocabulary)}
    made.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, _id(known, end, folder))]
    )
    made.add_special_tokens([*tokens.values(), *extra])
    return made


def _made(folder: Path, make: Any) -> Any:
    try:
        return make()
    except Exception as error:  # the library raises no narrower class
        raise UserError(f"The files of {folder} make no tokenizer: {error}.") from None


def _id(vocabulary: Mapping[str, int], token: str, folder: Path) -> int:
    if token not in vocabulary:
        raise UserError(f"The vocabulary of {folder} has no {token!r}, which its settings name.")
    return vocabulary[token]


def _vocabulary(path: Path) -> dict[str, int]:
    found = _json(path)
    if not all(isinstance(value, int) for value in found.values()):
        raise UserError(f"{path} is no vocabulary: it must give a number for each token.")
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} must hold a JSON object.")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read the tokenizer {str(path)!r}: {error}.") from None
