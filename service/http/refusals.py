"""What only the API refuses; the domain's own errors are in `service.errors`."""

from __future__ import annotations

from experiments.errors import GradusError, Problem


class Refusal(GradusError):
    """A request that is refused before it reaches the domain. `problem` says what would be right."""

    def __init__(self, message: str, *, path: str = "", allowed: str | list[str] | None = None) -> None:
        super().__init__(message)
        self.problem = Problem(path, message, allowed)


class Unauthenticated(Refusal):
    """No key, or one that is not known or was revoked."""


class Forbidden(Refusal):
    """The key's scopes do not reach this, the thing is another owner's, or a proxy sent the request without a key."""


class WrongHost(Refusal):
    """A `Host` header this service does not answer to (DNS rebinding)."""


class NotAcceptedType(Refusal):
    """A body of a content type that is not read here."""


class TooLarge(Refusal):
    """A body over the limit."""


class RequestFailed(Refusal):
    """A worker tried what was asked (a prediction, a picture) and could not."""
