"""Everything that changes state, one short transaction each.

A status changes only here. Rows are locked, the state machine is asked, the update carries the old status as a guard,
and the event that names the edge is written in the same transaction.
"""

from service.operations.cancel import cancel_experiment, cancel_run, delete_experiment, purge_experiment
from service.operations.certificates import put_certificate
from service.operations.change import change_experiment
from service.operations.claim import claim, renew, stop_requests
from service.operations.classes import (
    class_and_students,
    create_class,
    join_class,
    list_classes,
    open_class,
)
from service.operations.commit import commit
from service.operations.datasets import (
    delete_dataset,
    get_dataset,
    list_datasets,
    owned_bytes,
    put_dataset,
)
from service.operations.extend import add_runs, continue_runs, extended_before, set_design
from service.operations.keys import SCOPES, adopt_key, authenticate, create_key, list_keys, revoke_key
from service.operations.reap import ExpiredLease, reap
from service.operations.record import record, record_checkpoints
from service.operations.release import abandon, release, release_all, release_worker
from service.operations.requests import (
    claim_request,
    create_request,
    create_spec_request,
    finish_request,
    is_request_new,
    renew_request,
    take_due_requests,
)
from service.operations.retry import retry_experiment, retry_run
from service.operations.reuse import REUSED_FROM
from service.operations.sessions import close_session, open_session, session_key
from service.operations.ship import (
    claim_shipping,
    final_artifacts_requested,
    finish,
    give_back_shipping,
    note_shipped,
    refused_by_mlflow,
    reschedule_lost_spools,
    shipped_experiment,
    unconfirm_shipping,
)
from service.operations.submit import IdempotencyKey, submit
from service.operations.tidy import tidy
from service.operations.workers import beat, retire

__all__ = [
    "REUSED_FROM",
    "SCOPES",
    "ExpiredLease",
    "IdempotencyKey",
    "abandon",
    "add_runs",
    "adopt_key",
    "authenticate",
    "beat",
    "cancel_experiment",
    "cancel_run",
    "change_experiment",
    "claim",
    "claim_request",
    "claim_shipping",
    "class_and_students",
    "close_session",
    "commit",
    "continue_runs",
    "create_class",
    "create_key",
    "create_request",
    "create_spec_request",
    "delete_dataset",
    "delete_experiment",
    "extended_before",
    "final_artifacts_requested",
    "finish",
    "finish_request",
    "get_dataset",
    "give_back_shipping",
    "is_request_new",
    "join_class",
    "list_classes",
    "list_datasets",
    "list_keys",
    "note_shipped",
    "open_class",
    "open_session",
    "owned_bytes",
    "purge_experiment",
    "put_certificate",
    "put_dataset",
    "reap",
    "record",
    "record_checkpoints",
    "refused_by_mlflow",
    "release",
    "release_all",
    "release_worker",
    "renew",
    "renew_request",
    "reschedule_lost_spools",
    "retire",
    "retry_experiment",
    "retry_run",
    "revoke_key",
    "session_key",
    "set_design",
    "shipped_experiment",
    "stop_requests",
    "submit",
    "take_due_requests",
    "tidy",
    "unconfirm_shipping",
]
