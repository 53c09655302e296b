"""Takes a request about a run, has it answered, and stores the answer. Loads TensorFlow."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import structlog

from experiments.engine import backend
from experiments.errors import GradusError
from service import operations
from service.entities import Request
from service.store import queries
from service.threads import vital_thread
from workers.process.child import WorkerContext, worker_context
from workers.requests.draw import plot
from workers.requests.gradient import check_gradient
from workers.requests.model import store_model
from workers.requests.predict import predict

log = structlog.get_logger(__name__)
Json = dict[str, Any]
KINDS: dict[str, Callable[[WorkerContext, Any, Mapping[str, Any]], Json]] = {
    "predict": predict,
    "plot": plot,
    "gradient": check_gradient,
    "picture": plot,
    "model": store_model,
}


def answer(request_id: str) -> None:
    """Take a request, if it is still to be taken, and store its result or why there is none."""
    context = worker_context()
    lease = context.settings.lease_seconds
    request = operations.claim_request(
        context.store, request_id, worker=context.settings.worker, lease_seconds=lease
    )
    if request is None:
        return
    backend.use_threads(context.settings.threads)
    result: Json | None = None
    error: str | None = None
    with (
        structlog.contextvars.bound_contextvars(request=request.id, run=request.run_id),
        _renewed(context, request),
    ):
        try:
            run = queries.get_run(context.store, request.run_id) if request.run_id is not None else None
            result = KINDS[request.kind](context, run, request.payload)
        except GradusError as refused:
            error = str(refused)
        except Exception as failed:  # a person waits for an answer, whatever went wrong
            log.exception("request failed", kind=request.kind)
            error = f"{type(failed).__name__}: {failed}"
        operations.finish_request(context.store, request.id, request.attempt, result=result, error=error)
        log.info("request answered", kind=request.kind, error=error)


@contextlib.contextmanager
def _renewed(context: WorkerContext, request: Request) -> Iterator[None]:
    """Renew a request's lease every third of it, from a thread, for as long as the context lasts."""
    done, lease = threading.Event(), context.settings.lease_seconds

    def renew() -> None:
        while not done.wait(lease / 3):
            try:
                operations.renew_request(context.store, request.id, request.attempt, lease)
            except GradusError as error:
                log.warning("database away", error=str(error))

    thread = vital_thread(renew, "request-lease")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
