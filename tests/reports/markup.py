"""Reads a page as a browser would: tags must nest, and every attribute is kept."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "hr", "path", "circle"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps every attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"


def outline(text: str) -> Outline:
    """The page's attributes, once its tags are seen to nest."""
    parsed = Outline()
    parsed.feed(text)
    assert parsed.open == []
    return parsed
