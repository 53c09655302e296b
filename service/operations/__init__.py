"""Everything that changes state, one short transaction each.

A status changes only here: rows are locked, the state machine is asked, the update carries the old status as a
guard, and the event that names the edge is written in the same transaction.
"""

from service.operations.control import (
    cancel_experiment,
    cancel_run,
    delete_experiment,
    patch_experiment,
    purge_experiment,
    retry_experiment,
    retry_run,
)
from service.operations.ending import (
    claim_shipping,
    finish,
    finish_many,
    forget_stranded,
    shipped,
    shipped_experiment,
    shipped_many,
)
from service.operations.fleet import (
    beat,
    claim_request,
    create_request,
    due_requests,
    finish_request,
    get_certificate,
    put_certificate,
    renew_request,
    retire,
    workers,
)
from service.operations.holding import (
    abandon,
    checkpointed,
    claim,
    commit,
    commit_many,
    record,
    record_many,
    release,
    release_all,
    release_worker,
    renew,
    stop_requests,
)
from service.operations.keys import authenticate, create_key, list_keys, revoke_key
from service.operations.reaping import Reaped, reap, tidy
from service.operations.submission import IdempotencyKey, add_runs, set_plan, submit

__all__ = [
    "IdempotencyKey",
    "Reaped",
    "abandon",
    "add_runs",
    "authenticate",
    "beat",
    "cancel_experiment",
    "cancel_run",
    "checkpointed",
    "claim",
    "claim_request",
    "claim_shipping",
    "commit",
    "commit_many",
    "create_key",
    "create_request",
    "delete_experiment",
    "due_requests",
    "finish",
    "finish_many",
    "finish_request",
    "forget_stranded",
    "get_certificate",
    "list_keys",
    "patch_experiment",
    "purge_experiment",
    "put_certificate",
    "reap",
    "record",
    "record_many",
    "release",
    "release_all",
    "release_worker",
    "renew",
    "renew_request",
    "retire",
    "retry_experiment",
    "retry_run",
    "revoke_key",
    "set_plan",
    "shipped",
    "shipped_experiment",
    "shipped_many",
    "stop_requests",
    "submit",
    "tidy",
    "workers",
]
