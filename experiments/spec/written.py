"""A spec as text, and a layer as the document of one."""

from __future__ import annotations

import copy
from io import StringIO
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from experiments.datasets.table import uploads_in
from experiments.layers import Layer


def as_yaml(document: object) -> str:
    """A spec as YAML, as a person would write it: without what the service adds about uploaded files."""
    document = copy.deepcopy(document)
    for _, dataset in uploads_in(document):
        dataset.pop("table", None)
    writer = YAML()
    writer.default_flow_style = None
    writer.representer.ignore_aliases = lambda _: True  # a spec has none
    writer.width = 160
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    writer.dump(document, stream)
    return stream.getvalue()


def layer_document(layer: Layer) -> dict[str, Any]:
    """A layer as a person writes it: its type, and what is not the default; layers within it likewise."""
    fields = {name: getattr(layer, name) for name in type(layer).model_fields if name != "type"}
    given = {
        name: _plain(value)
        for name, value in fields.items()
        if value is not None and value != type(layer).model_fields[name].default
    }
    return {"type": layer.type, **given}


def _plain(value: Any) -> Any:
    if isinstance(value, Layer):
        return layer_document(value)
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
