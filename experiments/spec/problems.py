"""pydantic's errors in the words of a person who wrote a spec: path as written, what was found, what is
allowed.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError

from experiments.errors import Problem, SpecError
from experiments.field_paths import join
from experiments.messages import short, unknown
from experiments.optimizers import REFUSED_FIELDS

KINDS = {
    "int_type": "a whole number", "int_from_float": "a whole number", "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number", "float_type": "a number", "float_parsing": "a number",
    "bool_type": "true or false", "string_type": "text", "tuple_type": "a list", "list_type": "a list",
    "dict_type": "a mapping", "model_type": "a mapping", "model_attributes_type": "a mapping",
    "finite_number": "a finite number", "mapping_type": "a mapping", "none_required": "null",
    "dataclass_type": "a mapping",
}  # fmt: skip
BOUNDS = {
    "greater_than_equal": ("ge", "at least {}"), "greater_than": ("gt", "above {}"),
    "less_than_equal": ("le", "at most {}"), "less_than": ("lt", "below {}"),
    "too_short": ("min_length", "a list of at least {}"), "too_long": ("max_length", "a list of at most {}"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
}  # fmt: skip


def explain(error: ValidationError, annotation: object, prefix: str = "") -> SpecError:
    """Every error of a validation against `annotation`, translated, each path once."""
    problems: dict[str, Problem] = {}
    for item in error.errors(include_url=False):
        if _echo(item):
            continue
        problem = _problem(item, annotation, prefix)
        known = problems.get(problem.path)
        if known is None:
            problems[problem.path] = problem
        elif (
            isinstance(known.allowed, str)
            and isinstance(problem.allowed, str)
            and known.allowed != problem.allowed
        ):
            both = (
                known.allowed
                if problem.allowed in known.allowed
                else f"{known.allowed}, or {problem.allowed}"
            )
            problems[problem.path] = Problem(known.path, known.message, both)
    return SpecError(problem for problem in problems.values() if not _shadowed(problem, problems))


def _shadowed(problem: Problem, problems: dict[str, Problem]) -> bool:
    """True where a list was given, a value would do as well, and what is wrong is an entry of the list."""
    return problem.message.startswith("found [") and any(
        path.startswith(f"{problem.path}[") for path in problems
    )


def _echo(item: Any) -> bool:
    """True for `too short` on a list that is long enough: pydantic counts only the entries that are right."""
    found = item.get("input")
    return (
        item["type"] == "too_short"
        and isinstance(found, list | tuple)
        and len(found) >= item["ctx"]["min_length"]
    )


def _problem(item: Any, annotation: object, prefix: str) -> Problem:
    kind, context, found = item["type"], item.get("ctx", {}), item.get("input")
    path, models = _walk(item["loc"], annotation)
    where = join(prefix, path)
    if kind == "extra_forbidden":
        name = str(item["loc"][-1])
        return _extra(where, name, models)
    if kind == "missing":
        return Problem(where, "this field is missing", _describe(item["loc"], annotation))
    if kind == "literal_error":
        names = _literals(str(context.get("expected", "")))
        return Problem(where, unknown("choice", found, names), names)
    if kind == "union_tag_invalid":
        names = _literals(str(context.get("expected_tags", "")))
        field = _discriminator(models)
        return Problem(join(where, field), unknown(_noun(models), context.get("tag"), names), names)
    if kind == "union_tag_not_found":
        if isinstance(found, dict):
            field = _discriminator(models)
            return Problem(join(where, field), "this field is missing", sorted(_tags(models)))
        return Problem(where, f"found {short(found)}", f"a mapping with `{_discriminator(models)}`")
    if kind == "unknown_name":
        names = list(context["names"])
        return Problem(where, unknown("activation", found, names), names)
    if kind == "unknown_axis":
        if isinstance(found, dict) and {"log", "linear"} <= found.keys():
            return Problem(where, "log and linear are both given", "one of linear and log")
        return Problem(where, f"found {short(found)}", str(context["allowed"]))
    if kind in KINDS:
        return Problem(where, f"found {short(found)}", KINDS[kind])
    if kind == "string_pattern_mismatch":
        return Problem(
            where, f"found {short(found)}", "a part and a measure, as test/accuracy, val/loss, train/loss"
        )
    if kind in BOUNDS:
        key, text = BOUNDS[kind]
        return Problem(where, f"found {short(found)}", text.format(_number(context[key])))
    return Problem(where, str(item["msg"]), context.get("allowed"))


def _extra(where: str, name: str, models: list[type[BaseModel]]) -> Problem:
    if where == "base":
        return Problem(
            where,
            "`base` names a file beside this one, which only the command can read and put under it",
            "the whole spec, or `gradus submit FILE`",
        )
    if name in REFUSED_FIELDS and any("learning_rate" in model.model_fields for model in models):
        return Problem(where, f"`{name}` is no choice here: {REFUSED_FIELDS[name]}", "leave it out")
    names = sorted({field for model in models for field in model.model_fields})
    return Problem(where, unknown("field", name, names), names)


def _walk(loc: tuple[int | str, ...], annotation: object) -> tuple[str, list[type[BaseModel]]]:
    """The path as a person wrote it, and the models that hold its last element.

    pydantic's locations name union members too (`optimizer.adam.rho`, `learning_rate.number`); they are no
    path.
    """
    path, models, holders, chosen = "", _members(annotation), _members(annotation), False
    for position, element in enumerate(loc):
        if isinstance(element, int):
            path, chosen = f"{path}[{element}]", False
            continue
        last = position == len(loc) - 1
        if not chosen and element in _tags(models):
            models, chosen = [model for model in models if element in _tags([model])], True
            holders = models
            continue
        inner = [model.model_fields[element].annotation for model in models if element in model.model_fields]
        open_models = [model for model in models if model.model_config.get("extra") == "allow"]
        if inner:
            path, holders, models, chosen = join(path, element), models, _unique_members(inner), False
        elif open_models:
            extras = [getattr(model, "EXTRA", None) for model in open_models]
            path, holders, models, chosen = join(path, element), models, _unique_members(extras), False
        elif not _label(element) and (last or not models):
            path, holders = join(path, element), models
    return path, models if not loc or holders is models else (models or holders)


def _label(element: str) -> bool:
    """True for pydantic's own names of union members."""
    return element in {
        "number",
        "schedule",
        "list",
        "log",
        "linear",
        "int",
        "float",
        "str",
        "bool",
        "none",
    } or any(mark in element for mark in "[(-")


def _members(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Literal:
        return []
    return _unique_members(list(get_args(annotation)))


def _unique_members(annotations: list[Any]) -> list[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {}
    for annotation in annotations:
        inner = annotation if isinstance(annotation, tuple) else (annotation,)
        for one in inner:
            found.update(dict.fromkeys(_members(one)))
    return list(found)


def _tags(models: list[type[BaseModel]]) -> set[str]:
    tags: set[str] = set()
    for model in models:
        field = model.model_fields.get(_discriminator([model]))
        if field is not None and get_origin(field.annotation) is Literal:
            tags.update(str(value) for value in get_args(field.annotation))
    return tags


def _discriminator(models: list[type[BaseModel]]) -> str:
    return "type" if any("type" in model.model_fields for model in models) else "name"


def _noun(models: list[type[BaseModel]]) -> str:
    """What the members of a union are called: the first class of ours that all of them share."""
    shared = (
        [base for base in models[0].__mro__ if all(issubclass(model, base) for model in models)]
        if models
        else []
    )
    name = shared[0].__name__ if shared else "choice"
    return "data set" if name == "Dataset" else name.lower()


def _literals(text: str) -> list[str]:
    return [part.strip().strip("'\"") for part in text.replace(" or ", ", ").split(",") if part.strip()]


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _describe(loc: tuple[int | str, ...], annotation: object) -> str | list[str]:
    """What a missing field should hold."""
    _, models = _walk(loc[:-1], annotation)
    for model in models:
        field = model.model_fields.get(str(loc[-1]))
        if field is not None:
            if get_origin(field.annotation) is Literal:
                return [str(value) for value in get_args(field.annotation)]
            text = getattr(field.annotation, "__name__", "")
            return {"int": "a whole number", "float": "a number", "str": "text", "tuple": "a list"}.get(
                text, "a value"
            )
    return "a value"
