"""What pipelines leave out of prompts, which were trained on captions cleaned so."""

import dataclasses
import html
import re
from collections.abc import Callable
from urllib.parse import unquote_plus

from diffusion_jax.errors import UserError
from diffusion_jax.published.pipelines.markup import words_of

Rules = tuple[tuple[str, str], ...]
"""Patterns, and what takes their place, one after another."""

SITES = r"[a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@)"
FILES = "(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"
DASHES = (
    "[-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0"
    "\ufe31\ufe32\ufe58\ufe63\uff0d]+"
)
FIRST: Rules = (
    (r"@\w+\b", ""),
    ("[\u31c0-\u9fff]+", ""),  # Chinese and Japanese characters
    (DASHES, "-"),
)
SECOND: Rules = (
    ("&quot;?|&amp", ""),
    (r"\d{1,3}(?:\.\d{1,3}){3}", " "),
    (r"\d:\d\d\s+$", ""),
    (r"\\n", " "),
    (r"#\d{1,3}\b", ""),
    (r"#\d{5,}\b", ""),
    (r"\b\d{6,}\b", ""),
    (rf"\S+\.{FILES}", ""),
    ("[\"']{2,}", '"'),
    (r"\.{2,}", " "),
    (r"[#®•©™&@·º½¾¿¡§~()\[\]{}|\\/*]+", " "),
    (r"\s+\.\s+", " "),
)
THIRD: Rules = (
    (r"\b[a-zA-Z]{1,3}\d{3,15}\b", ""),
    (r"\b[a-zA-Z]+\d+[a-zA-Z]+\b", ""),
    (r"\b\d+[a-zA-Z]+\d+\b", ""),
    (r"(?:worldwide\s+)?(?:free\s+)?shipping", ""),
    (r"(?:free\s)?download(?:\sfree)?", ""),
    (r"\bclick\b\s(?:for|on)\s\w+", ""),
    (rf"\b{FILES}(?:\simages?)?", ""),
    (r"\bpage\s+\d+\b", ""),
    (r"\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b", " "),
    (r"\b\d+\.?\d*[x\u0445×]\d+\.?\d*\b", ""),  # the second x is Cyrillic
    (r"\b\s+:\s+", ": "),
    (r"(\D[,./])\b", r"\1 "),
    (r"\s+", " "),
    (r"^[\"']([\w\W]+)[\"']$", r"\1"),
    (r"^['_,\-:;]", ""),
    (r"['_,\-:+]$", ""),
    (r"^\.\S+$", ""),
)
JOINS, MANY = "[-_]", 3
# Characters of which ftfy leaves the encoding as it is: ASCII but for references, and letters with
# accents and a few marks, each between two of ASCII.
PLAIN = re.compile("(?:[\0-%\x27-\x7f]|[‘’“”–—ÀÁÄ-ÖØ-öø-ÿ](?=[\0-%\x27-\x7f]|$))*")
UNCURLED = str.maketrans("‘’“”", "''\"\"")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]")  # colours of terminals
CONTROLS = dict.fromkeys({*range(0x20), 0x7F} - set(map(ord, "\t\n\f\r")))


@dataclasses.dataclass(frozen=True)
class Cleaning:
    """How captions of web pages are cleaned: addresses, file names, handles, codes and offers go.

    Source: T5's captions in DeepFloyd IF (2023), of which diffusers' pipelines have two versions.

    Attributes:
        addresses: what is left out first.
        quotes: what becomes plain quotation marks.
        markup: whether tags are left out.
        trimmed: whether spaces around the caption go before its codes do.
        otherwise: what else a user can do whose prompt cannot be cleaned.
    """

    addresses: Rules
    quotes: Rules
    markup: bool
    trimmed: bool
    otherwise: str = ""

    def __call__(self, caption: str) -> str:
        """The caption in lower case, cleaned.

        Raises:
            UserError: it needs a library that is not installed, or cannot be read.
        """
        text = unquote_plus(caption).strip().lower()
        text = applied((("<person>", "person"), *self.addresses), text)
        if self.markup:
            text = words_of(text, self.otherwise)
        text = applied((*FIRST, *self.quotes, *SECOND), text)
        if len(re.findall(JOINS, text)) > MANY:
            text = re.sub(JOINS, " ", text)
        text = unescaped(mended(text, self.otherwise))
        return applied(THIRD, text.strip() if self.trimmed else text).strip()


def applied(rules: Rules, text: str) -> str:
    """A text with patterns replaced, one after another."""
    for pattern, place in rules:
        text = re.sub(pattern, place, text)
    return text


def unescaped(text: str) -> str:
    """A text whose references to characters are read, and those that they spell."""
    return html.unescape(html.unescape(text))


def lightly_cleaned(caption: str) -> str:
    """A caption whose encoding is mended, references to characters read.

    Raises:
        UserError: it needs a library that is not installed.
    """
    return unescaped(mended(caption)).strip()


def mended(text: str, otherwise: str = "") -> str:
    """A text without control characters, its encoding mended.

    Western European words and quotation marks need no more than that here; ftfy mends all others.

    Args:
        text: a prompt.
        otherwise: what else a user can do, for the message.

    Raises:
        UserError: it has others, and ftfy is not installed.

    >>> mended("a red\\r\\nfox’s café\\x1b[0m")
    "a red\\nfox's café"
    """
    found = _without_controls(text.translate(UNCURLED))
    if PLAIN.fullmatch(text) and PLAIN.fullmatch(found):
        return found
    return _library(text, otherwise)(text)


def _without_controls(text: str) -> str:
    while True:
        found = text.replace("\r\n", "\n").replace("\r", "\n")
        found = ESCAPES.sub("", found).translate(CONTROLS)
        if found == text:
            return text
        text = found


def _library(text: str, otherwise: str) -> Callable[[str], str]:
    try:
        from ftfy import fix_text
    except ImportError:
        raise UserError(
            f"The prompt {text!r} has characters that are cleaned by ftfy: pip install ftfy"
            f"{otherwise}."
        ) from None
    return fix_text


PIXART = Cleaning(
    addresses=(
        (rf"\b(?:https?:(?:/{{1,3}}|[a-zA-Z0-9%])|{SITES})", ""),
        (rf"\b(?:www:(?:/{{1,3}}|[a-zA-Z0-9%])|{SITES})", ""),
    ),
    quotes=(("[`´«»“”¨]", '"'), ("[‘’]", "'")),
    markup=True,
    trimmed=False,
    otherwise=", or set clean_caption=False",
)
PRX = Cleaning(
    addresses=((rf"\b(?:(?:https?|www):(?:/{{1,3}}|[a-zA-Z0-9%])|{SITES})", ""),),
    quotes=(("[`´«»¨]", '"'),),
    markup=False,
    trimmed=True,
)
