"""Celery's entry point: `celery -A workers.app worker`.

The parent process chooses the device and never imports TensorFlow. Its one child is spawned, not forked, and imports
TensorFlow with the first tile. The parent's other duties are in `workers.process.parent`, the child's in `tasks`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any

from celery import Celery
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    task_failure,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from experiments.errors import GradusError
from service import logs
from service.queue import celery_app
from service.settings import get_settings, visible_gpus
from service.startup import EXIT_UNUSABLE, require_schema
from service.store import Store
from workers.process.devices import Device, choose, discover
from workers.process.parent import Parent

try:
    app: Celery = celery_app(get_settings())
except GradusError as error:  # a setting that is not allowed; Celery would show a traceback
    print(f"gradus worker: {error}", file=sys.stderr)
    sys.exit(EXIT_UNUSABLE)
app.conf.imports = ("workers.tasks",)
_parent: list[Parent] = []


@celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def prepare(instance: Any, **_: object) -> None:
    """Before anything starts: give the worker a name, a device, and the queues whose tiles it can train."""
    try:
        _prepare()
    except Exception as error:
        # Celery logs what a receiver raises and goes on: the worker would take messages of every queue and train none.
        print(f"gradus worker: {error}", file=sys.stderr)
        raise SystemExit(EXIT_UNUSABLE) from error


def _prepare() -> None:
    settings = get_settings()
    with contextlib.closing(Store(settings.sql_url)) as store:
        require_schema(store)
    if settings.only_requests:
        device = Device("cpu", "cpu", settings.threads, backend=settings.backend, only_requests=True)
    else:
        device = choose(
            settings.device,
            settings.threads,
            discover(visible_gpus()),
            settings.home / "gpus",
            settings.backend,
        )
    # The spawned child inherits these. It must not work out a name of its own.
    os.environ.update(device.environment())
    os.environ["GRADUS_WORKER_NAME"] = settings.worker
    app.amqp.queues.select(device.queues())
    _parent.append(Parent(settings, device))


@celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
def attach(instance: Any, **_: object) -> None:
    _parent[0].worker = instance


@setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def configure_logs(**_: object) -> None:
    """Celery leaves its own loggers alone when a receiver answers this signal."""
    logs.configure(get_settings(), worker=get_settings().worker)


@worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def ready(**_: object) -> None:
    _parent[0].start()


@worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
def drain(**_: object) -> None:
    _parent[0].drain()


@worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
def stopped(**_: object) -> None:
    _parent[0].stop()


@task_failure.connect(weak=False)  # type: ignore[untyped-decorator]
def failed(exception: BaseException, args: Any = (), **_: object) -> None:
    """In the parent this means that the child died: children report their own failures."""
    if _parent:
        _parent[0].child_died(exception, args)
