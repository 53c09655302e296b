"""The database connection: SQLite and PostgreSQL through the same code.

`Store.write` runs one short transaction and repeats it after a deadlock. On SQLite it takes the write lock at its start
(`BEGIN IMMEDIATE`), so that a transaction never fails half-way because another one wrote meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Table, create_engine, event, exc, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import DatabaseDamaged, LockTaken, StoreUnavailable

T = TypeVar("T")
TRIES = {"postgresql": 8, "sqlite": 2}
BUSY_TIMEOUT_MS = 10_000
ROWS_AT_ONCE = 1000
"""With up to 32 values each: SQLite takes 32,766 in one statement."""
LOCK_LOOK_SECONDS = 0.002
"""Between two looks at SQLite's write lock."""
_BEGIN = "gradus_begin"
# A process that is stopped (SIGSTOP, a paused machine) in the middle of a transaction keeps its row locks. The server
# ends such a session, so that another worker can claim the run.
_SESSION = " ".join(
    f"-c {name}={milliseconds}"
    for name, milliseconds in {
        "idle_in_transaction_session_timeout": 10_000,
        "lock_timeout": 15_000,
        "statement_timeout": 60_000,
    }.items()
)
_PATIENCE = {  # how soon a server that vanished without closing the connection is noticed
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_DEADLOCK = frozenset({"40P01", "40001", "55P03"})  # deadlock, serialisation failure, lock not available


class Store:
    """A database. Threads may share a store; a forked process needs its own.

    Args:
        url: SQLAlchemy address, `sqlite:///path` or `postgresql+psycopg://…` (`postgresql://` is taken as that).
        pool_size: connections kept open (PostgreSQL; as many again in a burst).
    """

    def __init__(self, url: str, *, pool_size: int = 5) -> None:
        parsed = make_url(url)
        if parsed.drivername in ("postgresql", "postgres"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        options: dict[str, Any] = {}
        if self.is_sqlite:
            if parsed.database and parsed.database != ":memory:":
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options["connect_args"] = {"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False}
        else:
            options["pool_pre_ping"] = True
            options["pool_size"] = options["max_overflow"] = pool_size
            options["pool_timeout"] = 10
            options["connect_args"] = {"application_name": "gradus", "options": _SESSION, **_PATIENCE}
        self.engine: Engine = create_engine(
            parsed, json_serializer=_dumps, json_deserializer=json.loads, **options
        )
        if self.is_sqlite:
            _configure_sqlite(self.engine)
        self._names: set[str] = set()
        self._names_lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address with its password masked."""
        return self.engine.url.render_as_string(hide_password=True)

    def write(self, work: Callable[[Connection], T], *, lock_name: str | None = None) -> T:
        """Run `work` in one write transaction, again after a deadlock or a busy database.

        Args:
            work: what to do in the transaction. It may be called several times.
            lock_name: a name that only one transaction may hold at a time. On PostgreSQL it is an advisory lock for all
                processes. On SQLite it holds within this process; other processes wait for the write lock anyway.
                Neither outlives the process.

        Raises:
            LockTaken: another transaction holds that name.
            StoreUnavailable: the database cannot be reached. Whether the transaction was committed is unknown; every
                operation may be repeated.
        """
        tries = TRIES[self.engine.dialect.name]
        with self._reserved(lock_name if self.is_sqlite else None):
            for left in reversed(range(tries)):
                try:
                    with self._connect("IMMEDIATE") as connection, connection.begin():
                        if lock_name is not None and not self.is_sqlite:
                            _advisory_lock(connection, lock_name)
                        return work(connection)
                except exc.DBAPIError as error:
                    if not _worth_repeating(error) or left == 0:
                        raise _translate(error) from error
                except exc.TimeoutError as error:  # the pool is exhausted
                    raise StoreUnavailable(f"no free database connection: {error}") from error
                time.sleep(random.uniform(0, 0.01 * 2 ** (tries - left)))  # noqa: S311  (jitter, not a secret)
            raise AssertionError("unreachable")

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one read-only transaction.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        try:
            with self._connect("DEFERRED") as connection, connection.begin():
                return work(connection)
        except exc.DBAPIError as error:
            raise _translate(error) from error
        except exc.TimeoutError as error:
            raise StoreUnavailable(f"no free database connection: {error}") from error

    def takes_writes(self, seconds: float) -> bool:
        """Whether a write transaction can be begun within so many seconds. Nothing is changed.

        Raises:
            StoreUnavailable: the database cannot be reached.
        """
        try:
            with self._connect("DEFERRED") as connection:
                if self.is_sqlite:
                    connection.exec_driver_sql("ROLLBACK")
                    connection.exec_driver_sql(f"PRAGMA busy_timeout={int(seconds * 1000)}")
                    try:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                    finally:
                        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
                else:
                    connection.execute(
                        select(func.pg_current_xact_id())
                    ).scalar()  # fails on a read-only server
                connection.rollback()
        except exc.DBAPIError as error:
            if "locked" in str(error.orig) or "read-only" in str(error.orig) or "recovery" in str(error.orig):
                return False
            raise _translate(error) from error
        return True

    @contextlib.contextmanager
    def _reserved(self, name: str | None) -> Iterator[None]:
        if name is None:
            yield
            return
        with self._names_lock:
            if name in self._names:
                raise LockTaken(name)
            self._names.add(name)
        try:
            yield
        finally:
            with self._names_lock:
                self._names.discard(name)

    def close(self) -> None:
        self.engine.dispose()

    def _connect(self, begin: str) -> Connection:
        return self.engine.connect().execution_options(**{_BEGIN: begin})


def take_turn(connection: Connection, name: str) -> None:
    """Wait for the lock of this name and hold it until the transaction ends. SQLite's writers take turns anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def insert_or(dialect: str, table: Table) -> Any:
    """An INSERT that may say what a conflict does (`on_conflict_…`). dialect: the name of the database's."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def insert_at_once(
    connection: Connection,
    table: Table,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    place: str,
    then: str = "",
) -> None:
    """Insert rows into SQLite in few statements. A statement for each row hands Python's lock to the other threads and waits
    for it again each time, while the database is locked: *measured* beside a training, 0.25 s in the mean and up to 3 s.

    Args:
        names: the columns, in the order of the values of a row.
        place: what stands in VALUES for one row, a `?` for each value.
        then: what follows VALUES.
    """
    quoted = ", ".join(f'"{name}"' for name in names)
    for chunk in (rows[start : start + ROWS_AT_ONCE] for start in range(0, len(rows), ROWS_AT_ONCE)):
        places = ", ".join([place] * len(chunk))
        sql = f"INSERT INTO {table.name} ({quoted}) VALUES {places} {then}"  # noqa: S608  (no text of anybody's)
        connection.exec_driver_sql(sql, tuple(value for row in chunk for value in row))


def _advisory_lock(connection: Connection, name: str) -> None:
    if not connection.scalar(select(func.pg_try_advisory_xact_lock(func.hashtextextended(name, 0)))):
        raise LockTaken(name)


def _configure_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def connect(dbapi_connection: Any, record: Any) -> None:
        dbapi_connection.isolation_level = None  # the begin event below sends BEGIN
        cursor = dbapi_connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        _use_write_ahead_log(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if (how := connection.get_execution_options().get(_BEGIN, "IMMEDIATE")) == "IMMEDIATE":
            _take_write_lock(connection)
        else:
            connection.exec_driver_sql(f"BEGIN {how}")


def _take_write_lock(connection: Connection) -> None:
    """Begin a write transaction as soon as the lock is free.

    SQLite's own waiting looks ever less often, at last every 100 ms, and whoever waits longest looks least: *measured* beside
    sixteen runs that trained, one wait in a hundred took 0.5 s and the longest 2.7 s, and 0.2 and 0.5 s this way.
    """
    cursor, deadline = connection.connection.cursor(), time.monotonic() + BUSY_TIMEOUT_MS / 1000
    cursor.execute("PRAGMA busy_timeout=0")
    try:
        while time.monotonic() < deadline:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname != "SQLITE_BUSY":
                    break
            time.sleep(LOCK_LOOK_SECONDS)
    finally:
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")  # raises what SQLAlchemy makes of the error


def _use_write_ahead_log(cursor: sqlite3.Cursor) -> None:
    """Of several connections that turn a new file to WAL at the same moment, SQLite refuses some at once, because they
    would wait for each other: busy_timeout does not count there. They try again for as long."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


class EncodedJson(str):
    """The text of a JSON value, for a column of JSON. Encoded before the transaction, it costs no time while a lock is
    held."""

    __slots__ = ()

    @classmethod
    def of(cls, value: Any) -> EncodedJson:
        """The text of a value. Raises ValueError where it holds NaN or infinity."""
        return cls(_encoder.encode(value))


def _dumps(value: Any) -> str:
    return value if isinstance(value, EncodedJson) else _encoder.encode(value)


def _worth_repeating(error: exc.DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None)
    return state in _DEADLOCK or "database is locked" in str(error.orig)


def _translate(error: exc.DBAPIError) -> Exception:
    if any(sign in str(error.orig) for sign in ("file is not a database", "disk image is malformed")):
        return DatabaseDamaged(str(error.orig))
    if "no such " in str(error.orig):  # SQLite's error for a missing table: a repetition would fail as well
        return error
    unreachable = isinstance(error, exc.OperationalError | exc.InterfaceError) or error.connection_invalidated
    return StoreUnavailable(f"the database does not answer: {error.orig}") if unreachable else error
