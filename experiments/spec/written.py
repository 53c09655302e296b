"""A spec as text."""

from __future__ import annotations

import copy
from io import StringIO

from ruamel.yaml import YAML

from experiments.datasets.table import uploads_in


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
