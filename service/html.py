"""The one Jinja environment: pages and report are rendered with it, every value escaped."""

from __future__ import annotations

import re
from functools import cache

import jinja2
from markupsafe import Markup, escape

from experiments.numbers import figure, rough


@cache
def templates(package: str) -> jinja2.Environment:
    """The templates in the folder `templates` of a package.

    Args:
        package: the dotted name, such as `service.report`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["code"] = code
    environment.globals |= {"figure": figure, "rough": rough}
    return environment


def code(text: str) -> Markup:
    """A text with its `names` as code, everything else escaped."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before
