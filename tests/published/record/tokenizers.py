"""Records small tokenizers in the files of each kind, and the ids that transformers gives by them.

    PYTHON -m tests.published.record.tokenizers tests/published/data/tokenizers

PYTHON has transformers 5.24, tokenizers and, for T5's file, sentencepiece 0.2; the tests need
tokenizers alone.
"""

import io
import json
import sys
from pathlib import Path

import sentencepiece
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

CORPUS = [
    "a red circle and a blue square on the table, it's what we'll draw!",
    "the quick brown fox jumps over the lazy dog",
    "a photograph of a dog, wearing a hat; 0123456789",
]
TEXTS = [
    "A photograph of a dog, wearing   a hat!",
    "",
    "Ünïcode — naïve café; 漢字 and 123456 it's we'll I'D",
    "hello!!! world <|endoftext|> again",
    "tab\tand\nnew line  <extra_id_3> ",
    "the fox " * 12,
    "<|startoftext|>mid [SEP] </s>",
]
END = "<|endoftext|>"


def main(folder: Path) -> None:
    """Writes a folder for each kind, and beside the files the ids of all texts."""
    clip(folder / "clip", END)
    clip(folder / "clip_padded_with_a_mark", "!")
    bert(folder / "bert")
    t5(folder / "t5")
    gemma(folder / "gemma")
    gemma(folder / "gemma_to_the_right", padding_side="right")


def clip(folder: Path, pad: str) -> None:
    """vocab.json and merges.txt, as of a tokenizer in Python."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted({letter for line in CORPUS for letter in line if letter != " "})
    trained = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=120, end_of_word_suffix="</w>", show_progress=False, initial_alphabet=letters
    )
    trained.train_from_iterator(CORPUS, trainer)
    merges = [" ".join(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    words = [*letters, *(f"{each}</w>" for each in letters)]
    words += [*(each.replace(" ", "") for each in merges), "<|startoftext|>", END]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    end = {"content": END, "lstrip": False, "normalized": True, "rstrip": False}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 16,
        "bos_token": "<|startoftext|>",
        "eos_token": {"__type": "AddedToken", **end, "single_word": False},
        "pad_token": pad,
    }
    finish(folder, settings, transformers.CLIPTokenizer)


def bert(folder: Path) -> None:
    """vocab.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *"!,.;'",
        "the",
        "dog",
        "photo",
    ]
    words += [f"##{each}" for each in [*letters, "ing", "graph"]]
    (folder / "vocab.txt").write_text("\n".join([*words, ""]))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 20}
    finish(folder, settings | {"pad_token": "[PAD]"}, transformers.BertTokenizer)


def t5(folder: Path) -> None:
    """spiece.model."""
    folder.mkdir(parents=True, exist_ok=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 4),
        model_writer=model,
        vocab_size=60,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        normalization_rule_name="identity",  # others bring a table of hundreds of kilobytes
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    settings = {"tokenizer_class": "T5Tokenizer", "model_max_length": 20, "extra_ids": 100}
    settings |= {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    finish(folder, settings, transformers.T5Tokenizer)


def gemma(folder: Path, **told: object) -> None:
    """tokenizer.json of pairs that falls back to bytes; what its class says stands in no file."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted({letter for line in CORPUS for letter in line.replace(" ", "▁")})
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trainer = trainers.BpeTrainer(vocab_size=120, show_progress=False, initial_alphabet=letters)
    trained.train_from_iterator(CORPUS, trainer)
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    words = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{i:02X}>" for i in range(256))]
    words += [*letters, *("".join(pair) for pair in merges)]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys(words))}
    made = transformers.GemmaTokenizer(vocabulary, merges, add_bos_token=True, model_max_length=16)
    made.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("padding_side", None)
    finish(folder, settings | told, transformers.GemmaTokenizer)


def finish(folder: Path, settings: dict[str, object], kind: type) -> None:
    """Writes the settings and what the original makes of all texts."""
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    original = kind.from_pretrained(folder)
    length = settings["model_max_length"]
    rows = []
    for text in TEXTS:
        whole = original(text).input_ids
        cut = original(text, padding="max_length", max_length=length, truncation=True)
        plain = original(text, add_special_tokens=False).input_ids
        left = plain[length - len(whole) + len(plain) :]
        words = original.decode(left) if len(whole) > length else None
        row = {"text": text, "ids": cut.input_ids, "mask": cut.attention_mask, "cut": words}
        rows.append(row)
    (folder / "recorded.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
