"""Text to plain data: YAML 1.2 (core schema) and JSON, and the check that data are plain.

Why not a library's own loader: it reads YAML 1.1 (`off` as false, `1e-4` as text, dates, `1_000`), it expands aliases
before they can be refused, and its refusals do not name the line.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from experiments.errors import MAX_PROBLEMS, Problem, SpecError
from experiments.field_paths import join
from experiments.fields import LAYOUT, described, hidden_character
from experiments.messages import short

MAX_DEPTH = 40
LARGEST_INTEGER = 2**63
SHOWN = "characters that are shown"
FULL_WIDTH = {
    "：": ":", "，": ",", "、": ",", "［": "[", "］": "]", "｛": "{", "｝": "}", "【": "[", "】": "]", "＝": "=", "－": "-",
    "“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "＂": '"', "　": "a space", "\u00a0": "a space",
}  # fmt: skip
"""Signs that an input method or a word processor writes, and the one that YAML knows."""
_PYTHON = re.compile(
    r"\s*(import |from \w[\w.]* import |model\.(add|compile|fit)\(|\w+ = \w*\.?Sequential\()"
)
MAX_YAML_CHARACTERS = 1 << 20
MAX_YAML_VALUES = 50_000
"""One value of YAML costs about 20 µs of Python, so a body full of them would take many seconds."""

_NULL = re.compile(r"null|Null|NULL|~|")
_TRUE = re.compile(r"true|True|TRUE")
_FALSE = re.compile(r"false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_MAX_DIGITS = 400
"""Longer runs of digits are text: Python refuses to read them, and no field wants them."""


def parse_yaml(text: str) -> object:
    """Plain data from YAML 1.2. Text that is JSON is read as JSON, which is a hundred times faster.

    Raises:
        SpecError: with the line, for anything else: aliases, tags, keys that appear twice.
    """
    if len(text) > MAX_YAML_CHARACTERS:
        raise SpecError.one("", f"{len(text)} characters of YAML", f"at most {MAX_YAML_CHARACTERS}")
    if text.lstrip().startswith("{"):
        with contextlib.suppress(SpecError):  # the YAML reader's refusal names the line
            return parse_json(text)
    reader = YAML(typ="safe", pure=True)
    try:
        return _Composer(reader.parse(text)).document()
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        raise slip(text) or _no_yaml(error, mark) from error
    except (ValueError, RecursionError, IndexError, KeyError, TypeError, AttributeError) as error:
        # Some malformed escapes and characters end in Python's own errors inside ruamel's scanner.
        raise SpecError.one(
            "", f"this is no YAML: {type(error).__name__}: {error}", "YAML 1.2 or JSON"
        ) from error


def _no_yaml(error: YAMLError, mark: Any) -> SpecError:
    line = f"line {mark.line + 1}: " if mark is not None else ""
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return SpecError.one("", f"{line}this is no YAML: {what}", "YAML 1.2 or JSON")


def slip(text: str) -> SpecError | None:
    """The slip that keeps a text from being YAML, where it is a common one: a Tab, full-width signs, Python code."""
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0]
        if "\t" in content[: len(content) - len(content.lstrip())]:
            return SpecError.one(
                "", f"line {number}: a Tab at the start of the line", "spaces: YAML takes no Tab there"
            )
        sign = next((character for character in content if character in FULL_WIDTH), None)
        if sign is not None:
            message = f"line {number}: the full-width sign {sign}"
            return SpecError.one("", message, f"{FULL_WIDTH[sign]} as on an English keyboard")
        if _PYTHON.match(content):
            return SpecError.one(
                "",
                f"line {number}: this is Python code",
                "a spec in YAML or JSON; `gradus import-keras` or the tab for Keras code makes one",
            )
    return None


def parse_json(text: str) -> object:
    """Plain data from JSON. Raises SpecError; NaN and Infinity, which JSON does not have, are refused by path."""
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=float)
    except ValueError as error:
        raise SpecError.one("", f"this is no JSON: {error}", "JSON") from error
    except RecursionError as error:
        raise SpecError.one("", "this is nested too deeply", f"at most {MAX_DEPTH} levels") from error
    plain(data)
    return data


def plain(data: object) -> None:
    """Refuse anything but plain, finite data of bounded depth.

    Raises:
        SpecError: with the path of every such value, up to 50.
    """
    problems: list[Problem] = []
    # (path of the holder, key or index, value, depth); a path is only written for what is looked into
    stack: list[tuple[str, str, object, int]] = [("", "", data, 0)]
    while stack and len(problems) < MAX_PROBLEMS:
        holder, step, value, depth = stack.pop()
        if type(value) in (int, float) and abs(value) < LARGEST_INTEGER:  # type: ignore[arg-type]
            continue
        path = join(holder, step)
        if depth > MAX_DEPTH:
            problems.append(Problem(path[:200], "nested too deeply", f"at most {MAX_DEPTH} levels"))
        elif isinstance(value, dict):
            for key, inner in value.items():
                problem = _key_problem(path, key)
                if problem is None:
                    stack.append((path, key, inner, depth + 1))
                else:
                    problems.append(problem)
        elif isinstance(value, list | tuple):
            stack.extend(
                (path, f"[{index}]", inner, depth + 1)
                for index, inner in enumerate(value)
                if type(inner) is not int or abs(inner) >= LARGEST_INTEGER
            )
        elif (problem := _value_problem(path, value)) is not None:
            problems.append(problem)
    if problems:
        raise SpecError(sorted(problems, key=lambda problem: problem.path))


def _key_problem(path: str, key: object) -> Problem | None:
    if not isinstance(key, str):
        return Problem(path, f"the key {short(key)} is no text", "names as keys")
    if (character := hidden_character(key)) is not None:
        message = f"the key {ascii(key)[:60]} has the hidden character {described(character)}"
        return Problem(path, message, SHOWN)
    if not unicodedata.is_normalized("NFC", key):
        message = f"the key {short(key)} is not in Unicode's normal form C"
        return Problem(path, message, "composed characters: é as one")
    return None


def _value_problem(path: str, value: object) -> Problem | None:
    if isinstance(value, str):
        character = hidden_character(value, LAYOUT)
        message = f"the text has the hidden character {described(character)}" if character else ""
        return Problem(path, message, SHOWN) if character else None
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, float):
        finite = math.isfinite(value)
        return None if finite else Problem(path, f"{value} is not a finite number", "finite numbers")
    if isinstance(value, int):
        large = abs(value) >= LARGEST_INTEGER
        return Problem(path, "the number is too large", "whole numbers below 2^63") if large else None
    return Problem(path, f"{type(value).__name__} is no plain value", "text, numbers, lists, mappings")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {short(key)} appears twice")
        result[key] = value
    return result


class _Composer:
    """Events to plain data, one by one, so that a refused document is not read to its end."""

    def __init__(self, events: Iterator[Any]) -> None:
        self.events = events
        self.values = 0

    def document(self) -> object:
        next(self.events)  # the start of the stream
        if not isinstance(next(self.events), DocumentStartEvent):
            return None
        value = self.node(next(self.events), 0)
        next(self.events)  # the end of the document
        further = next(self.events)
        if isinstance(further, DocumentStartEvent):
            raise self.refuse(further, "a second document", "one document")
        return value

    def node(self, event: Any, depth: int) -> object:
        self.values += 1
        if self.values > MAX_YAML_VALUES:
            raise self.refuse(
                event,
                f"more than {MAX_YAML_VALUES:,} values",
                f"at most {MAX_YAML_VALUES:,} in YAML; as JSON, which is quicker to read, as many as fit",
            )
        if depth > MAX_DEPTH:
            raise self.refuse(event, "nested too deeply", f"at most {MAX_DEPTH} levels")
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise self.refuse(event, "an anchor or alias", "the value itself, written out")
        tag = getattr(event, "tag", None) or getattr(event, "ctag", None)
        if tag is not None and str(tag) not in ("!", "None"):
            raise self.refuse(event, f"the tag {tag}", "plain values")
        if isinstance(event, ScalarEvent):
            return scalar(event.value) if event.implicit[0] else event.value
        if isinstance(event, SequenceStartEvent):
            return self.sequence(depth)
        if isinstance(event, MappingStartEvent):
            return self.mapping(depth)
        raise self.refuse(event, "nothing that can be read", "a value")

    def sequence(self, depth: int) -> list[object]:
        items = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            items.append(self.node(event, depth + 1))
        return items

    def mapping(self, depth: int) -> dict[str, object]:
        result: dict[str, object] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self.node(event, depth + 1)
            if isinstance(key, bool | int | float) or key is None:
                key = event.value  # `1:` and `true:` name things; they are read as written
            if not isinstance(key, str):
                raise self.refuse(event, "a key that is no text", "a name")
            if key in result:
                raise self.refuse(event, f"the key {short(key)} appears twice", "each key once")
            result[key] = self.node(next(self.events), depth + 1)
        return result

    @staticmethod
    def refuse(event: Any, message: str, allowed: str) -> SpecError:
        return SpecError.one("", f"line {event.start_mark.line + 1}: {message}", allowed)


def scalar(text: str) -> object:
    """A plain (unquoted) scalar by YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text):
        return True
    if _FALSE.fullmatch(text):
        return False
    if len(text) > _MAX_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    if _NAN.fullmatch(text):
        return math.nan
    return text
