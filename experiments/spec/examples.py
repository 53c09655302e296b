"""The example specs that come with the package: `examples/` of the project, in a checkout and in a wheel."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def examples() -> dict[str, str]:
    """The text of every example by name, sorted: `activations` and, where it is a spec that must be refused,
    `refused/errata-filter`."""
    folder = files("experiments") / "examples"
    texts = {
        f"{prefix}{entry.name.removesuffix('.yaml')}": entry.read_text("utf-8")
        for prefix, place in (("", folder), ("refused/", folder / "refused"))
        for entry in place.iterdir()
        if entry.name.endswith(".yaml")
    }
    return dict(sorted(texts.items()))


def summary(text: str) -> str:
    """The comment that an example begins with, on one line."""
    lines = text.splitlines()
    end = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.lstrip("# ") for line in lines[:end])
