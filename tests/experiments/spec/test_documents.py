"""YAML 1.2 as it is written, and what is no plain document."""

from __future__ import annotations

import math
import time

import pytest

from experiments.errors import SpecError
from experiments.spec.documents import MAX_YAML_VALUES, parse_json, parse_yaml, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"), ("on", "on"), ("yes", "yes"), ("no", "no"), ("y", "y"), ("OFF", "OFF"),
        ("1e-4", 1e-4), ("1.0e-4", 1e-4), ("1E5", 1e5), (".5", 0.5), ("5.", 5.0), ("-1.5e+3", -1500.0),
        ("12", 12), ("-3", -3), ("+3", 3), ("0o17", 15), ("0xff", 255), ("017", 17), ("1_000", "1_000"),
        ("null", None), ("~", None), ("", None), ("nUll", "nUll"),
        ("true", True), ("True", True), ("false", False), ("tRue", "tRue"),
        ("2001-01-01", "2001-01-01"), ("12:30:45", "12:30:45"), ("1.2.3", "1.2.3"), ("e5", "e5"),
        ("0b11", "0b11"),
        ("'12'", "12"), ('"off"', "off"), ("[1, off, 1e-4]", [1, "off", 1e-4]), ("{a: off}", {"a": "off"}),
        ("{and: 1, 5: 2, true: 3}", {"and": 1, "5": 2, "true": 3}),
        ("a:\n  - b: 1\n    c: [x]", {"a": [{"b": 1, "c": ["x"]}]}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}), ("<<: 3", {"<<": 3}), ("=", "="),
    ],
)  # fmt: skip
def test_core_schema(text: str, value: object) -> None:
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


def test_infinity_and_nan_are_read_and_then_refused() -> None:
    parsed = parse_yaml("[.inf, -.INF, .nan]")
    assert isinstance(parsed, list)
    assert parsed[:2] == [math.inf, -math.inf]
    assert math.isnan(parsed[2])
    with pytest.raises(SpecError) as caught:
        plain({"a": parsed})
    assert [problem.path for problem in caught.value.problems] == ["a[0]", "a[1]", "a[2]"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: *x", "line 1: an anchor or alias"),
        ("a: 1\nb: *x", "line 2: an anchor or alias"),
        ("a: 1\nb: 2\na: 3", "line 3: the key a appears twice"),
        ("a: !!python/object:os.system {}", "line 1: the tag"),
        ("a: !!binary aGk=", "line 1: the tag"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("a: [1, 2", "no YAML"),
        ("a: 1\n b: 2", "line 2"),
        ("a:\t- 1\n\t- 2", "line 2: a Tab"),
        ("? [1, 2]\n: 3", "line 1: a key that is no text"),
        ("[" * 60 + "]" * 60, "nested too deeply"),
        ('"\\xZZ"', "no YAML"),
        ("x" * (2**20 + 1), "characters of YAML"),
    ],
)
def test_refused_with_the_line(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_yaml(text)


MILLION = {
    "a list in lines": ("- 1\n" * 250_000, "line 50000: more than 50,000 values"),
    "a list in brackets": ("[" + "1," * 500_000 + "]", "more than 50,000 values"),
    "fields": ("".join(f"a{i}: 1\n" for i in range(90_000)), "line 25000: more than 50,000 values"),
    "lists in lists": ("- " * 500_000, "nested too deeply"),
    "brackets in brackets": ("[" * 1_000_000, "nested too deeply"),
    "keys of keys": ("? " * 500_000, "nested too deeply"),
}


@pytest.mark.parametrize("case", MILLION)
def test_a_million_characters_are_refused_before_they_are_read(case: str) -> None:
    text, words = MILLION[case]
    began = time.process_time()
    with pytest.raises(SpecError, match=words):
        parse_yaml(text)
    assert time.process_time() - began < 10


def test_as_many_values_as_are_allowed() -> None:
    assert parse_yaml("- 1\n" * (MAX_YAML_VALUES - 1)) == [1] * (MAX_YAML_VALUES - 1)


def test_json_is_yaml_and_has_no_such_bound() -> None:
    assert parse_yaml('{"a": [' + "1," * 300_000 + "1]}") == {"a": [1] * 300_001}
    assert parse_yaml('{"a": NaN, b: off}') == {"a": "NaN", "b": "off"}


def test_a_doubled_key_among_many_is_found_at_once() -> None:
    keys = [*range(90_000), 89_999]
    began = time.process_time()
    with pytest.raises(SpecError, match="the key 89999 appears twice"):
        parse_json("{" + ",".join(f'"{key}":1' for key in keys) + "}")
    assert time.process_time() - began < 10


def test_billion_laughs_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}, *a{i - 1}]" for i in range(1, 30)]
    with pytest.raises(SpecError, match="alias"):
        parse_yaml("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "not a finite number"),
        ('{"a": 1, "a": 2}', "twice"),
        ("{", "no JSON"),
        ("[" * 100_000, "JSON|deep"),
    ],
)
def test_json_is_json(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        parse_json(text)


@pytest.mark.parametrize("value", [{1: 2}, {"a": {"b"}}, "a\0b", "\ud800", 2**64, {"a": object()}, b"x"])
def test_what_is_not_plain(value: object) -> None:
    with pytest.raises(SpecError):
        plain(value)
