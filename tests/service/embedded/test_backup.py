"""Copies of a home: whole or not there, taken under writers, and never the cause of a doubled MLflow run."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from experiments.spec import ExperimentSpec
from service import operations
from service.embedded import backup as module
from service.embedded.backup import BackupRefused, backup, main
from service.errors import NotFound
from service.startup import run_program
from service.store import Store, queries
from service.store.migrate import upgrade
from service.tracking.client import Tracking
from service.tracking.shipper import Shipper
from service.tracking.spool import Spool
from tests.present import present
from tests.service.conftest import MlflowServer, describer


@pytest.fixture
def home(tmp_path: Path) -> Any:
    home = tmp_path / "home"
    upgrade(f"sqlite:///{home / 'gradus.db'}")
    (home / "mlflow" / "artifacts" / "1").mkdir(parents=True)
    (home / "mlflow" / "artifacts" / "1" / "model.h5").write_bytes(b"weights")
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as mlflow:
        mlflow.execute("CREATE TABLE runs (id INTEGER)")
    return home


def submit(store: Store, name: str = "saved") -> Any:
    spec = ExperimentSpec.parse(
        {
            "name": name,
            "dataset": {"name": "linear"},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
            "sweep": {"seeds": 2},
        }
    )
    return operations.submit(store, spec, spec.expand(), owner="")


def test_a_copy_taken_under_a_writer_is_one_moment_of_the_home(home: Path, tmp_path: Path) -> None:
    """Every experiment of the copy has both of its runs, and the writer went on meanwhile."""
    with closing(Store(f"sqlite:///{home / 'gradus.db'}")) as store:
        first = submit(store)
        spool = Spool.open(home / "spool")
        spool.put("a-run", 1, "weights/model.weights.h5", b"w" * 1000)
        with spool.alone() as held:
            assert held
            over, written = threading.Event(), []

            def write() -> None:
                while not over.is_set():
                    written.append(submit(store, "meanwhile").id)

            writer = threading.Thread(target=write)
            writer.start()
            while len(written) < 3:
                over.wait(0.01)
            backup(home, tmp_path / "copy")
            over.set()
            writer.join()
        after = len(written)
    with closing(Store(f"sqlite:///{tmp_path / 'copy' / 'gradus.db'}")) as copy:
        assert len(queries.all_runs(copy, first.id)) == 2
        kept = [id for id in written if _there(copy, id)]
        assert 3 <= len(kept) <= after
        assert all(len(queries.all_runs(copy, id)) == 2 for id in kept)
    copied = Spool.open(tmp_path / "copy" / "spool")
    assert copied.id == spool.id
    assert [path for _, path in copied.artifacts("a-run", 1)] == ["weights/model.weights.h5"]
    assert (tmp_path / "copy" / "mlflow" / "artifacts" / "1" / "model.h5").read_bytes() == b"weights"
    assert not (tmp_path / "copy" / "spool" / "lock").exists()


def test_the_checkpoint_that_the_copied_database_names_is_in_the_copy(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the next one took its place while the rest was copied."""
    with closing(Store(f"sqlite:///{home / 'gradus.db'}")) as store:
        (run, _) = queries.all_runs(store, submit(store).id)
        spool = Spool.open(home / "spool")
        operations.claim(store, [run.id], worker="w", spool=spool.id, lease_seconds=60)

        def checkpoint(epoch: Any) -> None:
            name = spool.put_checkpoint(run.id, 1, epoch, b"state")
            place = {"spool": spool.id, "name": name, "epoch": epoch, "width": 1}
            operations.record_checkpoints(store, {run.id: 1}, {run.id: place})
            spool.forget_checkpoints(run.id, before=name)

        def database(source: Any, copy: Any) -> None:
            copy_database(source, copy)
            if source.name == "gradus.db":
                checkpoint(6)

        copy_database = module._database
        monkeypatch.setattr(module, "_database", database)
        checkpoint(5)
        backup(home, tmp_path / "copy")
        assert present(queries.get_run(store, run.id).checkpoint)["epoch"] == 6
    with closing(Store(f"sqlite:///{tmp_path / 'copy' / 'gradus.db'}")) as copy:
        kept = queries.get_run(copy, run.id).checkpoint
    assert present(kept)["epoch"] == 5
    assert Spool.open(tmp_path / "copy" / "spool").checkpoint(run.id, present(kept)["name"]) == b"state"


def _there(store: Store, id: Any) -> Any:
    try:
        return bool(queries.get_experiment(store, id))
    except NotFound:
        return False


def test_a_copy_that_fails_leaves_nothing(home: Path, tmp_path: Path) -> None:
    (home / "mlflow" / "mlflow.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        backup(home, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


@pytest.mark.parametrize("where", ["home/inside", "taken"])
def test_it_never_writes_over_anything(
    home: Path, tmp_path: Path, where: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").mkdir()
    arguments = [str(tmp_path / where), "--home", str(home)]
    assert run_program("gradus backup", lambda: main(arguments)) == 2
    assert "name a new folder" in capsys.readouterr().err
    assert list((tmp_path / "taken").iterdir()) == []


def test_a_home_without_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match=r"has no gradus\.db"):
        backup(tmp_path, tmp_path / "copy")


def test_a_run_that_reached_mlflow_meanwhile_is_not_made_again(
    home: Path, tmp_path: Path, mlflow_server: MlflowServer
) -> None:
    """The database was copied first; by the time MLflow was, it had the run."""
    with closing(Store(f"sqlite:///{home / 'gradus.db'}")) as store:
        experiment = submit(store)
        backup(home, tmp_path / "copy")
        spool = Spool.open(home / "spool")
        tracking = Tracking(mlflow_server.url, timeout_s=5)
        assert Shipper(store, spool, tracking, describer(store), settle=0.0).turn()
        shipped = {run.id: run.mlflow_run_id for run in queries.all_runs(store, experiment.id)}
        assert all(shipped.values())
    with closing(Store(f"sqlite:///{tmp_path / 'copy' / 'gradus.db'}")) as copy:
        Shipper(copy, Spool.open(tmp_path / "copy" / "spool"), tracking, describer(copy), settle=0.0).turn()
        assert {run.id: run.mlflow_run_id for run in queries.all_runs(copy, experiment.id)} == shipped
