"""What happens to an experiment or a run, as the service tells it."""

from __future__ import annotations

from typing import Any

from gradus.wire import EventOut


class Event(EventOut):
    """One server-sent event.

    Attributes:
        id: the cursor to continue after it; empty for `end`.
        kind: `status`, `metrics`, `cancel`, `experiment`, and `end` as the last.
    """

    id: str
    kind: str

    @classmethod
    def of(cls, id: str, kind: str, data: dict[str, Any]) -> Event:
        return cls.model_validate({**data, "id": id, "kind": kind})

    @property
    def data(self) -> dict[str, Any]:
        """What the service sent, without id and kind."""
        return self.model_dump(mode="json", exclude={"id", "kind"}, exclude_unset=True)
