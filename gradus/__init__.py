"""Gradus from Python: `client = gradus.Client()`. See docs/client.md.

Names are loaded when they are first used: `import gradus` costs nothing, also where only the command runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.errors import GradusError, SpecError
    from gradus.client import Client
    from gradus.comparison import Comparison
    from gradus.dataset import Dataset
    from gradus.errors import (
        ClientError,
        Conflict,
        Invalid,
        NotAllowed,
        NotFound,
        Refused,
        Unreachable,
        UsageError,
    )
    from gradus.events import Event
    from gradus.experiment import Experiment
    from gradus.results import History, Prediction
    from gradus.runs import Run, Runs

_HOMES = {
    "gradus.client": ("Client",),
    "gradus.comparison": ("Comparison",),
    "gradus.dataset": ("Dataset",),
    "gradus.errors": (
        *("ClientError", "Conflict", "Invalid", "NotAllowed", "NotFound"),
        *("Refused", "Unreachable", "UsageError"),
    ),
    "gradus.events": ("Event",),
    "gradus.experiment": ("Experiment",),
    "gradus.results": ("History", "Prediction"),
    "gradus.runs": ("Run", "Runs"),
    "experiments.errors": ("GradusError", "SpecError"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}
__all__ = [
    "Client",
    "ClientError",
    "Comparison",
    "Conflict",
    "Dataset",
    "Event",
    "Experiment",
    "GradusError",
    "History",
    "Invalid",
    "NotAllowed",
    "NotFound",
    "Prediction",
    "Refused",
    "Run",
    "Runs",
    "SpecError",
    "Unreachable",
    "UsageError",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'gradus' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
