"""A broker in memory and a fleet of workers, for the tests of sending."""

from __future__ import annotations

from typing import Any

from service import operations as ops
from service.entities import Worker
from service.errors import BrokerUnavailable
from service.routes import QUEUES
from service.store import Store

FOUR = {"activation": ["relu"], "seeds": 4}


class Broker:
    """Queues in memory that lose what they are told to lose."""

    def __init__(self) -> None:
        self.queues: dict[str, list[Any]] = {queue: [] for queue in QUEUES}
        self.down = False

    def send(self, tile: Any) -> None:
        if self.down:
            raise BrokerUnavailable("down")
        self.queues[tile.queue].append(tile)

    def length(self, queue: Any) -> Any:
        return len(self.queues[queue])

    def pop(self, queue: str = "gradus.any") -> Any:
        return self.queues[queue].pop(0)

    def flush(self) -> None:
        for queue in self.queues.values():
            queue.clear()


def fleet(store: Store, cpu: int = 0, gpu: int = 0) -> None:
    for number in range(cpu):
        ops.beat(store, Worker(f"c{number}", device="cpu", queues=("gradus.cpu", "gradus.any")))
    for number in range(gpu):
        ops.beat(store, Worker(f"g{number}", device="gpu", queues=("gradus.gpu", "gradus.any")))
