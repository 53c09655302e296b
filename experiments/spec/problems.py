"""pydantic's errors in the words of a person who wrote a spec: the path, what was found, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from experiments.errors import MAX_PROBLEMS, Problem, SpecError
from experiments.field_paths import join, write_path
from experiments.messages import meant, number_meant, short, unknown
from experiments.optimizers import REFUSED_FIELDS
from experiments.spec.documents import FULL_WIDTH
from experiments.spec.locations import Location, locate, missing
from experiments.spec.swept_fields import SHORT_NAMES

EXPECTED = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number", "float_type": "a number", "float_parsing": "a number",
    "bool_type": "true or false", "string_type": "text", "tuple_type": "a list", "list_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "finite_number": "a finite number", "mapping_type": "a mapping", "none_required": "null",
    "dataclass_type": "a mapping",
    "string_pattern_mismatch": "a part and a measure, as test/accuracy, val/loss, train/loss",
}  # fmt: skip
"""Kind of pydantic's error -> what is allowed."""
NUMBERS = frozenset(
    EXPECTED[kind] for kind in ("int_type", "int_parsing_size", "float_type", "finite_number")
)
YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false", "true": "true", "false": "false"}
"""YAML 1.1's other words for true and false, which are text in YAML 1.2."""
ZERO_PADDING = "; P zeros on every side are a layer before it: {type: zero_padding2d, padding: P}"
HALF_WIDTH = str.maketrans({sign: plain if len(plain) == 1 else " " for sign, plain in FULL_WIDTH.items()})
PAIR = re.compile(r"([\w.-]+)\s*[=:]\s*([^=:{}]+)")
"""A key and its value as people write them who do not know YAML."""
BOUNDS = {
    "greater_than_equal": ("ge", "at least {}"), "greater_than": ("gt", "above {}"),
    "less_than_equal": ("le", "at most {}"), "less_than": ("lt", "below {}"),
    "too_short": ("min_length", "a list of at least {}"), "too_long": ("max_length", "a list of at most {}"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
}  # fmt: skip
"""Kind of pydantic's error -> where in its context the bound is, and what is allowed."""


def explain(error: ValidationError, annotation: object, prefix: str = "") -> SpecError:
    """Every error of a validation, translated, each path once.

    Args:
        annotation: the type that was validated against
        prefix: the path of the validated value in the spec
    """
    problems: dict[str, Problem] = {}
    for item in error.errors(include_url=False):
        if _counts_only_valid_entries(item):
            continue
        problem = _problem(item, annotation, prefix)
        known = problems.get(problem.path)
        problems[problem.path] = problem if known is None else _merged(known, problem)
        if len(problems) > MAX_PROBLEMS:
            break
    return SpecError(problem for problem in problems.values() if not _about_an_entry(problem, problems))


def _merged(known: Problem, other: Problem) -> Problem:
    """Two members of a union refuse the same value: what either allows."""
    if not isinstance(known.allowed, str) or not isinstance(other.allowed, str):
        return known
    if other.allowed in known.allowed:
        return known
    return Problem(known.path, known.message, f"{known.allowed}, or {other.allowed}")


def _about_an_entry(problem: Problem, problems: dict[str, Problem]) -> bool:
    """True where a list was given to a field that takes a list or a value, and an entry of the list is wrong."""
    return problem.message.startswith("found [") and any(
        path.startswith(f"{problem.path}[") for path in problems
    )


def _counts_only_valid_entries(item: Any) -> bool:
    """True for `too short` on a list that is long enough: pydantic counts only the valid entries."""
    value = item.get("input")
    return (
        item["type"] == "too_short"
        and isinstance(value, list | tuple)
        and len(value) >= item["ctx"]["min_length"]
    )


def _problem(item: Any, annotation: object, prefix: str) -> Problem:
    kind, value = item["type"], item.get("input")
    location = locate(item["loc"], annotation)
    path = join(prefix, location.path)
    if kind in SPECIAL:
        return SPECIAL[kind](item, location, path, annotation)
    if kind in EXPECTED:
        return Problem(path, _found(value, EXPECTED[kind]), EXPECTED[kind])
    if kind in BOUNDS:
        key, text = BOUNDS[kind]
        bound = item["ctx"][key]
        allowed = text.format(f"{bound:g}" if isinstance(bound, float) else bound)
        return Problem(path, f"found {short(value)}", allowed)
    return Problem(path, str(item["msg"]), item.get("ctx", {}).get("allowed"))


def _found(value: object, expected: str) -> str:
    """`found "0,001"; write 0.001`: the value, and what to write where that is clear."""
    sign = next((sign for sign in value if sign in FULL_WIDTH), None) if isinstance(value, str) else None
    if expected in NUMBERS and sign is not None:
        return f'found the text "{value}"; {sign} is a full-width sign, write {FULL_WIDTH[sign]}'
    if expected in NUMBERS and (number := number_meant(value)) is not None:
        return f'found the text "{value}"; write {number}'
    if expected in NUMBERS and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return f"found {value}; write {int(value)}"
    if expected == EXPECTED["list_type"] and type(value) in (int, float, str):
        return f"found {short(value)}; write [{short(value)}]"
    if expected == EXPECTED["dict_type"] and isinstance(value, str) and (pairs := _pairs(value)):
        return f"found {short(value)}; write {pairs}"
    if expected == EXPECTED["bool_type"] and isinstance(value, str) and value.lower() in YES_NO:
        return f"found the text {value}; write {YES_NO[value.lower()]}"
    return f"found {short(value)}"


def _pairs(text: str) -> str | None:
    """The mapping that `course=nn-101` or `course：nn-101` means; None where the text holds no pairs."""
    parts = [part.strip() for part in text.translate(HALF_WIDTH).split(",")]
    pairs = [PAIR.fullmatch(part) for part in parts]
    return "{" + ", ".join(f"{pair[1]}: {pair[2]}" for pair in pairs if pair) + "}" if all(pairs) else None


def _unknown_field(item: Any, location: Location, path: str, annotation: object) -> Problem:
    name = str(item["loc"][-1])
    if path == "base":
        return Problem(
            path,
            "`base` names a file beside this one, which only the command can read and put under it",
            "the whole spec, or `gradus submit FILE`",
        )
    if name in REFUSED_FIELDS and "learning_rate" in location.fields:
        return Problem(path, f"`{name}` is no choice here: {REFUSED_FIELDS[name]}", "leave it out")
    if (sign := next((sign for sign in name if sign in FULL_WIDTH), None)) is not None:
        allowed = f"{FULL_WIDTH[sign]} as on an English keyboard"
        return Problem(path, f"the full-width sign {sign} in {short(name)}", allowed)
    if name.isdigit():
        message = f"{name} stands where a field is wanted; a number takes a decimal point, not a comma"
        return Problem(path, message, location.fields)
    message = unknown("field", name, location.fields)
    elsewhere = SHORT_NAMES.get(meant(name, list(SHORT_NAMES)) or name)
    other = elsewhere is not None and len(elsewhere) > 1 and write_path(elsewhere) != path
    if elsewhere is not None and other and meant(name, location.fields) is None:
        message += f"; `{write_path(elsewhere)}` is the field of that name"
    return Problem(path, message, location.fields)


def _missing(item: Any, location: Location, path: str, annotation: object) -> Problem:
    return Problem(path, "this field is missing", missing(item["loc"], annotation))


def _unknown_choice(item: Any, location: Location, path: str, annotation: object) -> Problem:
    names, value = _listed(item["ctx"]["expected"]), item["input"]
    padding = set(names) == {"valid", "same"} and type(value) in (int, list, tuple)
    return Problem(path, unknown("choice", value, names) + ZERO_PADDING * padding, names)


def _unknown_entry(item: Any, location: Location, path: str, annotation: object) -> Problem:
    names = _listed(item["ctx"]["expected_tags"])
    message = unknown(location.noun, item["ctx"]["tag"], names)
    return Problem(join(path, location.discriminator), message, names)


def _no_entry(item: Any, location: Location, path: str, annotation: object) -> Problem:
    if isinstance(item["input"], dict):
        return Problem(join(path, location.discriminator), "this field is missing", location.tags)
    return Problem(path, f"found {short(item['input'])}", f"a mapping with `{location.discriminator}`")


def _unknown_activation(item: Any, location: Location, path: str, annotation: object) -> Problem:
    names = list(item["ctx"]["names"])
    return Problem(path, unknown("activation", item["input"], names), names)


def _unknown_metric(item: Any, location: Location, path: str, annotation: object) -> Problem:
    names = list(item["ctx"]["names"])
    return Problem(path, unknown("metric", item["input"], names), names)


def _no_axis(item: Any, location: Location, path: str, annotation: object) -> Problem:
    value = item["input"]
    if isinstance(value, dict) and {"log", "linear"} <= value.keys():
        return Problem(path, "log and linear are both given", "one of linear and log")
    hint = f"; write [{short(value)}]" if type(value) in (int, float, str) else ""
    return Problem(path, f"found {short(value)}{hint}", str(item["ctx"]["allowed"]))


SPECIAL: dict[str, Callable[[Any, Location, str, object], Problem]] = {
    "extra_forbidden": _unknown_field,
    "missing": _missing,
    "literal_error": _unknown_choice,
    "union_tag_invalid": _unknown_entry,
    "union_tag_not_found": _no_entry,
    "unknown_name": _unknown_activation,
    "unknown_metric": _unknown_metric,
    "unknown_axis": _no_axis,
}
"""Kind of pydantic's error -> the problem, where a value alone does not say it."""


def _listed(text: str) -> list[str]:
    """`'a', 'b' or 'c'` as a list."""
    return [part.strip().strip("'\"") for part in text.replace(" or ", ", ").split(",") if part.strip()]
