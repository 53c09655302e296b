"""Where in a spec pydantic found something: the path as a person wrote it, and the models that may stand there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from experiments.field_paths import join

Models = list[type[BaseModel]]
UNION_MEMBERS = frozenset(
    {"number", "schedule", "list", "log", "linear", "int", "float", "str", "bool", "none"}
)
"""pydantic's own names of union members, which are no part of a path."""
NOUNS = {"Dataset": "data set", "BaseModel": "choice", "Strict": "choice"}
"""What the members of a union are called where the name of their class does not say it."""
KINDS_OF_VALUE = {"int": "a whole number", "float": "a number", "str": "text", "tuple": "a list"}


@dataclass(frozen=True)
class Location:
    """One place in a spec.

    models: the models of which the last element of the path is a field, or which may stand there
    """

    path: str
    models: Models

    @property
    def discriminator(self) -> str:
        return discriminator(self.models)

    @property
    def tags(self) -> list[str]:
        """The names of the union members that may stand here."""
        return sorted(_tags(self.models))

    @property
    def fields(self) -> list[str]:
        return sorted({field for model in self.models for field in model.model_fields})

    @property
    def noun(self) -> str:
        """What the members of the union are called: `layer`, `data set`."""
        if not self.models:
            return NOUNS["BaseModel"]
        shared = (
            base for base in self.models[0].__mro__ if all(issubclass(model, base) for model in self.models)
        )
        name = next(shared).__name__
        return NOUNS.get(name, name.lower())


def locate(loc: tuple[int | str, ...], annotation: object) -> Location:
    """A location of pydantic's in a value of type `annotation`.

    pydantic's locations name union members too: `optimizer.adam.rho`, `learning_rate.number`.
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
        extras = [
            getattr(model, "EXTRA", None) for model in models if model.model_config.get("extra") == "allow"
        ]
        if inner or extras:
            path, holders, models, chosen = join(path, element), models, _all_members(inner or extras), False
        elif not _names_member(element) and (last or not models):
            path, holders = join(path, element), models
    return Location(path, models if not loc or holders is models else (models or holders))


def missing(loc: tuple[int | str, ...], annotation: object) -> str | list[str]:
    """What a field that is missing should hold."""
    for model in locate(loc[:-1], annotation).models:
        field = model.model_fields.get(str(loc[-1]))
        if field is not None:
            if get_origin(field.annotation) is Literal:
                return [str(value) for value in get_args(field.annotation)]
            return KINDS_OF_VALUE.get(getattr(field.annotation, "__name__", ""), "a value")
    return "a value"


def discriminator(models: Models) -> str:
    """The field that tells the members of a union apart."""
    return "type" if any("type" in model.model_fields for model in models) else "name"


def _names_member(element: str) -> bool:
    return element in UNION_MEMBERS or any(mark in element for mark in "[(-")


def _members(annotation: object) -> Models:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [] if get_origin(annotation) is Literal else _all_members(list(get_args(annotation)))


def _all_members(annotations: list[Any]) -> Models:
    models: dict[type[BaseModel], None] = {}
    for annotation in annotations:
        for option in annotation if isinstance(annotation, tuple) else (annotation,):
            models.update(dict.fromkeys(_members(option)))
    return list(models)


def _tags(models: Models) -> set[str]:
    tags: set[str] = set()
    for model in models:
        field = model.model_fields.get(discriminator([model]))
        if field is not None and get_origin(field.annotation) is Literal:
            tags.update(str(value) for value in get_args(field.annotation))
    return tags
