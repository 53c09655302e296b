"""A tile from claim to commit with a real database, a real spool and real training, in this process."""

from __future__ import annotations

import errno
import io
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from experiments.engine import backend
from experiments.gradient_check.check import check
from experiments.spec import ExperimentSpec
from experiments.spec.documents import parse_yaml
from service import logs, operations
from service.errors import StoreUnavailable
from service.settings import load_settings
from service.store import queries
from service.tracking.spool import Spool
from tests.present import present
from tests.workers.conftest import Bench
from workers.process import drain
from workers.process.watchdog import EXIT_MEMORY, Watchdog
from workers.requests import draw
from workers.training import execute as module


def test_the_example_finds_slope_and_intercept_within_five_percent(bench: Bench) -> None:
    text = (Path(__file__).resolve().parents[3] / "examples" / "linear-regression.yaml").read_text("utf-8")
    document: Any = parse_yaml(text)
    (run,) = bench.train(bench.submit(**document))
    for name in ("slope", "intercept"):
        assert run.metrics[f"learned/{name}"] == pytest.approx(run.metrics[f"true/{name}"], rel=0.05)


def test_a_tile_is_trained_drawn_and_committed(bench: Bench) -> None:
    runs = bench.train(
        bench.submit(sweep={"seeds": 3}, artifacts={"plots": "auto", "model": "none"}), width=4
    )
    for run in runs:
        assert (run.status, run.reason) == ("RUNNING", "epochs")  # until it is in MLflow
        assert run.outcome["status"] == "FINISHED"
        assert run.outcome["dataset"]["name"] == "linear"
        assert len(run.outcome["dataset"]["digest"]) == 64
        assert run.metrics["learned/slope"] == pytest.approx(0.5, abs=0.3)
        assert (run.metrics["true/slope"], run.metrics["true/intercept"]) == (0.5, 2.0)
        assert {"train/loss", "test/loss", "time/train_s", "time/compile_s"} <= run.metrics.keys()
        assert run.tags["gradus.worker"] == "w"
        paths = {path for _, path in bench.spool.artifacts(run.id, 1)}
        assert {"spec.yaml", "weights/model.weights.h5", "weights/architecture.json"} <= paths
        assert {"plots/loss_curves.png", "plots/scatter.png", "plots/fit.png"} <= paths
    history = queries.metric_history(bench.store, runs[0].id, keys=["train/loss"])[0]
    assert [point.step for point in history] == [1, 2, 3, 4]


def test_the_spec_file_gives_the_run_again(bench: Bench) -> None:
    (run,) = bench.train(bench.submit())
    from experiments.spec.documents import parse_yaml

    text = (bench.spool.files(run.id, 1) / "spec.yaml").read_text()
    (point,) = ExperimentSpec.parse(parse_yaml(text)).expand()
    assert point.spec.fingerprint() == run.fingerprint


def test_the_certificate_is_made_once_per_key(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(1)
        return check(*arguments, **options)

    monkeypatch.setattr(module, "check", counted)
    runs = bench.train(bench.submit(sweep={"seeds": 2}, gradient_check="sampled"), width=4)
    assert len(made) == 1
    for run in runs:
        assert run.tags["gradus.certificate"] == "certified"
        assert run.metrics["gradcheck/max_rel_err"] < 1e-5
        report = json.loads((bench.spool.files(run.id, 1) / "gradient_check.json").read_text())
        assert report["verdict"] == "certified"


def test_of_two_workers_that_check_at_once_the_first_certificate_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*args: Any, **kwargs: Any) -> Any:
        report = check(*args, **kwargs)
        first = report.model_copy(update={"seed": 4242})
        operations.put_certificate(
            bench.store, report.key, first.verdict, json.loads(first.model_dump_json())
        )
        return report

    monkeypatch.setattr(module, "check", late)
    runs = bench.train(bench.submit(sweep={"seeds": 2}, gradient_check="sampled"), width=4)
    for run in runs:
        report = json.loads((bench.spool.files(run.id, 1) / "gradient_check.json").read_text())
        assert report["seed"] == 4242


def test_a_certificate_with_numbers_that_are_none_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = {"verdict": "failed", "step": float("nan"), "discarded": float("inf")}
    monkeypatch.setattr(module, "check", lambda *a, **k: check(*a, **k).model_copy(update=odd))
    runs = bench.train(bench.submit(sweep={"seeds": 2}, gradient_check="sampled"), width=4)
    assert {run.outcome["status"] for run in runs} == {"FINISHED"}
    assert {run.tags["gradus.certificate"] for run in runs} == {"failed"}
    report = json.loads((bench.spool.files(runs[0].id, 1) / "gradient_check.json").read_text())
    assert (report["step"], report["discarded"]) == ("NaN", "Infinity")


def test_every_line_of_a_tile_names_run_attempt_and_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those of the thread that keeps its leases, here while the database is away for a moment."""
    (run,) = bench.submit(training={"epochs": 600, "batch_size": 8})
    monkeypatch.setattr(module, "worker_context", bench.context)
    monkeypatch.setattr(backend, "use_threads", lambda threads: None)
    real, asked = operations.stop_requests, []

    def away(*args: Any) -> Any:
        asked.append(1)
        if len(asked) == 1:
            raise StoreUnavailable("away")
        return real(*args)

    monkeypatch.setattr(operations, "stop_requests", away)
    handlers = logging.getLogger().handlers
    logs.configure(load_settings(log_json=True), worker="w")
    try:
        module.execute([run.id], 1)
    finally:
        logging.getLogger().handlers = handlers
        structlog.reset_defaults()
    said = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert {"tile claimed", "database away", "ended", "tile ended"} <= {line["event"] for line in said}
    for line in said:
        assert line["run"] in (run.id, [run.id]), line
        assert line["attempt"] in (1, [1]), line
        assert line["worker"] == "w", line


@pytest.mark.parametrize(("allowed", "attempt", "status"), [(1, 1, "FAILED"), (2, 2, "RUNNING")])
def test_a_worker_does_not_take_up_what_was_lost_too_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: Any, attempt: Any, status: Any
) -> None:
    """The limit that is set counts for a worker that finds an expired lease before the reaper does."""
    bench = Bench(tmp_path, max_losses=allowed)
    monkeypatch.setattr(module, "worker_context", bench.context)
    monkeypatch.setattr(backend, "use_threads", lambda threads: None)
    (run,) = bench.submit()
    operations.claim(bench.store, [run.id], worker="gone", spool="elsewhere", lease_seconds=60)
    operations.abandon(bench.store, "gone")
    module.execute([run.id], 1)
    operations.reap(bench.store, max_lease_expirations=allowed)
    stored = queries.get_run(bench.store, run.id)
    assert (stored.attempt, stored.status) == (attempt, status)
    bench.store.close()


def test_divergence_is_an_outcome(bench: Bench) -> None:
    (run,) = bench.train(bench.submit(optimizer={"name": "sgd", "learning_rate": 1e9}))
    assert (run.outcome["status"], run.reason) == ("FINISHED", "diverged")
    assert run.metrics["train/loss"] is None
    assert run.tags["gradus.not_finite.train/loss"].endswith("at step 1")


def test_a_cancelled_lane_leaves_the_others_alone(bench: Bench) -> None:
    long = {"epochs": 600, "batch_size": 8}
    first, second = bench.submit(sweep={"seeds": 2}, training=long)
    done = bench.train(
        [first, second], width=4, before=lambda claimed: operations.cancel_run(bench.store, first.id)
    )
    assert [run.outcome["status"] for run in done] == ["KILLED", "FINISHED"]


def test_a_lost_lane_commits_nothing(bench: Bench) -> None:
    (run,) = bench.submit(training={"epochs": 3000, "batch_size": 8})

    def steal(claimed: Any) -> None:
        time.sleep(1.7)
        operations.release(bench.store, {run.id: 1}, reason="test")
        operations.claim(bench.store, [run.id], worker="thief", spool="x", lease_seconds=60)

    (stolen,) = bench.train([run], before=steal)
    assert (stolen.attempt, stolen.worker, stolen.committed_at) == (2, "thief", None)


class Full(Spool):
    """A spool whose disk is full."""

    def put(self, run_id: str, attempt: Any, path: Any, content: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)


def test_a_full_disk_has_a_name(bench: Bench) -> None:
    runs = bench.train(bench.submit(sweep={"seeds": 2}), 4, spool=Full(bench.spool.folder, bench.spool.id))
    assert {(run.outcome["status"], run.reason) for run in runs} == {("FAILED", "disk_full")}


def test_data_that_cannot_be_had_has_a_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from experiments.datasets import Source

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(module, "source", lambda settings: Source())
    spec = {"dataset": {"name": "mnist"}, "model": {"hidden": [4]}, "optimizer": {"name": "sgd"}}
    (run,) = bench.train(bench.submit(**spec))
    assert run.outcome["status"] == "FAILED"
    assert run.reason.startswith("data: ")
    assert "GRADUS_DATA_DIR" in run.reason


def test_an_error_of_a_shared_program_is_tried_lane_by_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("who was it")

    monkeypatch.setattr(module, "train", broken)
    runs = bench.train(bench.submit(sweep={"seeds": 2}), 4)
    assert [(run.status, run.single_lane, run.lease_expirations) for run in runs] == [
        ("SCHEDULED", True, 0)
    ] * 2
    (alone,) = bench.train(runs[:1], 4)
    assert alone.outcome["status"] == "FAILED"
    assert alone.reason == "error: RuntimeError: who was it"


@pytest.mark.parametrize(
    ("lanes", "end"), [(1, ("RUNNING", "memory_limit")), (2, ("SCHEDULED", "memory_limit"))]
)
def test_a_memory_limit_has_a_name(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, lanes: Any, end: Any
) -> None:
    bench.watchdog._over = False
    monkeypatch.setattr(bench.watchdog, "asked", lambda: "memory")
    runs = bench.train(bench.submit(sweep={"seeds": lanes}), 4)
    assert {(run.status.value, run.reason) for run in runs} == {end}


class Left(BaseException):
    """What ends the process."""


@pytest.mark.parametrize("phase", ["check", "draw"])
@pytest.mark.parametrize(("lanes", "end"), [(1, "RUNNING"), (2, "SCHEDULED")])
def test_the_hard_limit_has_a_name_before_and_after_the_training(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, phase: Any, lanes: Any, end: Any
) -> None:
    """In the gradient check and at the pictures, where nothing can be asked to stop."""
    memory = [0]

    def leave(code: Any) -> None:
        raise Left(code)

    bench.watchdog = Watchdog(memory_limit=1000, memory=lambda: memory[0], leave=leave)

    def grow(*args: Any, **kwargs: Any) -> None:
        memory[0] = 2000
        bench.watchdog.look()

    monkeypatch.setattr(*{"check": (module, "check", grow), "draw": (draw, "draw", grow)}[phase])
    more = (
        {"artifacts": {"plots": "auto", "model": "none"}}
        if phase == "draw"
        else {"gradient_check": "sampled"}
    )
    runs = bench.submit(sweep={"seeds": lanes}, **more)
    with pytest.raises(Left, match=str(EXIT_MEMORY)):
        bench.train(runs, 4)
    for run in queries.get_runs(bench.store, [run.id for run in runs]).values():
        assert (run.status, run.reason, run.single_lane) == (end, "memory_limit", lanes > 1)


def test_a_time_limit_has_a_name(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_run_seconds=0.3)
    (long,) = bench.train(bench.submit(training={"epochs": 10_000, "batch_size": 8}))
    assert (long.outcome["status"], long.reason) == ("FAILED", "time_limit")
    assert 0 < long.outcome["epochs"] < 10_000


def test_a_drained_run_goes_on_from_its_checkpoint_to_the_same_weights(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"epochs": 60, "batch_size": 8}
    (whole,) = bench.train(bench.submit(training=long))
    (run,) = bench.submit(training=long)
    asked = iter(range(10**9))
    monkeypatch.setattr(drain, "asked", lambda: next(asked) == 3)
    (half,) = bench.train([run])
    assert (half.status, half.reason, half.lease_expirations) == ("SCHEDULED", "drain", 0)
    assert half.checkpoint["epoch"] > 0
    monkeypatch.undo()
    (done,) = bench.train([run])
    assert done.attempt == 2
    same = [
        (bench.spool.files(run.id, run.attempt) / "weights/model.weights.h5").read_bytes()
        for run in (whole, done)
    ]
    assert same[0] == same[1]
    keys = ["train/loss", "test/loss"]
    first, second = (queries.metric_history(bench.store, run.id, keys=keys)[0] for run in (whole, done))
    assert [(p.key, p.step, p.value) for p in first] == [(p.key, p.step, p.value) for p in second]


@pytest.mark.parametrize("damage", ["empty", "junk", "cut short", "a field is missing"])
def test_a_checkpoint_that_cannot_be_read_lets_the_run_start_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    (run,) = bench.submit(training={"epochs": 30, "batch_size": 8})
    asked = iter(range(10**9))
    monkeypatch.setattr(drain, "asked", lambda: next(asked) == 3)
    (half,) = bench.train([run])
    assert half.checkpoint["epoch"] > 0
    monkeypatch.undo()
    content = present(bench.spool.checkpoint(run.id, half.checkpoint["name"]))
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays.pop(next(name for name in arrays if name != "header"))
    fewer = io.BytesIO()
    np.savez(fewer, allow_pickle=False, **arrays)
    damaged = {"empty": b"", "junk": b"junk", "cut short": content[: len(content) // 2]}
    monkeypatch.setattr(type(bench.spool), "checkpoint", lambda *_: damaged.get(damage, fewer.getvalue()))
    (done,) = bench.train([run])
    assert (done.attempt, done.outcome["status"], done.outcome["epochs"]) == (2, "FINISHED", 30)
