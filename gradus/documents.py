"""Specs as client and command read them: a file with its `base:` under it, YAML text or a mapping; changes applied."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.errors import SpecError
from experiments.field_paths import join, parse_path
from experiments.networks import FORMS
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml, slip
from experiments.spec.swept_fields import SHORT_NAMES
from experiments.spec.writes import patch
from gradus.errors import UsageError

DEEPEST_BASE = 8
LARGEST_FILE = 1024 * 1024
KINDS = ("name", "type")  # a mapping that names another kind replaces its base
AXES = ("sweep", "compare.tune")  # what stands below these is one name, dots and all


def read_spec(path: Path, changes: Sequence[str] | None = None) -> dict[str, Any]:
    """The document of a spec file (`-`: standard input) with its bases under it and the changes over it.

    Raises:
        UsageError: the file cannot be read, or a change is not `path=value`.
        SpecError: the file is not YAML, or its bases go round in a circle.
    """
    document = _read(path, ())
    for change in changes or ():
        apply(document, change)
    return document


def spec_of(spec: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """A spec as a document.

    Args:
        spec: a mapping; the path of a file; or text with a line break or a `: ` in it, which is YAML or JSON.

    Raises:
        UsageError: the file cannot be read.
        SpecError: it is not YAML, or holds no mapping.
    """
    if isinstance(spec, Mapping):
        return dict(spec)
    if isinstance(spec, Path) or ("\n" not in spec and ": " not in spec):
        return read_spec(Path(spec))
    return _mapping(spec, "the text")


def _mapping(text: str, name: str) -> dict[str, Any]:
    """A text as a document. Raises SpecError: it is not YAML, or holds no mapping, as a Keras program that was pasted."""
    document = parse_yaml(text)
    if not isinstance(document, dict):
        missing = SpecError.one("", f"{name} holds no mapping", "fields such as `dataset:` and `model:`")
        raise slip(text) or missing
    return document


def program_text(path: Path) -> str:
    """A program as text; `-` is standard input. Raises UsageError: it cannot be read, or is no UTF-8."""
    return _text(path)


def stands_alone(path: Path) -> bool:
    """Whether a spec file is a whole spec, without a `base:`. Raises UsageError, SpecError."""
    document = parse_yaml(_text(path))
    return not (isinstance(document, dict) and "base" in document)


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    document = _mapping(_text(path), str(path))
    base = document.pop("base", None)
    if base is None:
        return document
    if not isinstance(base, str) or not base:
        raise SpecError.one("base", f"found {base!r}", "the path of a spec file, from the folder of this one")
    here = Path.cwd() / "-" if str(path) == "-" else path.resolve()
    if here in above or len(above) >= DEEPEST_BASE:
        raise SpecError.one("base", f"{path} is its own base, or has more than {DEEPEST_BASE} under it")
    return merge(_read(here.parent / Path(base).expanduser(), (*above, here)), document)


def _text(path: Path) -> str:
    try:
        body = sys.stdin.buffer.read(LARGEST_FILE + 1) if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    if len(body) > LARGEST_FILE:
        raise UsageError(f"{path} is larger than {LARGEST_FILE} bytes, more than a spec can have")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error


def merge(base: Mapping[str, Any], over: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """`over` on top of `base`: mappings field by field, everything else replaced.

    A mapping that names another `name` or `type` than its base replaces it (the settings of one optimizer mean
    nothing to another), and of a model's forms the one that `over` gives drops the others.
    """
    if at and any(kind in base and kind in over and base[kind] != over[kind] for kind in KINDS):
        return dict(over)
    dropped = set(FORMS) if at == "model" and any(form in over for form in FORMS) else set()
    merged = {name: value for name, value in base.items() if name not in dropped}
    for name, value in over.items():
        below = merged.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[name] = merge(below, value, join(at, name))
        else:
            merged[name] = value
    return merged


def apply(document: dict[str, Any], change: str) -> None:
    """Set one field in place: `training.epochs=3`, `learning_rate=0.1`, `model.layers[0].units=64`,
    `sweep.training.batch_size=[32, 64]`.

    Raises:
        UsageError: not `path=value`, or the path leads through something that has no fields.
        SpecError: the value is not YAML.
    """
    name, equals, text = change.partition("=")
    path = _path(name.strip())
    if not equals or path is None:
        raise UsageError(f"--set {change!r}: expected PATH=VALUE, such as training.epochs=3")
    refusal = patch(document, path, parse_yaml(text))
    if refusal is not None:
        raise UsageError(f"--set {change!r}: {refusal}")


def _path(name: str) -> tuple[str | int, ...] | None:
    for place in AXES:
        if name.startswith(f"{place}."):
            return (*place.split("."), name.removeprefix(f"{place}."))
    if name in ExperimentSpec.model_fields:
        return (name,)
    return SHORT_NAMES.get(name) or parse_path(name)
