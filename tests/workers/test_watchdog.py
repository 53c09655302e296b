"""The watchdog with a memory that the test sets."""

from __future__ import annotations

from workers.watchdog import EXIT_MEMORY, EXIT_ORPHAN, Watchdog


class World:
    memory, now = 100, 0.0

    def __init__(self):
        self.left, self.said = [], []

    def dog(self, **more):
        return Watchdog(
            memory_limit=1000,
            memory=lambda: self.memory,
            leave=self.left.append,
            clock=lambda: self.now,
            **more,
        )


def test_wall_time():
    world = World()
    dog = world.dog()
    assert dog.asked() is None
    dog.begin(10.0, lambda: world.said.append(1))
    world.now = 9.9
    assert dog.asked() is None
    world.now = 10.0
    assert dog.asked() == "time"
    dog.end()
    assert dog.asked() is None


def test_memory_asks_first_and_leaves_when_nothing_helps():
    world = World()
    dog = world.dog()
    dog.begin(10.0, lambda: world.said.append(1))
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
    dog.begin(10.0, lambda: world.said.append(1))
    assert dog.asked() is None


def test_an_orphan_leaves():
    world = World()
    world.dog(parent=1_000_000).look()
    assert world.left == [EXIT_ORPHAN]


def test_the_thread_looks_by_itself():
    world = World()
    world.memory = 2000
    dog = world.dog(every=0.01)
    dog.start()
    dog._stop.wait(0.2)
    dog.stop()
    assert EXIT_MEMORY in world.left
