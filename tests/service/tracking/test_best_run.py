"""The best run of an experiment in MLflow: it alone bears the tag and the report, which is uploaded where it changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from service import operations
from service.analysis import extension, final_artifacts
from service.store import queries
from service.tracking.backoff import MOST_TRIES
from service.tracking.client import Tracking
from service.tracking.records import REPORT, RunRef, TrackingUnavailable
from tests.service.conftest import World


def all_finish(world: World, scores: Any) -> None:
    """The waiting runs end with these validation losses, in order, and the experiment's final artifacts are requested."""
    waiting = [run for run in queries.all_runs(world.store, world.experiment.id) if run.status == "SCHEDULED"]
    for run, loss in zip(world.claim(*waiting), scores, strict=True):
        world.record(run, 1, val_loss=loss, test_loss=loss)
        world.finish(run)
    world.ship()
    final_artifacts.request_artifacts(world.store)


def best_in_mlflow(world: World) -> Any:
    """(the experiment's tag, the runs that bear the tag, those that bear the report)."""
    runs = world.all_there()
    there = world.client.get_experiment(runs[0].info.experiment_id)
    tagged = [run.info.run_id for run in runs if run.data.tags.get("gradus.best") == "yes"]
    bearing = [
        run.info.run_id
        for run in runs
        if "report.html" in {file.path for file in world.client.list_artifacts(run.info.run_id)}
    ]
    return there.tags.get("gradus.best_run"), tagged, bearing


@pytest.mark.parametrize("method", [None, "remove", "untag", "upload", "log", "describe_experiment"])
def test_the_best_run_alone_bears_the_tag_and_the_report(world: World, method: str, tmp_path: Path) -> None:
    """Also when it changes, and where the answer of a call is lost while it does."""
    runs = world.submit()
    all_finish(world, [0.3, 0.1, 0.2])
    world.ship()
    first = world.run(runs[1]).mlflow_run_id
    assert best_in_mlflow(world) == (first, [first], [first])
    extension.extend(world.store, world.experiment.id, seeds=1)
    all_finish(world, [0.05])
    if method is not None:
        world.cut(method)
        with pytest.raises(TrackingUnavailable):
            world.shipper.turn()
    world.ship()
    last = queries.all_runs(world.store, world.experiment.id)[-1].mlflow_run_id
    assert best_in_mlflow(world) == (last, [last], [last])
    assert len(world.all_there()) == 4, "no run of its own for the report"
    page = Path(world.client.download_artifacts(last, "report.html", str(tmp_path))).read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert all(run.id[:8] in page for run in queries.all_runs(world.store, world.experiment.id))


class CountedUploads:
    """A tracking that counts the reports uploaded."""

    def __init__(self, tracking: Tracking) -> None:
        self.tracking, self.reports = tracking, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tracking, name)

    def upload(self, run: RunRef, files: list[tuple[Path, str]], pool: ThreadPoolExecutor) -> None:
        self.reports += REPORT in {path for _, path in files}
        self.tracking.upload(run, files, pool)


def test_the_report_is_uploaded_again_only_where_it_changed(world: World) -> None:
    world.submit()
    all_finish(world, [0.3, 0.1, 0.2])
    world.ship()
    counted = world.shipper._tracking = CountedUploads(world.tracking)
    operations.change_experiment(world.store, world.experiment.id, priority=3)
    world.ship()
    assert counted.reports == 0
    operations.change_experiment(world.store, world.experiment.id, name="curves")
    world.ship()
    assert counted.reports == 1
    assert queries.experiments_to_ship(world.store) == []


def test_a_best_run_deleted_in_mlflow_does_not_hold_up_the_rest(world: World) -> None:
    runs = world.submit()
    all_finish(world, [0.3, 0.1, 0.2])
    world.client.delete_run(world.run(runs[1]).mlflow_run_id)
    for _ in range(MOST_TRIES + 2):
        world.shipper.turn()
    (other,) = world.submit(name="other", sweep={"seeds": 1})
    world.ship()
    assert world.there(other).info.status == "SCHEDULED"
    assert queries.experiments_to_ship(world.store) == []
