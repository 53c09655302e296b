"""The watchdog with a memory that the test sets."""

from __future__ import annotations

from typing import Any

from workers.process.watchdog import EXIT_MEMORY, EXIT_ORPHAN, Watchdog


class World:
    memory = 100

    def __init__(self) -> None:
        self.left: list[int] = []
        self.said: list[int] = []

    def dog(self, **more: Any) -> Any:
        return Watchdog(
            memory_limit=1000,
            memory=lambda: self.memory,
            leave=self.left.append,
            **more,
        )


def test_memory_asks_first_and_leaves_when_nothing_helps() -> None:
    world = World()
    dog = world.dog()
    dog.begin(lambda: world.said.append(1))
    dog.look()
    assert dog.asked() is None
    world.memory = 1001
    dog.look()
    assert dog.asked() == "memory"
    assert world.left == []
    world.memory = 1126
    dog.look()
    assert world.left == [EXIT_MEMORY]
    assert world.said == [1]
    dog.begin(lambda: world.said.append(1))
    assert dog.asked() is None


def test_what_was_given_back_before_anybody_asked_is_forgotten() -> None:
    """What the gradient check takes, say."""
    world = World()
    dog = world.dog()
    dog.begin(lambda: world.said.append(1))
    for world.memory, asked in ((1001, "memory"), (100, None), (1001, "memory")):
        dog.look()
        assert dog.asked() == asked
    dog.end()
    dog.look()
    assert dog.asked() is None, "of no tile"


def test_an_orphan_leaves() -> None:
    world = World()
    world.dog(parent=1_000_000).look()
    assert world.left == [EXIT_ORPHAN]


def test_the_thread_looks_by_itself() -> None:
    world = World()
    world.memory = 2000
    dog = world.dog(every=0.01)
    dog.start()
    dog._stop.wait(0.2)
    dog.stop()
    assert EXIT_MEMORY in world.left
