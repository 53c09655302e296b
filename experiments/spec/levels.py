"""Levels of a factor and their labels. Two different values never share a label."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LONGEST = 200
"""Characters of a label; a longer text is cut and ends in a digest of the whole."""


@dataclass(frozen=True)
class Level:
    """One level of a factor.

    value: what is written at the axis' path; for a case its fields by path
    """

    label: str
    value: object


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def column_texts(levels: Sequence[Level]) -> dict[str, str]:
    """Label -> what stands for the level in tables and charts of runs, of one kind over the axis.

    Of a named entry it is the name with the fields in which entries of that name differ, else the label. Where some levels
    are numbers and others are not, the number 16 is `= 16`: a chart draws a column as numbers or as texts, and MLflow's
    parallel coordinates leave out every run of the other kind.
    """
    shared = _shared_fields(levels)
    texts = {level.label: _distinct_fields(level, shared) for level in levels}
    if len(set(texts.values())) < len(texts):
        texts = {label: label for label in texts}
    numbers = {label for label, text in texts.items() if _NUMBER.fullmatch(text)}
    mixed = 0 < len(numbers) < len(texts)
    return {label: f"= {text}" if mixed and label in numbers else text for label, text in texts.items()}


def _shared_fields(levels: Sequence[Level]) -> dict[object, dict[str, object]]:
    """Name -> the fields that have one value in all entries of that name."""
    shared: dict[object, dict[str, object]] = {}
    for level in levels:
        value = level.value
        if not isinstance(value, dict) or "name" not in value:
            continue
        known = shared.setdefault(value["name"], dict(value))
        for key in [key for key, inner in known.items() if key not in value or value[key] != inner]:
            del known[key]
    return shared


def _distinct_fields(level: Level, shared: Mapping[object, Mapping[str, object]]) -> str:
    value = level.value
    if not isinstance(value, dict) or "name" not in value or level.label == value["name"]:
        return level.label
    same = shared[value["name"]]
    return level_label({key: inner for key, inner in value.items() if key == "name" or key not in same})


def level_labels(values: Sequence[object]) -> list[str]:
    """One label per value: a named entry's name alone where that tells the levels apart."""
    names = [value.get("name") if isinstance(value, dict) else None for value in values]
    counts = Counter(name for name in names if isinstance(name, str))
    return [
        name if isinstance(name, str) and counts[name] == 1 else level_label(value)
        for name, value in zip(names, values, strict=True)
    ]


def level_label(value: object) -> str:
    """A value as a label of at most 200 characters: `32-32`, `0.001`, `exponential_decay(decay_rate=0.9)`."""
    text = _text(value)
    if len(text) <= LONGEST:
        return text
    end = f"… #{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return text[: LONGEST - len(end)] + end


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, dict) and value.keys() == {"formula"}:
        return str(value["formula"])
    if isinstance(value, dict) and "name" in value:
        rest = ",".join(f"{key}={_text(inner)}" for key, inner in value.items() if key != "name")
        return f"{value['name']}({rest})" if rest else str(value["name"])
    if isinstance(value, list) and value and all(type(number) is int for number in value):
        return "-".join(map(str, value))
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
