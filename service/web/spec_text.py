"""A spec as YAML text that is edited in place: comments, order and style of what is not touched stay as they are."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
import zlib
from collections.abc import Iterator, MutableMapping, MutableSequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.emitter import RoundTripEmitter
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from experiments.errors import SpecError
from experiments.field_paths import Path, join
from experiments.spec.documents import parse_yaml, plain, slip

LONGEST_ADDRESS = 16_000
"""Characters of a spec in an address; servers and browsers take no longer ones."""
LARGEST_SPEC = 1 << 20


def read(text: str) -> dict[str, Any]:
    """The document that a text holds; an empty text holds an empty one.

    Raises:
        SpecError: the text is not YAML, or holds something else than fields.
    """
    document = parse_yaml(text) if text.strip() else {}
    plain(document)
    if document is None:  # nothing but comments
        return {}
    if not isinstance(document, dict):
        fields = SpecError.one("", "a spec is a list of fields with values", "name: …, dataset: …, model: …")
        raise slip(text) or fields
    return document


def write(text: str, path: Path, value: object) -> str:
    """The text with a value at a path; mappings on the way are made where they are missing.

    Args:
        text: a document that `read` takes.
        path: where; an index one past the end of a list appends to it.
        value: plain data.
    """
    yaml, root = _load(text)
    if not root:  # nothing but comments, which no node holds
        return f"{text.rstrip()}\n".lstrip("\n") + _dump(yaml, _written({}, path, value))
    return _dump(yaml, _written(root, path, value))


def _written(root: Any, path: Path, value: object) -> Any:
    parent = _parent(root, path)
    step = path[-1]
    if isinstance(parent, MutableSequence) and step == len(parent):
        parent.append(_styled(value))
    else:
        parent[step] = _styled(value)
    return root


def remove(text: str, path: Path) -> str:
    """The text without what is at a path. A mapping that is left empty goes too."""
    yaml, root = _load(text)
    while path:
        parent = _parent(root, path)
        del parent[path[-1]]
        path = path[:-1]
        if not path or parent or isinstance(parent, MutableSequence):
            break
    if not root:  # the comments stay
        return "".join(line for line in text.splitlines(keepends=True) if line.lstrip().startswith("#"))
    return _dump(yaml, root)


def move(text: str, path: Path, by: int) -> str:
    """The text with an entry of a list moved by so many places, up (negative) or down; beyond an end it stays where it is."""
    yaml, root = _load(text)
    entries, index = _parent(root, path), int(path[-1])
    if not 0 <= index + by < len(entries):
        return text
    step = 1 if by > 0 else -1
    for at in range(index, index + by, step):
        entries[at], entries[at + step] = entries[at + step], entries[at]
    return _dump(yaml, root)


def lines(text: str) -> dict[str, int]:
    """Path of every field -> the line that it begins in, from 1; empty where the text is not YAML."""
    try:
        node = YAML(typ="rt", pure=True).compose(text)
    except YAMLError:
        return {}
    return dict(_positions(node, "")) if node is not None else {}


def line_of(path: str, positions: dict[str, int]) -> int | None:
    """The line of a field, or of the nearest one around it."""
    while path:
        if path in positions:
            return positions[path]
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return None


def scalar(value: str) -> str:
    """A text as one value of YAML, in quotes where it would be something else without."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", value) and value.lower() not in ("null", "true", "false")
    return value if plain else json.dumps(value, ensure_ascii=False)


def to_address(text: str) -> str | None:
    """A text in the form that an address can hold; None where it would be too long."""
    packed = base64.urlsafe_b64encode(zlib.compress(text.encode(), 9)).decode().rstrip("=")
    return packed if len(packed) <= LONGEST_ADDRESS else None


def from_address(packed: str) -> str:
    """The inverse of `to_address`.

    Raises:
        SpecError: the address was cut off or changed.
    """
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(
            base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), LARGEST_SPEC
        )
        if unpacker.unconsumed_tail or not unpacker.eof:
            raise ValueError("it is cut off, or too large")
        return content.decode()
    except (ValueError, binascii.Error, zlib.error) as error:
        raise SpecError.one(
            "query.spec", "the address holds no spec: it was cut off or changed", "a link as it was copied"
        ) from error


class _Unread(str):
    """A number, a truth value or null by its own characters: read and written again, a number may lose its last
    digit."""

    __slots__ = ("tag",)
    tag: str


class _Constructor(RoundTripConstructor):
    """Keeps every scalar that is not text unread."""


class _Representer(RoundTripRepresenter):
    """Writes what was kept unread as it was."""


def _unread(constructor: _Constructor, node: ScalarNode) -> _Unread:
    scalar = _Unread(node.value)
    scalar.tag = str(node.tag)
    return scalar


for _kind in ("float", "int", "bool", "null"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_kind}", _unread)
_Representer.add_representer(_Unread, lambda writer, scalar: writer.represent_scalar(scalar.tag, str(scalar)))


class _Emitter(RoundTripEmitter):
    """Breaks no key over two lines, which is no key then: ruamel.yaml does so where a word would pass the width."""

    def write_plain(self, text: Any, split: Any = True) -> None:
        width = self.best_width
        self.best_width = width if split else len(text) + self.column + 1
        super().write_plain(text, split)
        self.best_width = width


def _load(text: str) -> tuple[YAML, Any]:
    yaml = YAML(typ="rt", pure=True)
    yaml.Constructor, yaml.Representer, yaml.Emitter = _Constructor, _Representer, _Emitter
    yaml.preserve_quotes = True
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    root = yaml.load(text) if text.strip() else None
    return yaml, yaml.map() if root is None else root


def _dump(yaml: YAML, root: object) -> str:
    stream = io.StringIO()
    yaml.dump(root, stream)
    return stream.getvalue()


def _parent(root: Any, path: Path) -> Any:
    """What holds the last step of a path. A value on the way that is no mapping becomes `{name: value}`, as the spec
    itself reads it."""
    holder = root
    for step in path[:-1]:
        child = holder[step] if isinstance(step, int) else holder.get(step)
        if not isinstance(child, MutableMapping | MutableSequence):
            named = {} if child is None or getattr(child, "tag", "").endswith("null") else {"name": child}
            child = holder[step] = _styled(named)
        holder = child
    return holder


def _styled(value: object) -> object:
    """Plain data as it is to be written: lists and mappings on one line, text in quotes where it would be read as
    something else."""
    if isinstance(value, str):
        return value if reads_back(value) else DoubleQuotedScalarString(value)
    if isinstance(value, list | dict):
        container = YAML(typ="rt", pure=True).load("[]" if isinstance(value, list) else "{}")
        container.fa.set_flow_style()
        if isinstance(value, list):
            container.extend(_styled(entry) for entry in value)
        else:
            container.update({_styled(key): _styled(entry) for key, entry in value.items()})
        return container
    return value


def reads_back(text: str) -> bool:
    """Whether text that stands without quotes in a list or mapping is read as that text again."""
    try:
        return parse_yaml(f"[{text}]") == [text] and parse_yaml(f"{{{text}: 1}}") == {text: 1}
    except SpecError:
        return False


def _positions(node: Node, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            at = join(path, str(key.value))
            yield at, key.start_mark.line + 1
            yield from _positions(value, at)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            at = join(path, f"[{index}]")
            yield at, value.start_mark.line + 1
            yield from _positions(value, at)
