"""Traces by OpenTelemetry: one for each experiment, from its submission over every attempt of every run to MLflow.

Off unless GRADUS_OTLP_ENDPOINT is set. The trace's id is the experiment's, and what everything hangs from is a span whose
id is that of the experiment too. So no process hands another anything, and a run that another worker goes on with stays
in its trace. Spans leave by a thread of their own: a collector that is away costs spans and no time.
"""

from __future__ import annotations

import atexit
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.entities import Run
from service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

_exporting: list[tuple[BatchSpanProcessor, Resource]] = []


def configure(settings: Settings, *, process: str) -> None:
    """Send this process' spans to the collector that the settings name, if they name one.

    Args:
        process: `api`, `maintenance` or the worker's name: the service's instance in the spans.
    """
    if settings.otlp_endpoint is None or _exporting:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces", timeout=5)
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=1000)
    resource = Resource.create({"service.name": "gradus", "service.instance.id": process})
    _exporting.append((processor, resource))
    atexit.register(processor.shutdown)


def submitted(experiment_id: str, *, began: datetime, runs: int) -> None:
    """An experiment was accepted: the span that all others hang from."""
    _record("submit", experiment_id, "", "", began, {"gradus.runs": runs})


def trained(run: Run, *, seconds: float, width: int, status: str, reason: str) -> None:
    """An attempt of a run ended, so long after it was claimed; the first one tells how long the run waited for it too."""
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    facts: dict[str, str | int] = {
        "gradus.run": run.id,
        "gradus.attempt": run.attempt,
        "gradus.worker": run.worker or "",
        "gradus.width": width,
        "gradus.status": status,
        "gradus.reason": reason,
    }
    if run.attempt == 1:
        _record("wait", run.experiment_id, run.id, "wait", run.created_at, {"gradus.run": run.id}, began)
    _record("train", run.experiment_id, run.id, f"train {run.attempt}", began, facts)


def shipped(run: Run, mlflow_run_id: str) -> None:
    """A run that was committed is complete in MLflow."""
    facts = {"gradus.run": run.id, "mlflow.run_id": mlflow_run_id}
    if run.committed_at is not None:
        _record("ship", run.experiment_id, run.id, f"ship {run.attempt}", run.committed_at, facts)


def _record(
    name: str,
    experiment_id: str,
    run_id: str,
    part: str,
    began: datetime,
    facts: Mapping[str, str | int],
    ended: datetime | None = None,
) -> None:
    if not _exporting:
        return
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, TraceFlags

    trace = int(experiment_id.ljust(32, "0"), 16)

    def context(*of: str) -> SpanContext:
        span = int.from_bytes(hashlib.sha256(" ".join((experiment_id, *of)).encode()).digest()[:8], "big")
        return SpanContext(trace, span or 1, is_remote=not of, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    processor, resource = _exporting[0]
    processor.on_end(
        ReadableSpan(
            name,
            context=context(run_id, part) if run_id else context(),
            parent=context() if run_id else None,
            resource=resource,
            attributes={"gradus.experiment": experiment_id, **facts},
            start_time=_nanoseconds(began),
            end_time=_nanoseconds(ended or datetime.now(UTC)),
        )
    )


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
