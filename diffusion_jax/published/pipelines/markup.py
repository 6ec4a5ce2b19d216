"""The words of captions that come with the tags of a web page."""

from html.entities import html5
from html.parser import HTMLParser

from diffusion_jax.errors import UserError

SPACES = " \n\t\f\r"
HIDDEN = {"script", "style", "template", "rt", "rp"}  # whose text is not of the caption
KEPT = {"pre", "textarea"}  # whose spaces are kept as they are
ALONE = {  # tags that hold nothing
    *("area", "base", "basefont", "bgsound", "br", "col", "command", "embed", "frame", "hr"),
    *("image", "img", "input", "isindex", "keygen", "link", "menuitem", "meta", "nextid", "param"),
    *("source", "spacer", "track", "wbr"),
}
LARGEST, LOST = 0x10FFFF, "\ufffd"


def words_of(caption: str, otherwise: str = "") -> str:
    """A caption without tags, comments, scripts and styles, its references to characters read.

    Source: what Beautiful Soup 4.15 takes for the text of a page, by Python's parser.

    Args:
        caption: with markup or without.
        otherwise: what else a user can do who does not leave it out, for the message.

    Raises:
        UserError: markup that cannot be read.

    >>> words_of("a <b>red</b> fox &eacute; <!-- or a dog -->")
    'a red fox é '
    """
    reader = ShownText()
    try:
        reader.feed(caption)
        reader.close()
    except AssertionError as error:
        raise UserError(
            f"The prompt {caption!r} has markup that cannot be read ({error}): leave it out"
            f"{otherwise}."
        ) from None
    reader.end()
    return "".join(reader.found)


class ShownText(HTMLParser):
    """Collects what is shown of a page.

    Attributes:
        found: pieces between tags.
        piece: what was read since the last tag.
        within: tags that are open.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[str] = []
        self.piece: list[str] = []
        self.within: list[str] = []

    def end(self, shown: bool | None = None) -> None:
        """Ends a piece; one of spaces alone is one space, or one line break.

        Args:
            shown: whether it is of the page's text; None is by the tags that it stands in.
        """
        text = "".join(self.piece)
        self.piece.clear()
        if text and not text.strip(SPACES) and KEPT.isdisjoint(self.within):
            text = "\n" if "\n" in text else " "
        if HIDDEN.isdisjoint(self.within) if shown is None else shown:
            self.found.append(text)

    def _aside(self, text: str, shown: bool = False) -> None:
        """A piece of its own."""
        self.end()
        self.piece.append(text)
        self.end(shown)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.end()
        if tag not in ALONE:
            self.within.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.end()

    def handle_endtag(self, tag: str) -> None:
        self.end()
        if tag in self.within:
            while self.within.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        self.piece.append(data)

    def handle_entityref(self, name: str) -> None:
        self.piece.append(html5.get(f"{name};", html5.get(name, f"&{name}")))

    def handle_charref(self, name: str) -> None:
        self.piece.append(character(name))

    def handle_comment(self, data: str) -> None:
        self._aside(data)

    def handle_decl(self, decl: str) -> None:
        self._aside(decl)

    def handle_pi(self, data: str) -> None:
        self._aside(data)

    def unknown_decl(self, data: str) -> None:
        start = "cdata["
        is_text = data.lower().startswith(start)
        self._aside(data[len(start) :] if is_text else data, is_text)


def character(name: str) -> str:
    """The character of a numeric reference, such as "233" or "xe9", as browsers read it."""
    digits, base = (name[1:], 16) if name[0] in "xX" else (name, 10)
    number = int(digits, base) if len(digits) < 20 else LARGEST + 1
    if number == 0 or number > LARGEST or 0xD800 <= number <= 0xDFFF:
        return LOST
    if 0x80 <= number <= 0x9F:
        windows = bytes([number]).decode("cp1252", "ignore")
        return windows or chr(number)
    return chr(number)
