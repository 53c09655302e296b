"""Trained weights from MLflow: the file that Keras wrote, and its arrays."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import httpx

from gradus.errors import ClientError, Conflict, Unreachable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from gradus.runs import Run

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


def fetch(run: Run) -> bytes:
    """The weights file of a run. The service's key is not sent: MLflow is another server.

    Raises:
        Conflict: MLflow has no weights of the run (yet).
        Unreachable: MLflow does not answer.
    """
    url = run.links.get("weights")
    if url is None:
        raise Conflict(409, {"detail": f"run {run.id} is {run.status}; MLflow has no weights of it (yet)"})
    try:
        answer = httpx.get(url, timeout=TIMEOUT, follow_redirects=True)
    except httpx.TransportError as error:
        raise Unreachable(f"MLflow does not answer at {url}: {error}") from error
    if answer.status_code in (404, 500):  # 500 is what MLflow answers where its store has no such file
        raise Conflict(
            409, {"detail": f"MLflow has no weights of run {run.id}; it answered {answer.status_code}"}
        )
    if answer.status_code != 200:
        raise ClientError(f"MLflow answered with status {answer.status_code} at {url}")
    return answer.content


def read(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a `.weights.h5` file by their place in it. Raises ClientError where h5py is not installed."""
    try:
        import h5py
    except ImportError as error:
        raise ClientError("reading weights needs h5py: pip install 'gradus[weights]'") from error
    arrays: dict[str, npt.NDArray[np.generic]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item[()]

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(visit)
    return arrays
