"""Live progress from the event stream: a bar in a terminal or a notebook, else a line per change."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gradus.tables import STYLES
from gradus.text import counts, number, short_id

if TYPE_CHECKING:
    from gradus.events import Event
    from gradus.experiment import Experiment

EVERY = 0.5  # seconds between two readings of the experiment
METRICS = ("test/accuracy", "val/accuracy", "train/accuracy", "test/loss", "val/loss", "train/loss")
Show = Callable[["Experiment", str], None]
"""Shows an experiment and its latest measurement, as text."""


def follow(
    experiment: Experiment, *, progress: bool, seen: Callable[[Event], None] | None = None
) -> Experiment:
    """Read an experiment's events until it is over.

    Args:
        progress: show how far it is.
        seen: called with every event.

    Returns:
        the experiment, as it is then.
    """
    read_at, latest = time.monotonic(), ""
    with _shown(experiment) if progress else _hidden() as show:
        show(experiment, latest)
        for event in experiment.events():
            if seen is not None:
                seen(event)
            latest = _measurement(event) or latest
            if progress and time.monotonic() - read_at > EVERY:
                experiment.refresh()
                read_at = time.monotonic()
                show(experiment, latest)
        show(experiment.refresh(), latest)
    return experiment


def _measurement(event: Event) -> str:
    """`3f2a… test/accuracy 0.97` for an event with metrics, else empty."""
    values = event.metrics or {}
    name = next((name for name in METRICS if name in values), None)
    return f"{short_id(event.run_id or '')} {name} {number(values[name])}" if name else ""


@contextmanager
def _hidden() -> Iterator[Show]:
    yield lambda experiment, latest: None


@contextmanager
def _shown(experiment: Experiment) -> Iterator[Show]:
    if _in_notebook():
        yield _notebook_bar()
    elif sys.stdout.isatty():
        with _terminal_bar(experiment) as show:
            yield show
    else:
        yield _lines()


def _in_notebook() -> bool:
    """Whether the output is that of a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _lines() -> Show:
    last = ""

    def show(experiment: Experiment, latest: str) -> None:
        nonlocal last
        line = f"{experiment.stage}: {counts(experiment.status, experiment.shipping)}"
        if line != last:
            print(line, flush=True)
            last = line

    return show


def _notebook_bar() -> Show:
    from IPython.display import HTML, display

    handle: Any = display(HTML(""), display_id=True)

    def show(experiment: Experiment, latest: str) -> None:
        handle.update(HTML(bar_html(experiment, latest)))

    return show


def bar_html(experiment: Experiment, latest: str) -> str:
    """A bar and its counts as HTML."""
    texts = (experiment.name, experiment.stage, counts(experiment.status, experiment.shipping), latest)
    words = " · ".join(html.escape(text) for text in texts if text)
    bar = f'<progress value="{experiment.ended}" max="{experiment.n_runs}"></progress>'
    return f"<div>{bar} {experiment.ended}/{experiment.n_runs} · {words}</div>"


@contextmanager
def _terminal_bar(experiment: Experiment) -> Iterator[Show]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[what]}"),
    )
    with Progress(*columns) as progress:
        task = progress.add_task(experiment.name, total=experiment.n_runs, what="")

        def show(experiment: Experiment, latest: str) -> None:
            parts = [
                f"[{STYLES[name]}]{count} {name}[/]" for name, count in experiment.status.items() if count
            ]
            stage = "" if experiment.stage == "grid" else f" {experiment.stage}"
            progress.update(
                task,
                completed=experiment.ended,
                total=experiment.n_runs,
                what="  ".join([*parts, latest.replace("[", "")]),
                description=experiment.name + stage,
            )

        yield show
