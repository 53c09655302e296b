"""What workers' tests share: a store, a spool, and tiles trained in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.spec import ExperimentSpec
from service import operations
from service.settings import load_settings
from service.store import Store, queries
from service.tracking.spool import Spool
from tests.databases import make_tables
from workers.process.child import WorkerContext
from workers.process.watchdog import Watchdog
from workers.training.execute import ClaimedTile
from workers.training.lease_keeper import LeaseKeeper

LINEAR = {
    "name": "lines",
    "dataset": {"name": "linear"},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "optimizer": {"name": "sgd", "learning_rate": 0.05},
    "training": {"epochs": 4, "batch_size": 8},
    "gradient_check": "off",
    "diagnostics": "off",
    "artifacts": {"plots": "none", "model": "none"},
}


class Bench:
    """The context of one worker, and tiles for it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = load_settings(
            home=folder, worker_name="w", lease_seconds=5, poll_seconds=0.1, **settings
        )
        make_tables(self.settings.sql_url)
        self.store = Store(self.settings.sql_url)
        self.spool = Spool.open(self.settings.spool)
        self.watchdog = Watchdog(memory_limit=2**40)

    def submit(self, **changes: Any) -> Any:
        spec = ExperimentSpec.parse({**LINEAR, **changes})
        self.experiment = operations.submit(self.store, spec, spec.expand(), owner="")
        return queries.all_runs(self.store, self.experiment.id)

    def context(self, spool: Spool | None = None) -> WorkerContext:
        return WorkerContext(self.settings, self.store, spool or self.spool, self.watchdog, "cpu")

    def train(self, runs: Any, width: Any = None, spool: Any = None, before: Any = None) -> Any:
        claimed = operations.claim(
            self.store, [run.id for run in runs], worker="w", spool=self.spool.id, lease_seconds=5
        )
        context = self.context(spool)
        claims = {run.id: run.attempt for run in claimed}
        if before:
            before(claimed)
        with LeaseKeeper(self.store, claims, lease=5, poll=0.1) as keeper:
            if before:
                keeper.turn()
            ClaimedTile(context, claimed, width or 1, keeper).run()
        return [queries.get_run(self.store, run.id) for run in runs]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.store.close()
