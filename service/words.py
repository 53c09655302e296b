"""The texts that people read on pages and in reports: one catalogue for each language.

Sentences about results are written once, in English, where the result is known: the API and MLflow have them so. Section
`said` holds their patterns in both languages, so that a page can say a stored sentence in the other language; section
`problem` those of what is wrong in a spec and of what is refused, section `about` what data sets say of themselves, `example` what
the examples do, `formula` the words in the formulas of layers, `diagnosis` what is noticed about a run, `hint` what the fields of
the builder are, `keras_note` what became of the lines of a Keras program.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "zh")
SAID, PROBLEM, DIAGNOSIS, KERAS_NOTE, FAULT = "said.", "problem.", "diagnosis.", "keras_note.", "fault."
WHOLE = (DIAGNOSIS, KERAS_NOTE)
"""Sections whose sentences within a text may hold what stands between sentences."""
BETWEEN = "; "
"""Stands between the sentences of an answer."""
TEXT = "text"
"""The place of a sentence within another one."""
PLACES_OF_SENTENCES = (
    TEXT,
    "when",
    "parts",
    "edges",
    "counts",
    "suited",
    "kind",
    "why",
    "state",
    "where",
    "level",
)
"""The places of what is said in either language: sentences, and parts of sentences that the catalogue has by themselves."""
QUOTED = "quoted"
"""The place of what is quoted as it is, and may hold what stands between sentences."""
OTHER_SECTIONS = {"details": PROBLEM, "fault": FAULT}
"""The places of what another section has."""


class Words:
    """The texts of one language. A text with `|` has a form for 1 and a form for every other `n`."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = catalogue(language)

    def __call__(self, key: str, /, **values: object) -> str:
        """The text of a key, such as `home.title`, with values in place of `{name}`. Raises KeyError."""
        text = self._texts[key]
        if "|" in text:
            single, several = text.split("|")
            text = single if values.get("n") == 1 else several
        return text.format(**values)

    def has(self, key: str) -> bool:
        return key in self._texts

    def said(self, answer: str, section: str = SAID) -> str:
        """An English answer of the analysis in this language; a sentence that the catalogue does not have stays."""
        if self.language == LANGUAGES[0]:
            return answer
        return self.listed(self.sentences(answer, section))

    def listed(self, sentences: Iterable[str]) -> str:
        """Sentences as one answer."""
        return (BETWEEN if self.language == LANGUAGES[0] else "；").join(sentences)

    def paragraph(self, sentences: Iterable[str]) -> str:
        """Whole sentences one after the other. In Chinese no space stands between them."""
        return (" " if self.language == LANGUAGES[0] else "").join(sentences)

    def problem(self, message: str) -> str:
        """An English message about a spec in this language."""
        return self.said(message, PROBLEM)

    def sentences(self, answer: str, section: str = SAID) -> list[str]:
        """The sentences of an answer, in this language. One may hold what stands between sentences: the longest that the
        catalogue has counts."""
        parts, sentences = answer.split(BETWEEN), []
        while parts:
            ends = range(len(parts), 0, -1)
            fits = ((end, self._sentence(BETWEEN.join(parts[:end]), section)) for end in ends)
            end, sentence = next(((end, text) for end, text in fits if text is not None), (1, parts[0]))
            sentences.append(sentence)
            parts = parts[end:]
        return sentences

    def _sentence(self, english: str, section: str) -> str | None:
        for key, pattern in _patterns(section):
            if match := pattern.fullmatch(english):
                values = match.groupdict()
                sections = dict.fromkeys(PLACES_OF_SENTENCES, section) | OTHER_SECTIONS
                values |= {
                    name: self.said(text, sections[name]) for name, text in values.items() if name in sections
                }
                return self._texts[key].format(**values)
        return None


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """Key -> text of a language, from `texts/LANGUAGE.toml`."""
    source = (files("service") / "texts" / f"{language}.toml").read_text("utf-8")
    sections = tomllib.loads(source)
    return {f"{section}.{key}": text for section, texts in sections.items() for key, text in texts.items()}


@cache
def _patterns(section: str) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """The English sentences of a section as patterns: those without a place first, then in the section's order. The first
    that fits counts."""
    texts = [(key, text) for key, text in catalogue("en").items() if key.startswith(section)]
    texts.sort(key=lambda entry: _PLACE.search(entry[1]) is not None)
    inner = ".+" if section in WHOLE else _SENTENCE
    return tuple((key, re.compile(_pattern(text, inner), re.DOTALL)) for key, text in texts)


def _pattern(text: str, inner: str) -> str:
    """A text with a group in place of each `{name}`, `inner` for a sentence. No other goes on into the next sentence of an
    answer."""
    parts = _PLACE.split(text)
    kinds = {TEXT: inner, QUOTED: ".+"}
    groups = [rf"(?P<{name}>{kinds.get(name, _VALUE)})" for name in parts[1::2]]
    literal = [re.escape(part.replace("{{", "{").replace("}}", "}")) for part in parts[::2]]
    return "".join(a + b for a, b in zip(literal, [*groups, ""], strict=True))


_PLACE = re.compile(r"\{(\w+)\}")
_VALUE = f"(?:(?!{BETWEEN}).)+?"
_SENTENCE = f"(?:(?!{BETWEEN}(?!whether |or |retry )).)+"
