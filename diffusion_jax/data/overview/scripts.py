"""In which script a text is written, and in which language where that can be told."""

import unicodedata
from collections import Counter
from collections.abc import Callable

NO_LETTERS = "no letters"
UNIFIED = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese"}  # first words of names


def script_of(text: str) -> str:
    """The script of most letters of a text; of equally many, that of the first.

    Letters are told by their names in Unicode's character database, whose first word is the script.

    >>> script_of("a red circle"), script_of("красный круг"), script_of("🙂 42")
    ('Latin', 'Cyrillic', 'no letters')
    """
    found: Counter[str] = Counter()
    for letter in text:
        if letter.isalpha():
            first = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
            found[UNIFIED.get(first, first.capitalize())] += 1
    return found.most_common(1)[0][0] if found else NO_LETTERS


def language_teller() -> Callable[[str], str] | None:
    """A function that says the language of a text, such as "en"; None where no library is there.

    The library is `py3langid` (Lui & Baldwin 2012, langid.py), which knows 97 languages. Short
    texts are often taken for another language.
    """
    try:
        from py3langid import classify
    except ImportError:
        return None

    def tell(text: str) -> str:
        return str(classify(text)[0])

    return tell
