"""The state machine of a run: pure, without a database.

The status is one of MLflow's five. A RUNNING run is either in training (it has a lease), or its outcome is committed
and waits to be carried to MLflow (`committed_at`). A committed outcome is never claimed again; a FINISHED run may be
given more epochs.
"""

from __future__ import annotations

import enum

from service.errors import IllegalTransition


class RunStatus(enum.StrEnum):
    """MLflow's run statuses, by their own names."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


TERMINAL = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED})


class Edge(enum.StrEnum):
    """The names of the edges; every status event carries one."""

    CLAIMED = "claimed"  # a worker took it
    RECLAIMED = "reclaimed"  # a worker took it from one whose lease ran out
    RELEASED = "released"  # given back: drain, Ctrl-C, a tile that failed as a whole
    LOST = "lost"  # the lease ran out
    WORKER_LOST = "worker_lost"  # the lease ran out once too often
    SPOOL_LOST = "spool_lost"  # the files of a committed outcome are on a host that is gone
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    RETRIED = "retried"
    CONTINUED = "continued"  # it ended, and goes on from its checkpoint for more epochs


_S = RunStatus
TRANSITIONS: frozenset[tuple[RunStatus, Edge, RunStatus]] = frozenset(
    {
        (_S.SCHEDULED, Edge.CLAIMED, _S.RUNNING),
        (_S.SCHEDULED, Edge.KILLED, _S.KILLED),
        (_S.RUNNING, Edge.RECLAIMED, _S.RUNNING),
        (_S.RUNNING, Edge.RELEASED, _S.SCHEDULED),
        (_S.RUNNING, Edge.LOST, _S.SCHEDULED),
        (_S.RUNNING, Edge.SPOOL_LOST, _S.SCHEDULED),
        (_S.RUNNING, Edge.WORKER_LOST, _S.FAILED),
        (_S.RUNNING, Edge.FINISHED, _S.FINISHED),
        (_S.RUNNING, Edge.FAILED, _S.FAILED),
        (_S.RUNNING, Edge.KILLED, _S.KILLED),
        (_S.FAILED, Edge.RETRIED, _S.SCHEDULED),
        (_S.KILLED, Edge.RETRIED, _S.SCHEDULED),
        (_S.FINISHED, Edge.CONTINUED, _S.SCHEDULED),
    }
)
_TARGETS = {(source, edge): target for source, edge, target in TRANSITIONS}
ENDING = {_S.FINISHED: Edge.FINISHED, _S.FAILED: Edge.FAILED, _S.KILLED: Edge.KILLED}


def is_terminal(status: str) -> bool:
    """Whether a run with this status is over (FAILED and KILLED can be retried, FINISHED can go on)."""
    return status in TERMINAL


def check_transition(run_id: str, source: str, edge: Edge) -> RunStatus:
    """Returns the status that `edge` leads to from `source`.

    Raises:
        IllegalTransition: there is no such edge.
    """
    target = _TARGETS.get((RunStatus(source), edge))
    if target is None:
        raise IllegalTransition(run_id, source, edge.value)
    return target


def after_lease_expiration(lease_expirations: int, max_lease_expirations: int, *, cancelled: bool) -> Edge:
    """The edge of a run whose lease ran out.

    Args:
        lease_expirations: expired leases since the last checkpoint, this one included.
        max_lease_expirations: at this number the run fails.
        cancelled: whether somebody asked to stop the run. Then it is KILLED, because no worker is left to stop.
    """
    if cancelled:
        return Edge.KILLED
    return Edge.WORKER_LOST if lease_expirations >= max_lease_expirations else Edge.LOST


def committed_status(status: str, *, cancelled: bool) -> RunStatus:
    """The status that a committed outcome leads to. A cancelled run never finishes: it becomes KILLED.

    Raises:
        ValueError: `status` is not a terminal one.
    """
    wanted = RunStatus(status)
    if wanted not in TERMINAL:
        raise ValueError(f"an outcome is FINISHED, FAILED or KILLED, not {status}")
    return RunStatus.KILLED if cancelled else wanted
