"""Structured logs: one line an event, on standard error, with what is bound in every line and secrets masked."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from service.settings import Settings, without_password

LIBRARIES = ("celery", "multiprocessing")
SECRET_NAMES = ("password", "secret", "api_key", "token", "authorization")


def configure(settings: Settings, **bound: str) -> None:
    """Send structlog's events, and what libraries log, to stderr, as JSON or for reading; `bound` goes into every
    line of this process."""
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
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
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
