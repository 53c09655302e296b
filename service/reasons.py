"""Why a run ended or waits again: the codes that are stored, as sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.lifecycle import RunStatus

_SENTENCES = {
    "epochs": "All epochs were trained.",
    "halved": "Successive halving ended it before its last epoch: others had a better validation metric by then.",
    "train_errors": "The training data had no more errors than stop.train_errors allows.",
    "patience": "The loss did not improve for stop.patience epochs.",
    "diverged": "The loss became infinite or not a number. A smaller learning rate may help.",
    "cancelled": "Somebody cancelled it.",
    "lost": "Its worker stopped renewing its lease, so another worker takes it from its last checkpoint.",
    "worker_lost": "Its lease ran out too often without a checkpoint in between: training it probably ends the worker's "
    "process. The worker's log says how.",
    "spool_lost": "The host that holds its files has been away for too long, so it is trained again.",
    "drain": "Its worker was told to stop. Another worker takes it from its last checkpoint.",
    "restart": "The service was restarted. A worker takes it from its last checkpoint.",
    "memory_limit": "Training it needs more memory than a worker may use (GRADUS_MAX_WORKER_MEMORY_BYTES).",
    "time_limit": "Training it takes longer than a run may take (GRADUS_MAX_RUN_SECONDS).",
    "disk_full": "The disk that holds the worker's files is full.",
}
_AGAIN = {
    "memory_limit": "Its tile needed more memory than a worker may use, so each of the tile's runs is tried alone.",
    "error": "Its tile failed as a whole, so each of the tile's runs is tried alone.",
}
"""Of runs that wait again."""
_WITH_DETAILS = {"data": "Its data are not there", "error": "Training failed"}


def explain(status: RunStatus, reason: str, tags: Mapping[str, str] = MappingProxyType({})) -> str:
    """The reason of a run in sentences; empty where there is none. A failed gradient check comes first.

    Args:
        status: the run's.
        reason: the code, with details after a colon where there are any.
        tags: the run's, for its certificate.
    """
    if tags.get("gradus.certificate") == "failed":
        why = tags.get("gradus.certificate.reason", "")
        said = f"The gradient check failed, its numbers are not to be trusted ({why})."
        return f"{said} {explain(status, reason)}".rstrip()
    code, colon, details = reason.partition(": ")
    if colon and code in _WITH_DETAILS:
        return f"{_WITH_DETAILS[code]}: {details}"
    if status == RunStatus.SCHEDULED and reason.startswith("waits for "):
        return f"It {reason}."
    if status == RunStatus.SCHEDULED and reason in _AGAIN:
        return _AGAIN[reason]
    if reason == "error":  # without details: a training that reached its goal
        return "The loss is as low as stop.error asks for."
    return _SENTENCES.get(reason, reason)
