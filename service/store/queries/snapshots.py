"""An experiment's runs and curves as they were read last: what has not changed since is not read again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, select

from service.entities import Run
from service.store import mapper
from service.store.engine import Store
from service.store.queries.histories import metric_values
from service.store.queries.runs import CHUNK
from service.store.tables import runs

MOST_KEPT = 8
"""Experiments of which a process keeps the runs; a run takes some 10 kB."""
Points = Sequence[tuple[int, float | None]]


class Snapshot:
    """The runs of one experiment with the curves that were asked for. Safe to share between threads. Final."""

    def __init__(self, store: Store, experiment_id: str) -> None:
        self._store, self._id = store, experiment_id
        self._runs: dict[str, Run] = {}
        self._seen: dict[str, tuple[int, str]] = {}
        self._curves: dict[str, dict[str, Points]] = {}
        self._keys: frozenset[str] = frozenset()
        self._lock = threading.Lock()

    def runs(self) -> list[Run]:
        """Every run of the experiment as it is now, in the order of the sweep."""
        with self._lock:
            now = self._store.read(self._states)
            changed = [id for id, _ in now.items() - self._seen.items()]
            for id in changed:
                self._curves.pop(id, None)
            known = self._runs | self._store.read(lambda connection: _read(connection, changed))
            self._runs = {id: known[id] for id in now if id in known}
            self._seen = now  # a run that changed since is read again the next time
            return list(self._runs.values())

    def curves(self, ids: Collection[str], keys: Sequence[str]) -> dict[str, dict[str, Points]]:
        """As `metric_values`, of runs that `runs` gave before."""
        with self._lock:
            if not self._keys >= set(keys):
                self._keys, self._curves = frozenset(keys), {}
            missing = [id for id in ids if id not in self._curves]
            read = metric_values(self._store, missing, sorted(self._keys))
            self._curves |= {id: dict(read.get(id, {})) for id in missing}
            return {id: self._curves[id] for id in ids}

    def _states(self, connection: Connection) -> dict[str, tuple[int, str]]:
        columns = (runs.c.id, runs.c.change, runs.c.status)
        statement = select(*columns).where(runs.c.experiment_id == self._id).order_by(runs.c.index)
        return {id: (change, status) for id, change, status in connection.execute(statement).all()}


def _read(connection: Connection, ids: Sequence[str]) -> dict[str, Run]:
    chunks = (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
    rows = (
        row for chunk in chunks for row in connection.execute(mapper.SELECT_RUNS.where(runs.c.id.in_(chunk)))
    )
    return {run.id: run for run in map(mapper.to_run, rows)}


_snapshots: WeakKeyDictionary[Store, OrderedDict[str, Snapshot]] = WeakKeyDictionary()
_guard = threading.Lock()


def snapshot(store: Store, experiment_id: str) -> Snapshot:
    """The snapshot that this process keeps of an experiment; the least recently used ones are dropped."""
    with _guard:
        kept = _snapshots.setdefault(store, OrderedDict())
        if experiment_id not in kept:
            kept[experiment_id] = Snapshot(store, experiment_id)
        kept.move_to_end(experiment_id)
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
        return kept[experiment_id]
