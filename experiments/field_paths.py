"""Paths of fields: `model.layers[0].units` as text and as steps."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\[[0-9]{1,4}\]|[0-9]{1,4}")


def parse_path(text: str) -> Path | None:
    """The steps of a path. None where the text is not a path.

    `model.layers[0].units` and `model.layers.0.units` both give ("model", "layers", 0, "units").
    """
    steps: list[str | int] = []
    for part in text.replace("[", ".[").split("."):
        if not _STEP.fullmatch(part):
            return None
        steps.append(int(part.strip("[]")) if part.strip("[]").isdigit() else part)
    return tuple(steps) if steps and isinstance(steps[0], str) else None


def write_path(path: Path) -> str:
    """The inverse of parse_path, with indices in brackets."""
    text = ""
    for step in path:
        text = join(text, f"[{step}]" if isinstance(step, int) else step)
    return text


def join(prefix: str, path: str) -> str:
    """`a.b` and `c` give `a.b.c`; `a` and `[0].c` give `a[0].c`."""
    if not prefix or not path:
        return prefix or path
    return prefix + path if path.startswith("[") else f"{prefix}.{path}"
