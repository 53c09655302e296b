"""The border of every level in the plane of two inputs: where the answer of its best run changes, from the run's film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from experiments.film import FILM, Film, FilmError, load
from service.analysis.final_artifacts import ranking
from service.analysis.levels import level_of
from service.analysis.result import Comparison
from service.entities import Run
from service.errors import NoPicture
from service.lifecycle import RunStatus
from service.report import charts
from service.report.figure import Figure
from service.report.figures import level_names
from service.settings import Settings
from service.tracking.pictures import artifact
from service.words import Words

MOST_LEVELS = 6
Point = tuple[float, float]
Segment = tuple[Point, Point]
Grid = npt.NDArray[np.float32]


def border_figure(comparison: Comparison, settings: Settings, say: Words) -> Figure | None:
    """The figure; None where no run of two inputs and two classes was filmed, or MLflow does not have the films yet."""
    names = level_names(comparison, say)
    films = {names[level]: film for level, run in _best(comparison).items() if (film := _film(settings, run))}
    if len(films) < 2:
        return None
    return draw(dict(list(films.items())[:MOST_LEVELS]), say)


def draw(films: Mapping[str, Film], say: Words) -> Figure:
    """The borders at the last frame of each level's film, over the training points of the first."""
    scene = next(iter(films.values())).scene
    borders = {level: joined(segments(film)) for level, film in films.items()}
    words = [say("figure.borders_none", level=level) for level, lines in borders.items() if not lines]
    text = say.paragraph([say("figure.borders_text"), *words])
    points = [
        (float(x), float(y), bool(target > 0))
        for (x, y), target in zip(scene.points, scene.targets, strict=True)
    ]
    svg = charts.plane(
        list(borders.values()), points, scene.axes, title=say("figure.borders"), text=text,
        x_label=say("figure.input", n=1), y_label=say("figure.input", n=2),
    )  # fmt: skip
    legend = tuple((level, charts.key(index)) for index, level in enumerate(borders))
    return Figure("borders", say("figure.borders"), svg, text, legend)


def segments(film: Film) -> Iterator[Segment]:
    """The lines at which the last frame crosses the film's bound, cell by cell of its grid (marching squares).

    Where all four edges of a cell are crossed, the crossings are joined in the order of the edges.
    """
    scene = film.scene
    (x_low, x_high), (y_low, y_high) = scene.axes
    columns, rows = scene.size
    across, up = np.linspace(x_low, x_high, columns), np.linspace(y_low, y_high, rows)
    above: Grid = film.frames[-1][1].reshape(rows, columns) - np.float32(scene.bound or 0.0)
    for row, column in np.ndindex(rows - 1, columns - 1):
        corners = [(row, column), (row, column + 1), (row + 1, column + 1), (row + 1, column)]
        crossings = []
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            start, end = float(above[a]), float(above[b])
            if (start > 0) != (end > 0):
                share = start / (start - end)
                x = across[a[1]] + share * (across[b[1]] - across[a[1]])
                y = up[a[0]] + share * (up[b[0]] - up[a[0]])
                crossings.append(
                    (round(float(x), 9), round(float(y), 9))
                )  # equal from either side of the edge
        yield from zip(crossings[::2], crossings[1::2], strict=True)


def joined(pieces: Iterable[Segment]) -> list[list[Point]]:
    """Segments as lines: each goes on where another one begins, so that a dash runs along the whole border."""
    left = [list(piece) for piece in pieces]
    lines = []
    while left:
        line = left.pop()
        for _ in range(2):  # on from its end, then, turned around, on from its beginning
            while (at := next((i for i, piece in enumerate(left) if line[-1] in piece), None)) is not None:
                piece = left.pop(at)
                line.append(piece[1] if piece[0] == line[-1] else piece[0])
            line.reverse()
        lines.append(line)
    return lines


def _best(comparison: Comparison) -> dict[str, Run]:
    """Level -> its finished run that validation ranks first, of those that were filmed."""
    used = set(comparison.used)
    filmed = (
        run
        for run in comparison.runs
        if run.id in used and run.status == RunStatus.FINISHED and run.spec.get("diagnostics", {}).get("film")
    )
    best: dict[str, Run] = {}
    for run in ranking(filmed):
        best.setdefault(level_of(run, comparison.factor) or "", run)
    return {
        level.estimate.level: best[level.estimate.level]
        for level in comparison.levels
        if level.estimate.level in best
    }


def _film(settings: Settings, run: Run) -> Film | None:
    """The film of a finished run, of two inputs and two classes."""
    try:
        film = _stored(settings, run.mlflow_run_id)
    except (NoPicture, FilmError):
        return None
    return film if len(film.scene.size) == 2 and film.scene.bound is not None else None


@lru_cache(maxsize=32)
def _stored(settings: Settings, mlflow_run_id: str | None) -> Film:
    return load(artifact(settings, mlflow_run_id, FILM))
