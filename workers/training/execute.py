"""One tile, from claim to commit. Loads TensorFlow: imported in a worker's child only.

Read it from `execute` down. What goes wrong with a lane is in `failures`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

import structlog

from experiments.engine import backend
from experiments.engine.checkpoints import CheckpointError
from experiments.engine.training import Outcome, StopAsked, train
from experiments.gradient_check.certificates import GradientReport, certificate_key
from experiments.gradient_check.check import check
from experiments.recording import WEIGHTS
from experiments.runs import RunSpec
from service import operations, planner, tracing
from service.entities import BestEpoch, Committed, Run
from service.errors import StoreUnavailable
from service.routes import routes
from service.store import queries
from workers.process import drain
from workers.process.child import WorkerContext, worker_context
from workers.requests import draw
from workers.training import facts, failures
from workers.training.lease_keeper import LeaseKeeper
from workers.training.recording import TileRecorder
from workers.training.sources import digest, source

log = structlog.get_logger(__name__)
T = TypeVar("T")


def execute(run_ids: Sequence[str], width: int) -> None:
    """Train the runs of one message that are still to be trained, as one program of `width` lanes; or, where something
    more urgent waits, a tile of that."""
    context, settings = worker_context(), worker_context().settings
    if drain.asked():
        return
    backend.use_threads(settings.threads)
    run_ids, width = planner.more_urgent(
        context.store, run_ids, width, routes(context.device, settings.backend)
    )
    runs = operations.claim(
        context.store,
        run_ids,
        worker=settings.worker,
        spool=context.spool.id,
        lease_seconds=settings.lease_seconds,
        max_lease_expirations=settings.max_losses,
    )
    if not runs:
        log.info("nothing to claim", run=list(run_ids))
        return
    claims = {run.id: run.attempt for run in runs}
    lease, poll = settings.lease_seconds, settings.poll_seconds
    with (
        structlog.contextvars.bound_contextvars(run=list(claims), attempt=list(claims.values()), width=width),
        LeaseKeeper(context.store, claims, lease=lease, poll=poll) as keeper,
    ):
        log.info("tile claimed")
        ClaimedTile(context, runs, width, keeper).run()


class ClaimedTile:
    """The claimed runs of one message, lane by lane, and what they are trained with. Final."""

    def __init__(self, context: WorkerContext, runs: Sequence[Run], width: int, keeper: LeaseKeeper) -> None:
        self.context, self.runs, self.width, self.keeper = context, runs, width, keeper
        self.specs = [run.run_spec() for run in runs]
        self.source = source(context.settings)
        self.claimed_at = time.monotonic()
        self.recorder = TileRecorder(runs, keeper, context.spool, width)

    def run(self) -> None:
        """Train all lanes, draw what belongs to those that finished, and commit what each came to."""
        started = time.monotonic()
        self.context.watchdog.begin(self._last_words)
        try:
            outcomes = failures.named(self._train, range(len(self.runs)))
            for lane, outcome in enumerate(outcomes):
                if outcome.status == "FINISHED":
                    outcomes[lane] = failures.named(partial(self._complete, lane, outcome), [lane])[0]
        finally:
            self.context.watchdog.end()
        self._end([failures.settled(outcome, lanes=len(self.runs)) for outcome in outcomes])
        log.info("tile ended", seconds=round(time.monotonic() - started, 2))

    def _train(self) -> list[Outcome]:
        certificates: dict[str, GradientReport] = {}
        for lane, (run, spec) in enumerate(zip(self.runs, self.specs, strict=True)):
            self.recorder.tags(lane, facts.tags(self.context))
            self.recorder.artifact(lane, "spec.yaml", facts.spec_yaml(spec, f"run {run.id[:8]}"))
            if spec.gradient_check.mode != "off":
                key = certificate_key(spec, self.context.device, self.context.settings.backend)
                if key not in certificates:
                    certificates[key] = self._certificate(key, spec)
                self._certify(lane, certificates[key])
        try:
            return self._train_from([self._checkpoint(run) for run in self.runs])
        except CheckpointError as error:
            log.warning("a checkpoint cannot be read, the tile starts again", error=str(error))
            return self._train_from([None] * len(self.runs))

    def _train_from(self, checkpoints: Sequence[bytes | None]) -> list[Outcome]:
        """Train every lane from its checkpoint, or from the beginning where it has none.

        Raises:
            CheckpointError: one is damaged, or of an older version.
        """
        return train(
            self.specs,
            self.recorder,
            self._should_stop,
            width=self.width,
            source=self.source,
            resume=checkpoints,
            until=[run.epochs for run in self.runs],
            keep_final=self.context.settings.checkpoint_days > 0,
            checkpoint_seconds=self.context.settings.checkpoint_seconds,
            max_seconds=self.context.settings.max_run_seconds,
            device=self.context.device,
        )

    def _certify(self, lane: int, report: GradientReport) -> None:
        """Record the gradient's certificate."""
        self.recorder.metrics(lane, 0, report.metrics())
        self.recorder.tags(lane, report.tags())
        self.recorder.artifact(lane, "gradient_check.json", report.model_dump_json(indent=1).encode())

    def _certificate(self, key: str, spec: RunSpec) -> GradientReport:
        """The certificate of a key (`certificate_key`): looked up, or made now. Once per key, not once per run.

        Two workers that meet a new program at the same moment both check it, since waiting would take as long as
        checking. Every run of that key bears the certificate that was stored first.
        """
        certificate = queries.get_certificate(self.context.store, key)
        if certificate is None:
            checked = check(spec, self.source, device=self.context.device)
            log.info("gradient checked", verdict=checked.verdict, seconds=round(checked.seconds, 2))
            certificate = operations.put_certificate(
                self.context.store, key, checked.verdict, json.loads(checked.model_dump_json())
            )
        return GradientReport.model_validate(certificate.report)

    def _should_stop(self, lane: int) -> StopAsked | None:
        """Read between chunks of training; nothing here waits for anything."""
        asked = self.keeper.asked(self.runs[lane].id)
        return asked or ("drain" if drain.asked() else None) or self.context.watchdog.asked()

    def _checkpoint(self, run: Run) -> bytes | None:
        """The run's checkpoint, if it lies in this spool."""
        if run.checkpoint is None or run.checkpoint["spool"] != self.context.spool.id:
            return None
        return self.context.spool.checkpoint(run.id, run.checkpoint["name"])

    def _complete(self, lane: int, outcome: Outcome) -> list[Outcome]:
        """Record what a finished run leaves behind besides what training itself recorded: pictures, learned line."""
        spec = self.specs[lane]
        weights = self.recorder.kept[lane].get(WEIGHTS)
        if weights is not None:
            self.recorder.metrics(lane, outcome.epochs, draw.learned(spec, self.source, weights))
        if outcome.reason != "halved" and draw.due(spec, self._siblings):
            for path, content in draw.draw(spec, self.source, self._history(lane), weights).items():
                self.recorder.artifact(lane, path, content)
        return [outcome]

    @cached_property
    def _siblings(self) -> int:
        """Runs of the experiment that the tile's runs belong to."""
        return queries.get_experiment(self.context.store, self.runs[0].experiment_id).n_runs

    def _history(self, lane: int) -> dict[str, dict[int, float]]:
        """The run's metrics of all attempts: earlier ones from the database, this one's from memory."""
        run, current = self.runs[lane], self.recorder.history[lane]
        earlier = draw.recorded(self.context.store, run.id) if run.attempt > 1 else {}
        return {key: {**earlier.get(key, {}), **current.get(key, {})} for key in [*earlier, *current]}

    def _end(self, outcomes: Sequence[Outcome]) -> None:
        """Commit all lanes in one transaction, or give them back. A lane whose lease is lost is another worker's."""
        self.keeper.flush()
        commits: dict[str, Committed] = {}
        returns: dict[str, dict[str, int]] = {}
        for run, outcome in zip(self.runs, outcomes, strict=True):
            log.info("ended", run=run.id, attempt=run.attempt, status=outcome.status, reason=outcome.reason)
            tracing.trained(
                run,
                seconds=time.monotonic() - self.claimed_at,
                width=self.width,
                status=outcome.status,
                reason=outcome.reason,
            )
            if outcome.status != "RELEASED":
                commits[run.id] = self._committed(run, outcome)
            elif outcome.reason != "lost":
                returns.setdefault(outcome.reason, {})[run.id] = run.attempt
        refused = self._persistently(set(commits), lambda: operations.commit(self.context.store, commits))
        for run_id in refused or ():
            log.warning("refused", run=run_id, attempt=commits[run_id].attempt)
        for run_id in commits:
            self.keeper.drop(run_id)
        for reason, claims in returns.items():
            single_lane = reason in failures.SHARED
            give_back = partial(
                operations.release, self.context.store, claims, reason=reason, single_lane=single_lane
            )
            self._persistently(set(claims), give_back)
            for run_id in claims:
                self.keeper.drop(run_id)

    def _last_words(self) -> None:
        """Commit the outcome `memory_limit`. The watchdog calls this before it ends the process."""
        outcomes = [failures.outcome(lane, "FAILED", failures.MEMORY) for lane in range(len(self.runs))]
        self._end([failures.settled(outcome, lanes=len(self.runs)) for outcome in outcomes])

    def _committed(self, run: Run, outcome: Outcome) -> Committed:
        spec = self.specs[outcome.lane]
        details: dict[str, Any] = {
            "epochs": outcome.epochs,
            "updates": outcome.updates,
            "width": self.width,
        }
        if outcome.status == "FINISHED":
            details["dataset"] = {
                "name": spec.dataset.title,
                "digest": digest(spec.dataset, self.source),
                "spec": spec.dataset.model_dump(mode="json", exclude={"x", "y", "table"}),
            }
        best = None
        if outcome.status == "FINISHED" and outcome.best_epoch is not None:
            measured = {name: v for name, v in outcome.metrics.items() if not name.startswith("time/")}
            best = BestEpoch(outcome.best_epoch, measured)
        return Committed(run.attempt, outcome.status, outcome.reason, details, best)

    def _persistently(self, run_ids: set[str], act: Callable[[], T]) -> T | None:
        """Act on the database as soon as it answers, for as long as this worker holds one of the runs."""
        while any(self.keeper.asked(run_id) != "lost" for run_id in run_ids):
            try:
                return act()
            except StoreUnavailable as error:
                log.warning("database away, the outcome waits", error=str(error))
                time.sleep(min(1.0, self.context.settings.lease_seconds / 10))
        return None
