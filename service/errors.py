"""Errors of the service. All descend from `experiments.errors.GradusError`; HTTP codes live in the API.

GradusError
└── ServiceError
    ├── NotFound             no such thing, or the short id is not unique
    │   └── AmbiguousId
    ├── Conflict             the state does not allow it
    │   ├── IllegalTransition
    │   ├── StaleVersion     If-Match does not match
    │   ├── StaleStage       somebody else advanced the experiment first
    │   ├── LockTaken        another transaction holds the same name
    │   ├── KeyInFlight      the same idempotency key is being worked on
    │   ├── NameTaken        a class, or somebody of it, has this name
    │   └── ClassFull
    ├── KeyReused            the same idempotency key with another body
    ├── QuotaExceeded
    ├── TooManyOpenRequests
    ├── DatasetQuotaExceeded
    ├── BadCursor
    ├── WeakKey              a chosen API key that could be guessed
    ├── StoreUnavailable     the database can't be reached now
    ├── BrokerUnavailable
    ├── DatabaseDamaged      the database's file cannot be read as one
    ├── WrongSchema          the database has the schema of another version
    └── BadSettings          a setting has a value that is not allowed
"""

from __future__ import annotations

from experiments.errors import GradusError
from experiments.messages import short


class ServiceError(GradusError):
    """Something the service refuses or cannot do."""


class NoPicture(ServiceError):
    """MLflow does not answer, or has no picture of that name."""


class NotFound(ServiceError):
    """No `kind` has the id `id`."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"no {kind} has the id {short(id)!r}; look it up in the list of {kind}s")
        self.kind, self.id = kind, id


class AmbiguousId(NotFound):
    """Several things of a kind have ids that begin with the given one."""

    def __init__(self, kind: str, id: str) -> None:
        ServiceError.__init__(
            self, f"more than one {kind} has an id that begins with {id!r}; give more of it"
        )
        self.kind, self.id = kind, id


class Conflict(ServiceError):
    """The present state does not allow what was asked."""


class IllegalTransition(Conflict):
    """The state machine has no such edge."""

    def __init__(self, run_id: str, source: str, event: str) -> None:
        super().__init__(f"run {run_id} is {source}; {event!r} is not possible in that status")
        self.run_id, self.source, self.event = run_id, source, event


class StaleVersion(Conflict):
    """The experiment changed since it was read (If-Match)."""

    def __init__(self, experiment_id: str, found: int, expected: int | str) -> None:
        super().__init__(
            f"experiment {experiment_id} is at version {found}, and If-Match names {short(expected)}; read it again, "
            f'and repeat the change with its ETag, now If-Match: "{found}"'
        )
        self.experiment_id, self.found, self.expected = experiment_id, found, expected


class StaleStage(Conflict):
    """Somebody else moved the experiment on, or changed its spec, since it was read."""

    def __init__(self, experiment_id: str, stage: str, n_runs: int) -> None:
        super().__init__(
            f"experiment {experiment_id} was changed meanwhile: it is at stage {stage!r} with {n_runs:,} runs; look at "
            "it and ask again"
        )


class KeyInFlight(Conflict):
    """A request with the same idempotency key is being worked on."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"a request with the idempotency key {key!r} is still in flight; repeat it in a moment"
        )
        self.key = key


class NameTaken(Conflict):
    """A class, or somebody of it, has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} is taken; choose another name")
        self.name = name


class ClassFull(Conflict):
    """As many have joined a class as it was made for."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(f"the class {name} has its {most} students; whoever made it may revoke a key")
        self.name, self.most = name, most


class LockTaken(Conflict):
    """Another transaction holds the lock of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is being worked on; repeat it in a moment")
        self.name = name


class KeyReused(ServiceError):
    """An idempotency key came with another body than the first time."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the idempotency key {key!r} was used with another body; use a new key")
        self.key = key


class QuotaExceeded(ServiceError):
    """An owner would have more runs waiting than allowed."""

    def __init__(self, owner: str, waiting: int, asked: int, allowed: int) -> None:
        super().__init__(
            f"{owner or 'you'} would have {waiting + asked} runs waiting, {allowed} are allowed;"
            " wait for some to finish, cancel some, or ask for a larger quota"
        )
        self.owner, self.waiting, self.asked, self.allowed = owner, waiting, asked, allowed


class TooManyOpenRequests(ServiceError):
    """An owner would have more predictions and plots waiting than allowed."""

    def __init__(self, owner: str, waiting: int, allowed: int) -> None:
        super().__init__(
            f"{f'{owner} has' if owner else 'you have'} {waiting} predictions and plots waiting, {allowed} are allowed"
            " (GRADUS_QUOTA_OPEN_REQUESTS); wait for some to be answered"
        )
        self.owner, self.waiting, self.allowed = owner, waiting, allowed


class DatasetQuotaExceeded(ServiceError):
    """An owner would have more bytes of files than allowed."""

    def __init__(self, owner: str, held: int, asked: int, allowed: int) -> None:
        super().__init__(
            f"{owner or 'you'} would have {held + asked:,} bytes of files, {allowed:,} are allowed"
            " (GRADUS_QUOTA_DATASET_BYTES); remove some: gradus data rm NAME"
        )
        self.owner, self.held, self.asked, self.allowed = owner, held, asked, allowed


class BadCursor(ServiceError):
    """A page or event cursor that this service did not give out."""

    def __init__(self, cursor: str) -> None:
        super().__init__(f"{cursor!r} is not a cursor of this service; start without one")
        self.cursor = cursor


class WeakKey(ServiceError):
    """A chosen API key that could be guessed."""

    def __init__(self, length: int, allowed: int) -> None:
        super().__init__(
            f"the key has {length} characters, at least {allowed} random ones are needed;"
            ' make one: python3 -c "import secrets; print(secrets.token_hex(32))"'
        )
        self.length, self.allowed = length, allowed


class StoreUnavailable(ServiceError):
    """The database cannot be reached, or did not answer in time. The operation may be repeated as it is."""


class BrokerUnavailable(ServiceError):
    """The broker cannot be reached now. Nothing is lost: what waits is in the database and is sent again."""


class DatabaseDamaged(ServiceError):
    """The database's file is no database, or a part of it is damaged."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the database is damaged ({what}); move it away and restore a backup (docs/operations.md, Backup and"
            " restore)"
        )
        self.what = what


class WrongSchema(ServiceError):
    """The database has the schema of another version of this software."""

    def __init__(self, message: str, *, found: str | None, expected: str | None) -> None:
        super().__init__(message)
        self.found, self.expected = found, expected


class BadSettings(ServiceError):
    """Settings with values that are not allowed."""
