"""A spec as text."""

from __future__ import annotations

from io import StringIO

from ruamel.yaml import YAML


def as_yaml(document: object) -> str:
    """A spec as YAML, as a person would write it."""
    writer = YAML()
    writer.default_flow_style = None
    writer.representer.ignore_aliases = lambda _: True  # a spec has none
    writer.width = 160
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    writer.dump(document, stream)
    return stream.getvalue()
