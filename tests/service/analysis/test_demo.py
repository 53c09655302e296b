"""What `make demo` shows: stages as they go, a table of cells, and the verdicts."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gradus.cli import demo
from gradus.client import Client
from service.analysis import design
from tests.service.scored_runs import World


@contextlib.contextmanager
def answering(world: World, experiment_id: str) -> Iterator[Any]:
    """Workers and maintenance, for as long as the context lasts."""
    ended = threading.Event()

    def score(run: Any) -> float:  # highest in the middle of the demo's rates
        return world.accuracy(run) - 0.1 * abs(math.log10(float(run.params["learning_rate"]) / 0.003))

    def go_on() -> None:
        while not ended.wait(0.05):
            world.work(experiment_id, score)
            design.advance(world.store)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_it_follows_the_stages_and_ends_with_the_verdicts(
    world: World, serve: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = world.submit(Path(demo.SPEC).read_text())
    client = Client(serve())
    experiment = client.experiment(made.id)  # read before the workers begin: the first line is what waits
    with answering(world, made.id):
        experiment = experiment.wait(progress=True)
    assert (experiment.stage, experiment.n_runs) == ("last look reached", 36 + 30)
    followed = capsys.readouterr().out
    assert "tune: 36 SCHEDULED" in followed
    assert "last look reached: 66 FINISHED" in followed
    demo.show(experiment)
    shown = capsys.readouterr().out
    for words in ("activation", "optimizer", "its best rate", "relu better than sigmoid"):
        assert words in shown
    cells = [line.split() for line in shown.splitlines() if "rmsprop" in line or "adam" in line]
    assert len(cells) == 6
    assert {cell[-1] for cell in cells} == {"5"}, "five fresh seeds each"


def test_a_cell_without_results_has_a_dash() -> None:
    assert (demo.spread([]), demo.spread([0.5]), demo.spread([0.1, 0.3])) == ("–", "0.500", "0.200 ± 0.141")
