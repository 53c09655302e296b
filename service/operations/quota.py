"""How many runs an owner may have waiting."""

from __future__ import annotations

from service.errors import QuotaExceeded
from service.store import Connection, experiment_rows
from service.store.engine import take_turn


def check_quota(connection: Connection, owner: str, asked: int, quota: int | None) -> None:
    """Refuse more runs than an owner may have waiting. Requests of one owner take turns.

    Args:
        asked: number of runs to be queued.
        quota: how many of the owner's runs may be SCHEDULED, these included; None: any number.

    Raises:
        QuotaExceeded: there would be more.
    """
    if quota is None or asked == 0:
        return
    take_turn(connection, f"quota:{owner}")
    waiting = experiment_rows.waiting_of(connection, owner)
    if waiting + asked > quota:
        raise QuotaExceeded(owner, waiting, asked, quota)
