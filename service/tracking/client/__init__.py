"""MLflow's client: the only package that imports mlflow.

Every function here may be called again after an answer was lost. Creation looks for what an earlier call made, metrics
carry fixed timestamps (MLflow keeps one row per key, timestamp, step and value), parameters and tags are set to the same
values. Nothing of MLflow's fluent API is used, so there is no active run and no global tracking address.

MLflow's answers become two errors of `service.tracking.records`: `TrackingUnavailable` (try again later) and
`TrackingRefused` (MLflow understood and said no; trying again changes nothing).
"""

from __future__ import annotations

import os

# mlflow reads these when it is imported or when it sends. It does not wait for minutes inside one call (the shipper
# waits between calls instead), prints no addresses and reports nothing to a third party.
os.environ.update(
    {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
        "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "GIT_PYTHON_REFRESH": "quiet",
    }
)

from service.tracking.client.models import log_model, save_keras_model
from service.tracking.client.tracking import Tracking

__all__ = ["Tracking", "log_model", "save_keras_model"]
