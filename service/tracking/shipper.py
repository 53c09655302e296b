"""Carries what the database and the spool hold to MLflow, and gives a run its final status once all is there.

A shipper serves one spool. It takes runs on lease (`operations.claim_shipping`), so that no two shippers
create the same MLflow run, and everything it does to MLflow may be done again: after a crash or a lost answer
the next turn repeats it. Metrics keep the time at which they were stored, so a repetition adds no point.

    outcome committed  ->  rest of the metrics, files, MLflow run ended  ->  `finish`: the status is final
    ended otherwise    ->  MLflow run ended with that status
    running, waiting   ->  metrics so far, status
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from service import operations
from service.entities import Experiment, Run, Shipped
from service.errors import Conflict, ServiceError
from service.lifecycle import RunStatus
from service.settings import Settings
from service.store import Store, queries
from service.tracking.records import (
    BEST,
    BEST_RUN,
    REPORT,
    DatasetCard,
    Describe,
    ExperimentCard,
    MetricValue,
    RunCard,
    RunRef,
    TrackingError,
    TrackingRefused,
    TrackingUnavailable,
)
from service.tracking.spool import Spool

if TYPE_CHECKING:
    from service.tracking.client import Tracking

log = structlog.get_logger(__name__)
TURN_SECONDS = 0.5
LEASE_SECONDS = 30.0
RUNS_PER_TURN = 40
NOTE_SECONDS = 1.0  # at most so long, and a run, until a result that is in MLflow shows here
POINTS_AT_ONCE = 10_000  # of one run in memory; a long run that MLflow missed has a hundred times as many
UPLOADS = 4  # at once; MLflow's artifact API takes them in parallel, its database does not
SETTLE_SECONDS = 1.5  # what is over sooner is carried once, with its end
MANY, LONGEST_SETTLE = 15, 5.0  # more than so many at once are carried less often each
LONGEST_PAUSE = 4.0  # between tries while MLflow is away: statuses agree again well within 10 s
EXPIRE_SECONDS = 6 * 3600.0  # between looks for artifacts that are old enough to go
SWEEP_SECONDS = 300.0  # between looks for files that nobody needs any more
UNSEEN = 10  # runs that only wait, carried in one turn, less what else there was
TRIES = 8  # after so many, three minutes in all, a run that MLflow does not want is let go
PATIENCE_SECONDS, LONGEST_PATIENCE = (
    1.0,
    60.0,
)  # before a run that MLflow refused is tried again; twice as long each time
MANY_REFUSED = 1000  # of so many it is not the runs' fault


class Shipper:
    """The shipper of one spool, for as long as its process holds the spool's lock. Final; one thread."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        tracking: Tracking,
        describe: Describe,
        *,
        settle: float = SETTLE_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._spool = spool
        self._tracking = tracking
        self._describe_experiment = describe
        self._settle = settle
        self._patience = patience
        # Never a name that was there before: a container that starts again has its host name and its process number.
        self._name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._pool = ThreadPoolExecutor(UPLOADS, thread_name_prefix="upload")
        self._refs: dict[str, RunRef] = {}
        self._unsure: set[str] = set()  # runs that may have an MLflow run which the row does not name
        self._made: dict[str, RunRef] = {}  # MLflow runs made and not yet noted in the row
        self._strays: dict[
            str, RunRef
        ] = {}  # those that could not be noted: somebody else had the run by then
        self._seen: dict[str, float] = {}
        self._refused: dict[str, int] = {}  # runs and experiments: how often
        self._held: dict[str, float] = {}  # and until when they are left alone

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    def turn(self) -> int:
        """Carry what is due; the number of runs that were brought up to date.

        Raises:
            TrackingUnavailable: MLflow is away; what was carried before is noted.
            StoreUnavailable: so is the database.
        """
        began = time.monotonic()
        self._held = {id: until for id, until in self._held.items() if until > began}
        if len(self._held) > MANY_REFUSED:
            raise TrackingUnavailable(f"MLflow refuses all of {len(self._held)} runs")
        for experiment in queries.experiments_to_ship(self._store):
            if experiment.id not in self._held:
                self._described(experiment)
        self._part_with_strays()
        began = time.monotonic()
        taken = operations.claim_shipping(
            self._store,
            shipper=self._name,
            spool=self._spool.id,
            lease_seconds=LEASE_SECONDS,
            limit=RUNS_PER_TURN,
            skip=self._held,
        )
        carried: dict[str, Shipped] = {}
        left: dict[str, str | None] = {}
        number, noted = 0, time.monotonic()
        try:
            # Noted of all, also of those that wait for a later turn: then they were taken before by this shipper.
            self._unsure |= {run.id for run, before in taken if before not in (None, self._name)}
            for run, before in taken:
                late = time.monotonic() - began > LEASE_SECONDS / 2  # others may take what is left
                if late or self._may_wait(run, len(taken)) or (_unseen(run) and number >= UNSEEN):
                    left[run.id] = before
                    continue
                carried[run.id] = self._carried(run)
                number += 1
                if time.monotonic() - noted > NOTE_SECONDS:
                    self._note(carried)
                    carried, noted = {}, time.monotonic()
        finally:
            self._note(carried)
            operations.give_back_shipping(self._store, self._name, left)
        for experiment in queries.experiments_to_purge(self._store):
            self._purge(experiment)
        return number

    def _note(self, carried: Mapping[str, Shipped]) -> None:
        """Note in the rows what MLflow knows; a run that is over there is over here now."""
        ended = {id: what for id, what in carried.items() if what.mlflow_status in _OVER}
        open_ = {id: carried[id] for id in carried.keys() - ended.keys()}
        lost = operations.note_shipped(self._store, open_, shipper=self._name)
        lost |= operations.finish(self._store, ended, shipper=self._name)
        for run_id in lost:  # this process stood still for longer than its lease
            log.warning("another shipper has the run", run=run_id, attempt=carried[run_id].attempt)
            self._refs.pop(run_id, None)
            if run_id in self._made:
                self._strays[run_id] = self._made[run_id]
        for run_id in carried:
            self._made.pop(run_id, None)
        for run_id in ended.keys() - lost:
            # MLflow has the files. A run that did not finish may be retried from its checkpoint.
            over = ended[run_id].mlflow_status == RunStatus.FINISHED
            self._spool.forget(run_id, ended[run_id].attempt, checkpoints=over)
            self._refs.pop(run_id, None)
            self._seen.pop(run_id, None)

    def _part_with_strays(self) -> None:
        """Delete the MLflow runs that this shipper made while somebody else made the one that the row names."""
        if not self._strays:
            return
        named = queries.get_runs(self._store, list(self._strays))
        for run_id, ref in list(self._strays.items()):
            run = named.get(run_id)
            if run is not None and run.mlflow_run_id is None:
                continue  # that somebody may have found this one, and is about to say so
            if run is not None and run.mlflow_run_id != ref.id:
                self._tracking.delete_run(ref.id)
            del self._strays[run_id]

    def expire(self, days: float) -> None:
        """Remove the artifacts of experiments that were over so many days ago. Raises TrackingUnavailable."""
        for experiment, ended in queries.experiments_ended_before(self._store, days * 86400.0):
            # Runs that are added later end later, and their artifacts go in their turn.
            note = (
                f"removed {days:g} days after the last run, which ended at {ended:%Y-%m-%d %H:%M:%S.%f} UTC"
            )
            try:
                runs = self._tracking.expire_artifacts(str(experiment.mlflow_experiment_id), note)
            except TrackingRefused as error:  # removed in MLflow by a person, say
                log.warning("artifacts cannot expire", experiment=experiment.id, error=str(error))
                continue
            if runs:
                log.info("artifacts expired", experiment=experiment.id, runs=runs)

    def sweep(self) -> None:
        """Remove what lies in the spool of runs that are gone or have nothing more to carry."""
        lying = self._spool.run_ids()
        open_ = {run.id for run in queries.to_ship(self._store, self._spool.id, limit=100_000)}
        known = queries.get_runs(self._store, lying)
        for run_id in lying:
            run = known.get(run_id)
            if run is None:
                self._spool.forget(run_id)
            elif run.is_terminal and run_id not in open_:
                over = run.status == RunStatus.FINISHED
                self._spool.forget(run_id, run.attempt, checkpoints=over)

    # -- experiments ---------------------------------------------------------------------------------

    def _described(self, experiment: Experiment) -> None:
        """`_describe`; where MLflow refuses it time and again, the runs are carried without it."""
        try:
            self._describe(experiment)
            self._refused.pop(experiment.id, None)
        except TrackingRefused as error:
            tries = self._hold(experiment.id)
            log.error(
                "MLflow refuses the experiment", experiment=experiment.id, error=str(error), tries=tries
            )
            if tries >= TRIES:  # deleted in MLflow by a person, say
                operations.shipped_experiment(self._store, experiment.id, change=experiment.change)

    def _describe(self, experiment: Experiment) -> str:
        summary = self._describe_experiment(experiment)
        best = summary.best.mlflow_run_id if summary.best is not None else None
        card = ExperimentCard(
            experiment.id,
            f"{experiment.name} #{experiment.id[:6]}",
            experiment.name,
            summary.description,
            {**experiment.tags, **summary.views, **({BEST_RUN: best} if best else {})},
        )
        mlflow_id = experiment.mlflow_experiment_id
        if mlflow_id is None:
            mlflow_id = self._tracking.ensure_experiment(card)
        else:
            self._tracking.describe_experiment(mlflow_id, card)
        if best:
            self._crown(mlflow_id, best, summary.report)
        operations.shipped_experiment(
            self._store, experiment.id, change=experiment.change, mlflow_experiment_id=mlflow_id
        )
        return mlflow_id

    def _crown(self, mlflow_id: str, best: str, report: str) -> None:
        """The best run, and it alone, bears the tag and the report. Told again, or cut off in between and told
        again, it comes to the same.
        """
        for other in self._tracking.tagged(mlflow_id, BEST, "yes"):
            if other.id != best:
                self._tracking.remove(other, REPORT)
                self._tracking.untag(other.id, BEST)
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder, REPORT)
            page.write_text(report, "utf-8")
            self._tracking.upload(self._tracking.get_run(best), [(page, REPORT)], self._pool)
        self._tracking.log(best, tags={BEST: "yes"})

    def _purge(self, experiment: Experiment) -> None:
        if experiment.mlflow_experiment_id is not None:
            self._tracking.delete_experiment(experiment.mlflow_experiment_id)
        try:
            operations.purge_experiment(self._store, experiment.id)
        except Conflict as error:  # a run was added or is still open: next turn
            log.info("not purged yet", experiment=experiment.id, error=str(error))

    # -- runs ----------------------------------------------------------------------------------------

    def _may_wait(self, run: Run, waiting: int) -> bool:
        """Whether the run changed just now and is not over: soon there may be more to carry at once."""
        if run.is_terminal or run.committed_at is not None:
            return False
        seen = self._seen.setdefault(run.id, time.monotonic())
        return time.monotonic() - seen < min(self._settle * max(1.0, waiting / MANY), LONGEST_SETTLE)

    def _carried(self, run: Run) -> Shipped:
        """Bring one run up to date in MLflow; what MLflow then knows of it."""
        self._seen.pop(run.id, None)
        status = str(run.outcome["status"]) if run.outcome and not run.is_terminal else run.status.value
        try:
            what = self._carry(run, status)
            self._refused.pop(run.id, None)
            return what
        except TrackingRefused as error:
            tries = self._hold(run.id)
            known = {"run": run.id, "attempt": run.attempt, "worker": run.worker}
            log.error("MLflow refuses the run", **known, code=error.code, error=str(error), tries=tries)
            if tries < TRIES or error.code.startswith(
                "HTTP"
            ):  # a file, which a proxy may let through one day
                return Shipped(change=-1, attempt=run.attempt)  # stays to be shipped
            # Deleted in MLflow by a person, say. The database is the truth; the run ends here as it ended.
            operations.refused_by_mlflow(self._store, run.id, str(error))
            return Shipped(change=run.change, mlflow_status=status, attempt=run.attempt)

    def _hold(self, id: str) -> int:
        """Leave a run or an experiment that MLflow refused alone for a while; how often it refused."""
        self._refused[id] = tries = self._refused.get(id, 0) + 1
        self._held[id] = time.monotonic() + min(self._patience * 2**tries, LONGEST_PATIENCE)
        return tries

    def _carry(self, run: Run, status: str) -> Shipped:
        if run.mlflow_run_id is None and run.mlflow_experiment_id is None:
            mlflow_experiment_id = self._describe(queries.get_experiment(self._store, run.experiment_id))
        else:
            mlflow_experiment_id = str(run.mlflow_experiment_id)
        ref = self._ref(run, mlflow_experiment_id)
        unsure = run.id in self._unsure
        over = status in _OVER
        first = run.mlflow_status in (None, RunStatus.SCHEDULED.value) and status != RunStatus.SCHEDULED
        metric_id = self._log(run, ref, first=first, over=over)
        if run.outcome is not None and not run.is_terminal:
            self._deliver(run, ref)
        if unsure or status != (run.mlflow_status or "RUNNING"):
            end = run.ended_at or run.committed_at
            self._tracking.set_status(ref.id, status, _ms(end.timestamp()) if end else None)
        self._unsure.discard(run.id)
        return Shipped(run.change, ref.id, status, metric_id, run.attempt)

    def _ref(self, run: Run, mlflow_experiment_id: str) -> RunRef:
        """The run's MLflow run: known, or made by a call whose answer was lost, or made now."""
        if run.id in self._refs:
            return self._refs[run.id]
        if run.mlflow_run_id is not None:
            ref = self._tracking.get_run(run.mlflow_run_id)
        else:
            made = self._tracking.find_run(mlflow_experiment_id, run.id) if run.id in self._unsure else None
            ref = made or self._create(run, mlflow_experiment_id)
        self._refs[run.id] = ref
        return ref

    def _create(self, run: Run, mlflow_experiment_id: str) -> RunRef:
        started = run.started_at or run.created_at
        # Until the answer is here and noted in the row, MLflow may have a run that nobody knows of.
        self._unsure.add(run.id)
        ref = self._tracking.create_run(
            mlflow_experiment_id, RunCard(run.id, run_name(run), _ms(started.timestamp()), tags(run))
        )
        self._unsure.discard(run.id)
        self._made[run.id] = ref
        return ref

    def _log(self, run: Run, ref: RunRef, *, first: bool, over: bool) -> int | None:
        """Metrics stored since the last time; with the first call parameters, with first and last tags."""
        params = {name: str(value) for name, value in run.params.items()} if first else {}
        labels = tags(run) if over or first else {}
        last = None
        while True:
            stored = queries.metrics_after(self._store, run.id, last or run.shipped_metric_id, POINTS_AT_ONCE)
            values = [MetricValue(m.key, m.step, m.value, _ms(m.at.timestamp())) for m in stored]
            self._tracking.log(ref.id, values, params, labels)
            last = stored[-1].id if stored else last
            if len(stored) < POINTS_AT_ONCE:
                return last
            params, labels = {}, {}

    def _deliver(self, run: Run, ref: RunRef) -> None:
        """The files of the attempt whose outcome counts, and the data that it saw."""
        outcome = run.outcome or {}
        if data := outcome.get("dataset"):
            source = json.dumps(data.get("spec", {}), sort_keys=True)
            self._tracking.log_dataset(ref.id, DatasetCard(data["name"], data["digest"], source))
        attempt = int(outcome.get("attempt", run.attempt))
        self._tracking.upload(ref, self._spool.artifacts(run.id, attempt), self._pool)


def _unseen(run: Run) -> bool:
    """Whether MLflow has nothing of a run that waits: it comes last, when nothing else is to be carried."""
    return run.status == RunStatus.SCHEDULED and run.mlflow_run_id is None


_OVER = frozenset({RunStatus.FINISHED.value, RunStatus.FAILED.value, RunStatus.KILLED.value})


def run_name(run: Run) -> str:
    """A name to tell runs apart in MLflow's charts: the levels that it has."""
    named = [f"seed {label}" if factor == "seed" else label for factor, label in run.levels.items()]
    return ", ".join(named) or f"seed {run.params.get('seed', run.index)}"


def tags(run: Run) -> dict[str, str]:
    """The run's tags in MLflow, as they are now."""
    own = {
        "gradus.run_id": run.id,
        "gradus.experiment_id": run.experiment_id,
        "gradus.fingerprint": run.fingerprint,
        "gradus.stage": run.stage,
        "gradus.attempt": str(run.attempt),
        "gradus.reason": run.reason,
    }
    return {**run.tags, **{name: value for name, value in own.items() if value}}


def _ms(seconds: float) -> int:
    """Unix time in ms, as MLflow counts."""
    return round(seconds * 1000)


def connect(settings: Settings) -> Tracking:
    """MLflow's client. Imported here: it takes 170 MB, which a process that never ships does not pay."""
    from service.tracking.client import Tracking

    return Tracking(settings.mlflow_url)


def run_shipper(
    settings: Settings, store: Store, spool: Spool, describe: Describe, ended: threading.Event
) -> None:
    """Ship until `ended`, whenever no other process on this host does. Never raises what passes by itself."""
    while not ended.wait(TURN_SECONDS):
        with spool.alone() as mine:
            if not mine:
                ended.wait(2.0)
                continue
            shipper = Shipper(store, spool, connect(settings), describe)
            try:
                _ship(shipper, ended, settings.artifact_retention_days)
            finally:
                shipper.close()


def _ship(shipper: Shipper, ended: threading.Event, retention_days: float | None) -> None:
    pause = TURN_SECONDS
    expire_at = sweep_at = time.monotonic()
    while not ended.is_set():
        try:
            carried = shipper.turn()
            if time.monotonic() >= sweep_at:
                sweep_at = time.monotonic() + SWEEP_SECONDS
                shipper.sweep()
            if retention_days is not None and time.monotonic() >= expire_at:
                expire_at = time.monotonic() + EXPIRE_SECONDS
                shipper.expire(retention_days)
        except (TrackingError, ServiceError) as error:
            log.warning("shipping waits", error=str(error)[:300], seconds=pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        except Exception:  # whatever it is, the next runs must not wait for a restart of this process
            log.exception("shipping failed", seconds=LONGEST_PAUSE)
            pause = LONGEST_PAUSE
        else:
            pause = 0.0 if carried else TURN_SECONDS
        ended.wait(pause)
        pause = max(pause, TURN_SECONDS)
