"""One call of MLflow: what it raises becomes an error of `service.tracking.records`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from mlflow.exceptions import MlflowException

from service.tracking.records import TrackingRefused, TrackingUnavailable

T = TypeVar("T")
GONE = "RESOURCE_DOES_NOT_EXIST"
EXISTS = "RESOURCE_ALREADY_EXISTS"
# Codes by which MLflow says that a run or experiment is gone, or that these values are not allowed, however often they
# are sent. All other codes (no permission, no such endpoint, a failure inside) are about the server or a proxy: they
# pass, or an operator mends them.
REFUSALS = {GONE, EXISTS, "INVALID_PARAMETER_VALUE", "INVALID_STATE"}
# HTTP statuses of the artifact API that are about one file: a path that is not allowed, a file that is too large.
REFUSED_FILE = {400, 413}


def call(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function of MLflow.

    Raises:
        TrackingRefused: MLflow understood and said no.
        TrackingUnavailable: it did not answer, or failed inside.
    """
    try:
        return function(*args, **kwargs)
    except MlflowException as error:
        code = str(error.error_code)
        if code in REFUSALS:
            raise TrackingRefused(f"MLflow refused: {error}", code) from error
        raise TrackingUnavailable(f"MLflow: {error}") from error
    except OSError as error:  # errors of requests are OSErrors, and in the artifact API they are not wrapped
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status in REFUSED_FILE:
            raise TrackingRefused(f"MLflow refused an artifact: {error}", f"HTTP {status}") from error
        raise TrackingUnavailable(f"MLflow: {error}") from error


def remove(function: Callable[..., object], *args: Any) -> None:
    """Call a function of MLflow that removes something; what is gone already counts as removed."""
    try:
        call(function, *args)
    except TrackingRefused as error:
        if error.code != GONE:
            raise
