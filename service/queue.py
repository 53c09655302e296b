"""The Celery app's settings, and the sending of messages. A message is a wake-up: run ids and a width, nothing else.

Messages are acknowledged early and may be lost or doubled; the rows in the database decide what is done. No code waits
for a result. A visibility timeout longer than any training keeps Redis from delivering a message twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu import Connection, Queue
from kombu.exceptions import OperationalError
from kombu.transport import redis, virtual

from service.errors import BrokerUnavailable
from service.routes import ANSWERS, ANY, QUEUES, REQUESTS
from service.settings import Settings

TASK_TRAIN = "gradus.train"
TASK_REQUEST = "gradus.request"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"
AHEAD, IN_TURN = 0, 3
"""Priorities of messages within a queue, in kombu's numbers for Redis: the lower is read first."""
VISIBILITY_TIMEOUT = 86400  # seconds; the same in every client of the broker, or the shortest one rules
CONNECT_SECONDS = 4.0


@dataclass(frozen=True)
class TileMessage:
    """Runs that train together as one program of `width` lanes: one message on `queue`.

    begun: a worker claimed one of the runs before, so the message goes ahead of the others in its queue.
    """

    id: str
    run_ids: tuple[str, ...]
    width: int
    queue: str
    experiment_id: str = ""
    begun: bool = False


class Deliveries(redis.QoS):  # type: ignore[misc]
    """kombu's record of the messages that a worker holds.

    kombu keeps a message in it for ever where the broker did not receive the acknowledgement. A worker holds one message
    at a time, so it would never ask for another: *measured*, a broker that was away for 0.2 s left workers deaf until
    they were restarted. So the message is dropped here in any case. If it comes again, nothing is left to claim.
    """

    def ack(self, delivery_tag: str) -> None:
        try:
            super().ack(delivery_tag)
        except Exception:
            virtual.QoS.ack(self, delivery_tag)
            raise


redis.Channel.QoS = Deliveries  # kombu has no setting for it


def celery_app(settings: Settings) -> Celery:
    """The app, configured for workers and for senders alike."""
    broker = settings.broker_url.get_secret_value() if settings.broker_url else DEFAULT_BROKER
    app = Celery("gradus", broker=broker, set_as_current=True)
    app.conf.update(configuration(settings))
    return app


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings. Each prevents a fault that was seen without it (docs/operations.md)."""
    return {
        # Delivery: early acknowledgement, one message at a time, only to a child that is free.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT,
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        # No results: the database has them.
        "task_ignore_result": True,
        "result_backend": None,
        # JSON only: other formats can run code when they are read.
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        # The broker may be away for any time.
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # One spawned child: TensorFlow hangs in a forked one. It takes a while to start on a busy machine.
        "worker_concurrency": 1,
        "worker_pool_start_method": "spawn",
        "worker_proc_alive_timeout": 120.0,
        "worker_max_tasks_per_child": None,
        "worker_max_memory_per_child": None,
        "worker_soft_shutdown_timeout": settings.drain_seconds,
        # No remote control: workers forget `revoke` when they restart, and terminating kills a tile's other lanes.
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "enable_utc": True,
        "task_queues": [Queue(name) for name in (*QUEUES, REQUESTS, ANSWERS)],
        "task_default_queue": ANY,
        "task_create_missing_queues": False,
    }


class Sender:
    """Sends messages and counts those that wait. For one thread; it reconnects by itself.

    Every method raises BrokerUnavailable where the broker does not answer. Whether the message was sent is then unknown,
    and it may be sent again.
    """

    def __init__(self, settings: Settings) -> None:
        self._app = celery_app(settings)
        self._connection: Connection | None = None

    def send_tile(self, tile: TileMessage) -> None:
        """Wake a worker for a tile."""
        priority = AHEAD if tile.begun else IN_TURN
        self._send(TASK_TRAIN, [list(tile.run_ids), tile.width], tile.queue, priority)

    def send_request(self, request_id: str, queue: str = REQUESTS) -> None:
        """Wake a worker for a request of a person."""
        self._send(TASK_REQUEST, [request_id], queue, AHEAD)

    def waiting(self, queue: str) -> int:
        """Number of messages of a queue that no worker has taken."""
        with self._talking() as connection:
            return int(connection.default_channel.queue_declare(queue=queue).message_count)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.release()

    def _send(self, name: str, args: list[Any], queue: str, priority: int) -> None:
        with self._talking() as connection:
            self._app.send_task(
                name, args=args, queue=queue, connection=connection, retry=False, priority=priority
            )

    @contextlib.contextmanager
    def _talking(self) -> Iterator[Connection]:
        if self._connection is None:
            self._connection = self._app.connection_for_write()
        connection = self._connection
        try:
            connection.ensure_connection(
                max_retries=1, interval_start=0, interval_step=0, timeout=CONNECT_SECONDS
            )
            yield connection
        except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
            self.close()
            raise BrokerUnavailable(f"the broker does not answer: {type(error).__name__}") from error
