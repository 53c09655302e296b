"""Celery's entry point: `celery -A workers.app worker`.

The parent process chooses the device and never imports TensorFlow; its one child is spawned, not forked, and
imports it with the first tile. What the parent does besides is in `parent`, what the child does in `tasks`.
"""

from __future__ import annotations

import os
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

from service import logs
from service.queue import celery_app
from service.settings import get_settings
from workers.process.devices import choose, discover
from workers.process.parent import Parent

app: Celery = celery_app(get_settings())
app.conf.imports = ("workers.tasks",)
_parent: list[Parent] = []


@celeryd_init.connect(weak=False)  # type: ignore[untyped-decorator]
def prepare(instance: Any, **_: object) -> None:
    """Before anything starts: a name, a device, and the queues whose tiles it can train."""
    try:
        _prepare()
    except Exception as error:
        # Celery logs what a receiver raises and goes on: it would take messages of every queue, and nobody see to it.
        raise SystemExit(f"this worker does not start: {error}") from error


def _prepare() -> None:
    settings = get_settings()
    device = choose(settings.device, settings.threads, discover(os.environ), settings.home / "gpus")
    # The spawned child inherits these; it must not work out a name of its own.
    os.environ.update(device.environment())
    os.environ["GRADUS_WORKER_NAME"] = settings.worker
    app.amqp.queues.select(device.queues())
    _parent.append(Parent(settings, device))


@celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
def attach(instance: Any, **_: object) -> None:
    _parent[0].worker = instance


@setup_logging.connect(weak=False)  # type: ignore[untyped-decorator]
def log(**_: object) -> None:
    """Celery leaves its own loggers alone when somebody answers this signal."""
    logs.configure(get_settings(), worker=get_settings().worker)


@worker_ready.connect(weak=False)  # type: ignore[untyped-decorator]
def ready(**_: object) -> None:
    _parent[0].start()


@worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
def stop(**_: object) -> None:
    _parent[0].drain()


@worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
def gone(**_: object) -> None:
    _parent[0].stop()


@task_failure.connect(weak=False)  # type: ignore[untyped-decorator]
def failed(exception: BaseException, args: Any = (), **_: object) -> None:
    """In the parent this means one thing only: the child died. Children report their own failures."""
    if _parent:
        _parent[0].child_died(exception, args)
