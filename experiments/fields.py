"""The base of every spec model, and the number types that they share.

They are strict on purpose: `"32"` is not a number and `true` is not an integer. Every number is bounded, so that
nothing in a spec can overflow float32 or a loop.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import unicodedata
from functools import cache, cached_property
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

LARGEST = 1e30
"""Largest magnitude of any real number in a spec; float32 ends at 3.4e38."""

Real = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST)]
NonNegative = Annotated[float, Field(strict=True, ge=0, le=LARGEST)]
Positive = Annotated[float, Field(strict=True, gt=0, le=LARGEST)]
Fraction = Annotated[float, Field(strict=True, ge=0, lt=1)]
UnitInterval = Annotated[float, Field(strict=True, ge=0, le=1)]
Whole = Annotated[int, Field(strict=True, ge=-(10**12), le=10**12)]
Count = Annotated[int, Field(strict=True, ge=1, le=10**9)]
CountOrZero = Annotated[int, Field(strict=True, ge=0, le=10**9)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
Flag = Annotated[bool, Field(strict=True)]
LAYOUT = "\t\n\r"
"""Control characters that a text of several lines may have."""
JOINERS = "\u200c\u200d"
"""Format characters that some scripts and emoji need."""


def hidden_character(text: str, allowed: str = "") -> str | None:
    """The first character that is not shown: control and format characters, line separators, half a surrogate pair.

    Terminals obey some of them, and names that differ only in them look the same.
    """
    if text.isascii() and text.isprintable():
        return None
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    hidden = (c for c in text if unicodedata.category(c) in kinds and c not in allowed and c not in JOINERS)
    return next(hidden, None)


def described(character: str) -> str:
    """`U+001B`."""
    return f"U+{ord(character):04X}"


def _one_line(text: object) -> object:
    """One line of text, in Unicode's normal form C and without spaces at its ends."""
    return unicodedata.normalize("NFC", text).strip() if isinstance(text, str) else text


def _shown(text: str) -> str:
    return _refuse_hidden(text, "")


def _shown_lines(text: str) -> str:
    return _refuse_hidden(text, LAYOUT)


def _refuse_hidden(text: str, allowed: str) -> str:
    character = hidden_character(text, allowed)
    if character is not None:
        raise PydanticCustomError(
            "hidden_character",
            "the text has the hidden character {code}",
            {"code": described(character), "allowed": "characters that are shown"},
        )
    return text


ShortText = Annotated[
    str, Field(strict=True, min_length=1, max_length=200), BeforeValidator(_one_line), AfterValidator(_shown)
]
"""One line: a name."""
LongText = Annotated[str, Field(strict=True, max_length=20_000), AfterValidator(_shown_lines)]


def named(value: object) -> object:
    """A bare name stands for that entry with its defaults: `adam` for `{name: adam}`."""
    return {"name": value} if isinstance(value, str) else value


@cache
def field_docstrings(module: str) -> dict[str, dict[str, str]]:
    """The text below each annotated attribute, by the name of its class. The module's source is parsed."""
    docstrings: dict[str, dict[str, str]] = {}
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.ClassDef):
            own = docstrings.setdefault(node.name, {})
            for field, text in pairwise(node.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(docstring))):
                        own[name] = inspect.cleandoc(docstring)
    return docstrings


class Strict(BaseModel):
    """A frozen model without unknown fields, NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The text below a field describes it. Only a schema needs that, so it is read here: *measured*, pydantic's
        `use_attribute_docstrings` takes a fifth of the time in which a worker's parent starts."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name in cls.model_fields.keys() & properties.keys():
            owner = next(base for base in cls.__mro__ if name in vars(base).get("__annotations__", {}))
            if docstring := field_docstrings(owner.__module__).get(owner.__name__, {}).get(name):
                properties[name].setdefault("description", docstring)
        return schema

    @cached_property
    def canonical(self) -> str:
        """One JSON text per meaning, every default written out: what hashes are made of."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
