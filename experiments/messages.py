"""Phrases that every refusal shares: the value that was found, and the name that was probably meant."""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Sequence


def short(value: object, length: int = 60) -> str:
    """A value as it would be written in a spec, cut to `length` characters."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except (ValueError, RecursionError, TypeError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= length else text[: length - 1] + "…"


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The name that was probably meant: a similar spelling, the initials (`lr`), or the beginning of a name."""
    similar = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    initials = (known for known in names if "".join(part[:1] for part in known.split("_")) == name)
    longer = (known for known in names if len(name) > 1 and known.startswith(name))
    return next(itertools.chain(similar, initials, longer), None)


def unknown(kind: str, name: object, names: Sequence[str]) -> str:
    """`there is no activation "relo"; did you mean "relu"?`"""
    guess = nearest(name, names) if isinstance(name, str) else None
    return f'there is no {kind} "{short(name)}"' + (f'; did you mean "{guess}"?' if guess else "")
