"""The pictures of a comparison's best runs, embedded in its report."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from service.analysis.final_artifacts import ranking
from service.analysis.levels import level_of
from service.analysis.result import Comparison
from service.entities import Run
from service.errors import NoPicture
from service.lifecycle import RunStatus
from service.settings import Settings
from service.tracking.pictures import picture_content, picture_names
from service.words import Words

MOST_LEVELS = 4
WORTH_SEEING = (
    "decision.png",
    "fit.png",
    "scatter.png",
    "confusion_matrix.png",
    "first_layer.png",
    "activations.png",
)
"""Pictures of what was learned, the most telling first. Curves are drawn in the report itself."""
OF_EACH = 2


@dataclass(frozen=True)
class Picture:
    """A picture with its caption."""

    title: str
    says: str
    """What is to be seen on it; "" for one that somebody else stored in MLflow."""
    address: str
    """Where it is, or the picture itself."""


@dataclass(frozen=True)
class Shown:
    """The pictures of the best run of a level."""

    level: str
    run: Run
    pictures: Sequence[Picture]


def best_pictures(comparison: Comparison, settings: Settings, say: Words) -> list[Shown]:
    """Two pictures of the best run of each level; of the first levels where there are many. None without MLflow."""
    used = set(comparison.used)
    finished = [run for run in comparison.runs if run.id in used and run.status == RunStatus.FINISHED]
    best: dict[str, Run] = {}
    for run in ranking(finished):
        best.setdefault(level_of(run, comparison.factor) or "", run)
    shown = []
    for level, run in list(best.items())[:MOST_LEVELS]:
        names = picture_names(settings, run.mlflow_run_id)
        chosen = [name for name in WORTH_SEEING if name in names][:OF_EACH]
        try:
            drawn = [captioned(name, _embedded(settings, run, name), say) for name in chosen]
        except NoPicture:
            continue
        if drawn:
            shown.append(Shown(level, run, drawn))
        elif not names and not shown:
            break  # MLflow does not answer, or nothing was drawn: the other levels are not waited for
    return shown


def captioned(name: str, address: str, say: Words) -> Picture:
    """A run's picture, `confusion_matrix.png` for example, as a person reads it."""
    plain = name.removesuffix(".png")
    if not say.has(f"picture.{plain}"):
        return Picture(plain.replace("_", " "), "", address)
    return Picture(say(f"picture.{plain}"), say(f"picture_says.{plain}"), address)


def _embedded(settings: Settings, run: Run, name: str) -> str:
    content = picture_content(settings, run.mlflow_run_id, name)
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
