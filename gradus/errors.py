"""What the client refuses or fails at.

GradusError (experiments.errors)
└── ClientError         anything below; by itself: the work failed
    ├── UsageError      an argument, an id, a file or a setting that cannot be right
    ├── Unreachable     no Gradus service answers at the address
    └── Refused         the service answered with a problem (RFC 9457)
        ├── NotAllowed  401, 403: the key is missing or does not reach this
        ├── NotFound    404: there is no such thing
        ├── Conflict    409, 412: the present state does not allow this
        └── Invalid     400, 413, 415, 422: something in the request is not allowed; `errors` says what
"""

from __future__ import annotations

from collections.abc import Mapping

from experiments.errors import GradusError, Problem


class ClientError(GradusError):
    """Anything that the client refuses or fails at."""


class UsageError(ClientError):
    """An argument, an id, a file or a setting that cannot be right."""


class Unreachable(ClientError):
    """No Gradus service answers at the address."""


class Refused(ClientError):
    """The service answered with a problem document, whose fields these are.

    Attributes:
        status: the HTTP status.
        title: the status in words.
        detail: the whole in one sentence.
        type: the problem's type; `about:blank` where it has none of its own.
        instance: the address that was asked for.
        errors: the faults, each with `path`, `message` and `allowed`.
    """

    def __init__(self, status: int, problem: Mapping[str, object]) -> None:
        self.status = status
        self.title = str(problem.get("title") or f"status {status}")
        self.detail = str(problem.get("detail") or self.title)
        self.type = str(problem.get("type") or "about:blank")
        self.instance = str(problem.get("instance") or "")
        items = problem.get("errors")
        self.errors = tuple(
            Problem(str(item.get("path") or ""), str(item.get("message") or ""), item.get("allowed"))
            for item in (items if isinstance(items, list) else ())
            if isinstance(item, Mapping)
        )
        super().__init__(_as_text(self.detail, self.errors))


class NotAllowed(Refused):
    """The key is missing, or does not allow this."""


class NotFound(Refused):
    """There is no such thing."""


class Conflict(Refused):
    """The present state does not allow this."""


class Invalid(Refused):
    """Something in the request is not allowed; `errors` says where, what was found, what is allowed."""


KINDS: dict[int, type[Refused]] = {
    400: Invalid,
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
}


def refused(status: int, problem: Mapping[str, object]) -> Refused:
    """The exception for a problem document."""
    return KINDS.get(status, Refused)(status, problem)


def _as_text(detail: str, errors: tuple[Problem, ...]) -> str:
    """The problem for a person: the detail, and below it one line per fault. A single fault that says the same as the
    detail replaces it."""
    lines = [f"  {error}" for error in errors if error.allowed or error.message != detail]
    if len(lines) == 1 and detail in lines[0]:
        return lines[0].strip()
    return "\n".join([detail, *lines]).strip()
