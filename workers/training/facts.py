"""What a run says about itself beside its numbers: tags, and its spec as a file."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import io
import json
import platform

from ruamel.yaml import YAML

from experiments.runs import RunSpec
from workers.process.child import WorkerContext

PACKAGES = ("gradus", "keras", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "numpy")


def tags(context: WorkerContext) -> dict[str, str]:
    """The worker that trained a run, and the versions that training itself does not state."""
    stated = ("python", "numpy")
    return {
        "gradus.worker": context.settings.worker,
        "gradus.version": versions().get("gradus", ""),
        **{f"gradus.{name}": versions()[name] for name in stated if name in versions()},
    }


def spec_yaml(spec: RunSpec, name: str) -> bytes:
    """A spec whose submission repeats this one run: `gradus submit spec.yaml`."""
    document = {"name": name, **spec.model_dump(mode="json", exclude_none=True)}
    return "".join(_entry(key, json.dumps(value)) for key, value in document.items()).encode()


@functools.lru_cache(maxsize=256)
def _entry(key: str, value: str) -> str:
    """One entry of a YAML mapping. value: as JSON. The lanes of a tile share most of theirs, and writing YAML is slow."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    text = io.StringIO()
    yaml.dump({key: json.loads(value)}, text)
    return text.getvalue()


@functools.cache
def versions() -> dict[str, str]:
    """The installed versions of what decides a result, without importing any of it."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[package.removesuffix("-cpu")] = importlib.metadata.version(package)
    return installed
