"""The database's clock and transaction number, as SQL expressions that both databases understand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Double, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

NOW_SQLITE = "((julianday('now') - 2440587.5) * 86400.0)"


class db_now(FunctionElement[float]):  # noqa: N801  (an SQL function, written like one)
    """Seconds since 1970 by the database's clock, at the start of the statement."""

    inherit_cache = True
    type = Double()


class db_transaction(FunctionElement[int]):  # noqa: N801
    """Number of the current transaction; 0 on SQLite, where writers take turns anyway."""

    inherit_cache = True
    type = BigInteger()


class db_horizon(FunctionElement[int]):  # noqa: N801
    """Transactions below this number are over, so nothing can still appear among them."""

    inherit_cache = True
    type = BigInteger()


@compiles(db_now, "sqlite")
def _now_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return NOW_SQLITE


@compiles(db_now, "postgresql")
def _now_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    # Stable within a statement, so an index on a time can serve; a wait for a lock makes it early, never late.
    return "CAST(EXTRACT(EPOCH FROM statement_timestamp()) AS DOUBLE PRECISION)"


@compiles(db_transaction, "sqlite")
def _transaction_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return "0"


@compiles(db_transaction, "postgresql")
def _transaction_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"


@compiles(db_horizon, "sqlite")
def _horizon_sqlite(element: Any, compiler: Any, **kw: Any) -> str:
    return "1"


@compiles(db_horizon, "postgresql")
def _horizon_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"


def as_datetime(seconds: float | None) -> datetime | None:
    """Seconds since 1970 as an aware time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def later(seconds: float) -> ColumnElement[float]:
    """A time that many seconds from now, by the database's clock."""
    return db_now() + literal(float(seconds), Double())
