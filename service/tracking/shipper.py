"""Carries what the database and the spool hold to MLflow, and gives a run its final status once all is there.

A shipper serves one spool. It takes runs on lease (`operations.claim_shipping`), so that no two shippers create the same
MLflow run. Everything it does to MLflow may be repeated, and is repeated by the next turn after a crash or a lost answer.
Metrics keep the time at which they were stored, so a repetition adds no point.

    outcome committed  ->  rest of the metrics, files, MLflow run ended  ->  `finish`: the status is final
    ended otherwise    ->  MLflow run ended with that status
    running, waiting   ->  metrics so far, status
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from service import operations, tracing
from service.entities import Experiment, Run, Shipped
from service.lifecycle import TERMINAL, RunStatus
from service.store import Store, queries
from service.tracking.backoff import FIRST_PAUSE, MOST_TRIES, Refusals
from service.tracking.experiment_shipping import purge_experiment, ship_experiment
from service.tracking.records import (
    REPORT,
    DatasetCard,
    Describe,
    MetricValue,
    RunRef,
    TrackingRefused,
    milliseconds,
    run_card,
    run_tags,
)
from service.tracking.spool import Spool

if TYPE_CHECKING:
    from service.tracking.client import Tracking

log = structlog.get_logger(__name__)
LEASE_SECONDS = 30.0
RUNS_PER_TURN = 40
NOTE_SECONDS = 1.0  # longest time, plus one run's, until a result that is in MLflow shows here
POINTS_AT_ONCE = 10_000  # of one run in memory; a long run that MLflow missed has a hundred times as many
UPLOADS = 4  # files at once, of all runs
CARRIED_AT_ONCE = 4  # runs; more only wait for the same two or three processes of MLflow's server
SETTLE_SECONDS = 1.5  # a run that ends sooner is carried once, with its end
MANY, LONGEST_SETTLE = 15, 5.0  # of more runs than this at once, each is carried less often
WAITING_PER_TURN = 10  # runs that only wait, carried in one turn, less what else there was


class Shipper:
    """The shipper of one spool, for as long as its process holds the spool's lock. Final; used by one thread.

    It carries several runs at once, each in a thread of its own: a run is written by one thread only.

    Args:
        describe: gives what MLflow is to show of an experiment.
        settle: seconds that a changed run waits for more changes, unless it is over.
        pause: seconds before a run that MLflow refused is tried again; doubled each time.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        tracking: Tracking,
        describe: Describe,
        *,
        settle: float = SETTLE_SECONDS,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self._store = store
        self._spool = spool
        self._tracking = tracking
        self._describe = describe
        self._settle = settle
        self._refusals = Refusals(pause)
        # Never a name that was there before: a container that starts again has its host name and its process number.
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")
        self._carriers = ThreadPoolExecutor(CARRIED_AT_ONCE, thread_name_prefix="carry")
        self._making = threading.Lock()
        self._datasets: set[tuple[str, str, str]] = set()
        self._refs: dict[str, RunRef] = {}
        self._unsure: set[str] = set()  # runs that may have an MLflow run which the row does not name
        self._created: dict[str, RunRef] = {}  # MLflow runs created and not yet noted in the row
        self._orphans: dict[str, RunRef] = {}  # those that another shipper's note overtook
        self._changed_at: dict[str, float] = {}

    def close(self) -> None:
        """End the threads."""
        self._carriers.shutdown(cancel_futures=True)
        self._pool.shutdown(cancel_futures=True)

    def turn(self) -> int:
        """Carry what is due; the number of runs that were brought up to date.

        Raises:
            TrackingUnavailable: MLflow is away; what was carried before is noted.
            StoreUnavailable: so is the database.
        """
        held = self._refusals.held()
        for experiment in queries.experiments_to_ship(self._store):
            if experiment.id not in held:
                self._ship_experiment(experiment)
        self._delete_orphan_runs()
        began = time.monotonic()
        taken = operations.claim_shipping(
            self._store,
            shipper=self._name,
            spool=self._spool.id,
            lease_seconds=LEASE_SECONDS,
            limit=RUNS_PER_TURN,
            skip=held,
        )
        # Of all runs taken, also those left for a later turn, which this shipper then has taken before.
        self._unsure |= {run.id for run, before in taken if before not in (None, self._name)}
        due: list[Run] = []
        for run, _ in taken:
            enough_waiting = _is_new(run) and len(due) >= WAITING_PER_TURN
            if not enough_waiting and not self._may_wait(run, len(taken)):
                due.append(run)
        carried: set[str] = set()
        try:
            self._carry_all(due, carried, until=began + LEASE_SECONDS / 2)
        finally:
            left = {run.id: before for run, before in taken if run.id not in carried}
            operations.give_back_shipping(self._store, self._name, left)
        for experiment in queries.experiments_to_purge(self._store):
            purge_experiment(self._store, self._tracking, experiment)
        return len(carried)

    def _carry_all(self, due: Sequence[Run], carried: set[str], *, until: float) -> None:
        """Carry runs, several at once, and note them in their rows while others are still carried.

        Args:
            carried: gets the ids of those that were tried.
            until: monotonic time from which no other is begun: other shippers may take what is left.

        Raises:
            TrackingUnavailable: MLflow is away; what was carried before is noted.
            StoreUnavailable: so is the database.
        """
        rest = iter(due)
        going: dict[Future[Shipped], str] = {}
        shipped: dict[str, Shipped] = {}
        failure: BaseException | None = None
        noted = time.monotonic()
        try:
            while True:
                while failure is None and len(going) < CARRIED_AT_ONCE and time.monotonic() < until:
                    run = next(rest, None)
                    if run is None:
                        break
                    carried.add(run.id)
                    going[self._carriers.submit(self._ship, run)] = run.id
                if not going:
                    break
                for future in wait(going, return_when=FIRST_COMPLETED).done:
                    run_id = going.pop(future)
                    error = future.exception()
                    if error is None:
                        shipped[run_id] = future.result()
                    failure = failure or error
                if time.monotonic() - noted > NOTE_SECONDS:
                    self._note(shipped)
                    shipped, noted = {}, time.monotonic()
        finally:
            wait(going)
            self._note(shipped)
        if failure is not None:
            raise failure

    def _note(self, carried: Mapping[str, Shipped]) -> None:
        """Note in the rows what MLflow knows. A run that is over there is over here now."""
        ended = {id: shipped for id, shipped in carried.items() if shipped.mlflow_status in TERMINAL}
        running = {id: carried[id] for id in carried.keys() - ended.keys()}
        overtaken = operations.note_shipped(self._store, running, shipper=self._name)
        overtaken |= operations.finish(self._store, ended, shipper=self._name)
        for run_id in overtaken:  # this process stood still for longer than its lease
            log.warning("another shipper has the run", run=run_id, attempt=carried[run_id].attempt)
            self._refs.pop(run_id, None)
            if run_id in self._created:
                self._orphans[run_id] = self._created[run_id]
        for run_id in carried:
            self._created.pop(run_id, None)
        for run_id in ended.keys() - overtaken:
            # MLflow has the files. The checkpoint stays for a while (`sweep_spool`): the run may go on, or be retried.
            self._spool.forget(run_id, ended[run_id].attempt, checkpoints=False)
            self._refs.pop(run_id, None)
            self._changed_at.pop(run_id, None)

    def _delete_orphan_runs(self) -> None:
        """Delete the MLflow runs that this shipper created while another created the one that the row names."""
        if not self._orphans:
            return
        rows = queries.get_runs(self._store, list(self._orphans))
        for run_id, ref in list(self._orphans.items()):
            run = rows.get(run_id)
            if run is not None and run.mlflow_run_id is None:
                continue  # the other shipper may have found this one, and be about to note it
            if run is not None and run.mlflow_run_id != ref.id:
                self._tracking.delete_run(ref.id)
            del self._orphans[run_id]

    def _ship_experiment(self, experiment: Experiment) -> None:
        """Ship an experiment's page. Where MLflow refuses it again and again, its runs are carried without it."""
        try:
            ship_experiment(self._store, self._tracking, self._describe, experiment, self._pool)
            self._refusals.clear(experiment.id)
        except TrackingRefused as error:
            tries = self._refusals.add(experiment.id)
            log.error(
                "MLflow refuses the experiment", experiment=experiment.id, error=str(error), tries=tries
            )
            if tries >= MOST_TRIES:  # a person deleted it in MLflow, say
                operations.shipped_experiment(self._store, experiment.id, change=experiment.change)

    def _may_wait(self, run: Run, waiting: int) -> bool:
        """Whether the run changed just now and is not over: soon there may be more to carry at once."""
        if run.is_terminal or run.committed_at is not None:
            return False
        changed = self._changed_at.setdefault(run.id, time.monotonic())
        return time.monotonic() - changed < min(self._settle * max(1.0, waiting / MANY), LONGEST_SETTLE)

    def _ship(self, run: Run) -> Shipped:
        """Bring one run up to date in MLflow; what MLflow knows of it then. A refusal is logged and counted."""
        self._changed_at.pop(run.id, None)
        status = str(run.outcome["status"]) if run.outcome and not run.is_terminal else run.status.value
        try:
            shipped = self._carry(run, status)
            self._refusals.clear(run.id)
            return shipped
        except TrackingRefused as error:
            tries = self._refusals.add(run.id)
            known = {"run": run.id, "attempt": run.attempt, "worker": run.worker}
            log.error("MLflow refuses the run", **known, code=error.code, error=str(error), tries=tries)
            # A proxy that refuses a file may let it through one day.
            if tries < MOST_TRIES or error.code.startswith("HTTP"):
                return Shipped(change=-1, attempt=run.attempt)  # stays to be shipped
            # A person deleted it in MLflow, say. The database is the truth: the run ends here as it ended.
            operations.refused_by_mlflow(self._store, run.id, str(error))
            return Shipped(change=run.change, mlflow_status=status, attempt=run.attempt)

    def _carry(self, run: Run, status: str) -> Shipped:
        ref = self._ref(run)
        unsure = run.id in self._unsure
        first = run.mlflow_status in (None, RunStatus.SCHEDULED.value) and status != RunStatus.SCHEDULED
        metric_id = self._log(run, ref, first=first, over=status in TERMINAL)
        if run.outcome is not None and not run.is_terminal:
            self._deliver_files(run, ref)
        if unsure or status != (run.mlflow_status or "RUNNING"):
            end = run.ended_at or run.committed_at
            self._tracking.set_status(ref.id, status, milliseconds(end) if end else None)
        self._unsure.discard(run.id)
        if status in TERMINAL:
            tracing.shipped(run, ref.id)
        return Shipped(run.change, ref.id, status, metric_id, run.attempt)

    def _ref(self, run: Run) -> RunRef:
        """The run's MLflow run: known, or created by a call whose answer was lost, or created now."""
        if run.id in self._refs:
            return self._refs[run.id]
        if run.mlflow_run_id is not None:
            ref = self._tracking.get_run(run.mlflow_run_id)
        else:
            mlflow_experiment_id = run.mlflow_experiment_id or self._make_experiment(run.experiment_id)
            lost = self._tracking.find_run(mlflow_experiment_id, run.id) if run.id in self._unsure else None
            ref = lost or self._create(run, mlflow_experiment_id)
        self._refs[run.id] = ref
        return ref

    def _make_experiment(self, experiment_id: str) -> str:
        """The MLflow experiment of one that had none when its runs were taken; made by the first that asks."""
        with self._making:
            experiment = queries.get_experiment(self._store, experiment_id)
            return experiment.mlflow_experiment_id or ship_experiment(
                self._store, self._tracking, self._describe, experiment, self._pool
            )

    def _create(self, run: Run, mlflow_experiment_id: str) -> RunRef:
        # Until the answer is here and noted in the row, MLflow may have a run that the row does not name.
        self._unsure.add(run.id)
        ref = self._tracking.create_run(mlflow_experiment_id, run_card(run))
        self._unsure.discard(run.id)
        self._created[run.id] = ref
        return ref

    def _log(self, run: Run, ref: RunRef, *, first: bool, over: bool) -> int | None:
        """Log metrics stored since the last time; parameters with the first call, tags with the first and last.

        Returns:
            The id of the last stored metric that MLflow has now; None: there was none to log.
        """
        # MLflow keeps a parameter as it was first: of a run that goes on, it has them.
        new = first and not run.shipped_metric_id
        params = {name: str(value) for name, value in run.params.items()} if new else {}
        tags = run_tags(run) if over or first else {}
        last = None
        while True:
            stored = queries.metrics_after(self._store, run.id, last or run.shipped_metric_id, POINTS_AT_ONCE)
            values = [MetricValue(m.key, m.step, m.value, milliseconds(m.at)) for m in stored]
            whole = len(stored) < POINTS_AT_ONCE
            self._tracking.log(ref.id, [*values, *(_of_best_epoch(run) if whole else ())], params, tags)
            last = stored[-1].id if stored else last
            if whole:
                return last
            params, tags = {}, {}

    def _deliver_files(self, run: Run, ref: RunRef) -> None:
        """Upload the files of the attempt whose outcome counts, and log the data set that it saw."""
        outcome = run.outcome or {}
        if data := outcome.get("dataset"):
            source = json.dumps(data.get("spec", {}), sort_keys=True)
            self._log_dataset(run, ref, DatasetCard(data["name"], data["digest"], source))
        attempt = int(outcome.get("attempt", run.attempt))
        self._tracking.upload(ref, self._spool.artifacts(run.id, attempt), self._pool)
        if source := outcome.get("reused", {}).get("mlflow_run_id"):
            self._copy_files(run, ref, source)

    def _copy_files(self, run: Run, ref: RunRef, source: str) -> None:
        """Give a run that was taken over the files of the one that was trained; without them where MLflow lost that run."""
        try:
            with tempfile.TemporaryDirectory(prefix="gradus-files-") as folder:
                files = self._tracking.download_all(self._tracking.get_run(source), Path(folder))
                own = [(path, name) for path, name in files if name != REPORT]
                self._tracking.upload(ref, own, self._pool)
        except TrackingRefused as error:
            log.warning("a run that was taken over has no files", run=run.id, source=source, error=str(error))

    def _log_dataset(self, run: Run, ref: RunRef, card: DatasetCard) -> None:
        """Log what a run saw. MLflow looks whether it has the data set and then inserts it, so that two at once would
        both insert it: the first of an experiment goes alone."""
        known = (run.experiment_id, card.name, card.digest)
        with contextlib.nullcontext() if known in self._datasets else self._making:
            self._tracking.log_dataset(ref.id, card)
            self._datasets.add(known)


def _of_best_epoch(run: Run) -> list[MetricValue]:
    """The metrics of the epoch whose weights were restored, as the last point of the last epoch: the value that MLflow
    shows as the run's own."""
    outcome = run.outcome or {}
    if (best := outcome.get("best")) is None or run.committed_at is None:
        return []
    at = milliseconds(run.committed_at)
    return [MetricValue(name, int(outcome["epochs"]), value, at) for name, value in best["metrics"].items()]


def _is_new(run: Run) -> bool:
    """Whether the run waits and MLflow has nothing of it: it comes last, after everything else."""
    return run.status == RunStatus.SCHEDULED and run.mlflow_run_id is None
