"""What a person reads on a page, and in which language it is."""

from __future__ import annotations

import re
from html.parser import HTMLParser

NO_PROSE = frozenset({"code", "pre", "script", "style", "textarea"})
READ_ALOUD = ("title", "aria-label", "alt", "placeholder")
VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})
_FUNCTION = (
    "is|are|was|were|be|been|has|have|had|the|of|with|by|not|no|to|in|for|from|at|it|this|that|its|than|on|all|only|which|who|an|"
    "a|if|but|or|can|may|must|does|do|every|each|there"
)
_SENTENCE = re.compile(
    rf"[A-Za-z]{{2,}} (?:{_FUNCTION})\b|\b(?:{_FUNCTION}) [A-Za-z]{{2,}}|\d to \d", re.IGNORECASE
)
_NAMED = re.compile(r"《[^》]*》|`[^`]*`|\"[^\"]*\"|\([^)]*\)")
"""Titles of books, commands, and what is quoted or a formula: the same in every language."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.texts += [
            text for name, text in given.items() if text and (name in READ_ALOUD or name.startswith("data-"))
        ]
        if tag not in VOID:
            self.open.append((tag, given.get("lang") if tag != "html" else None))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(tag in NO_PROSE or language for tag, language in self.open):
            self.texts.append(data.strip())


def shown(page: str) -> list[str]:
    """The texts of a page that are no code and not marked as of another language, those that are read aloud among them."""
    reader = _Reader()
    reader.feed(page)
    return reader.texts


def english(text: str) -> bool:
    """Whether an English sentence, or a part of one, is in a text. Names of fields, levels and data sets are none."""
    return _SENTENCE.search(_NAMED.sub("", text)) is not None


def chinese(text: str) -> bool:
    return re.search("[\u4e00-\u9fff]", text) is not None


def english_left(text: str) -> bool:
    """Whether a Chinese text still has English words, apart from names of levels and metrics."""
    return bool(re.search(r"\b(is|the|of|with|by|and|undecided|better|answer|runs?|seeds?)\b", text))
