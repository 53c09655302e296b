"""Structured logs: one line an event, on standard error, with what is bound in every line and secrets masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from service.settings import Settings, without_password

LIBRARIES = ("celery", "multiprocessing")
SECRET_NAMES = ("password", "secret", "api_key", "token", "authorization")


class LossyStream:
    """A text stream whose writing never raises. A full disk or a closed pipe costs log lines, not the work that logs.

    Once writing works again, a line says how many were lost.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, text: str) -> int:
        """Write, or lose the text."""
        try:
            if self._lost:
                self._stream.write(f"{self._lost} log lines could not be written\n")
                self._lost = 0
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            self._lost += text.count("\n")
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, or lose it."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._lost += 1


def configure(settings: Settings, **bound: str) -> None:
    """Send structlog's events, and what libraries log, to stderr. Logging never raises.

    Args:
        settings: level, and whether a line is JSON or for reading.
        bound: goes into every line of this process.
    """
    stream = LossyStream(sys.stderr)
    render: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_json
        else structlog.dev.ConsoleRenderer(colors=False, pad_event_to=0)
    )

    def add_bound(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**bound, **event}

    chain: list[Any] = [
        structlog.contextvars.merge_contextvars,
        add_bound,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[*chain, render],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[settings.log_level]
        ),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, stream)),
    )
    handler = logging.StreamHandler(stream)
    leave = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=chain, processors=[leave, render])
    )
    logging.getLogger().handlers = [handler]
    for name in LIBRARIES:  # they bring handlers of their own
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
        logging.getLogger(name).setLevel(settings.log_level)


def mask(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what is named like a secret, and passwords inside addresses."""
    for name, value in event.items():
        if any(secret in name.lower() for secret in SECRET_NAMES):
            event[name] = "***"
        elif isinstance(value, str):
            event[name] = without_password(value)
    return event
