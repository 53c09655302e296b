"""A run and lists of runs, as the client holds them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pydantic import Field, PrivateAttr

from gradus.errors import ClientError
from gradus.results import History, Prediction
from gradus.tables import as_frame, html_table, text_table
from gradus.text import number, short_id
from gradus.transport import path_of
from gradus.wire import MetricOut, RunFields, WorkOut

if TYPE_CHECKING:
    import numpy.typing as npt

    from gradus.client import Client
    from gradus.events import Event

Json = dict[str, Any]
PATIENCE = 600.0  # seconds for a worker to answer
WAIT = 20  # seconds that one request waits for the answer
LARGEST_BODY = 700_000  # bytes of JSON a request may hold, well under the service's 1 MiB
OVER = ("FINISHED", "FAILED", "KILLED")
SHOWN = ("test/accuracy", "test/loss", "val/accuracy", "val/loss", "train/loss")
OWN_FIELDS = ("id", "status", "attempt", "reason", "stage", "created_at", "started_at", "ended_at")
LOWER_IS_BETTER = ("loss", "error", "mse", "mae", "rel_err", "_s")


def lower_is_better(metric: str) -> bool:
    """Losses, errors and times are better when smaller; everything else when larger, as in a comparison."""
    return metric.rsplit("/", 1)[-1].endswith(LOWER_IS_BETTER)


class Run(RunFields):
    """One training. Its fields are those of the API; `latest` holds the latest value of every metric."""

    latest: dict[str, float | None] = Field(alias="metrics")
    _client: Client = PrivateAttr()

    @classmethod
    def of(cls, client: Client, document: Json) -> Run:
        run = cls.model_validate(document)
        run._client = client
        return run

    def to_json(self) -> Json:
        """The run as the API gives it."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def is_over(self) -> bool:
        """Whether it is FINISHED, FAILED or KILLED."""
        return self.status in OVER

    @property
    def certificate(self) -> str:
        """The verdict of its gradient check: `certified`, `failed`, `refused`, `not assessed`, or "" without any."""
        return self.tags.get("gradus.certificate", "")

    @property
    def spec(self) -> Json:
        """The whole RunSpec."""
        if "spec" not in (self.model_extra or {}):
            self.refresh()
        spec: Json = (self.model_extra or {})["spec"]
        return spec

    def refresh(self) -> Run:
        """Read it again from the service; this object, changed. Raises NotFound, Unreachable."""
        return self._become(self._client.http.json("GET", self._path))

    def metrics(self, *keys: str) -> History:
        """The whole history of its metrics.

        Args:
            keys: names such as `val/loss`; all metrics where none is given.
        """
        params: Json = {"limit": 100_000, **({"key": list(keys)} if keys else {})}
        points = self._client.http.items(f"{self._path}/metrics", params=params)
        return History([MetricOut.model_validate(point) for point in points])

    def events(self, after: str = "") -> Iterator[Event]:
        """What happens to it, from its beginning (or after an event's id) to its end. Survives broken connections."""
        return self._client.http.events(f"{self._path}/events", after)

    def wait(self) -> Run:
        """Wait until it is over; this object, as it is then. Raises Unreachable after two minutes without the service."""
        for _ in self.events():
            pass
        return self.refresh()

    def cancel(self) -> Run:
        """Cancel it. A run that is over stays as it is."""
        return self._become(self._client.http.json("POST", f"{self._path}/cancel"))

    def retry(self) -> Run:
        """Queue it again. Raises Conflict where it finished."""
        return self._become(self._client.http.json("POST", f"{self._path}/retry"))

    def predict(self, inputs: Any) -> Prediction:
        """The trained network's outputs, computed by a worker from the stored weights.

        Args:
            inputs: samples scaled as in training, as an array of shape (samples, …) or nested lists. For an uploaded
                file rows of its columns in its own units: a DataFrame, mappings, or lists in the order of the inputs.

        Raises:
            Conflict: it has not finished.
            Invalid: the inputs have another shape than the data set's samples.
            ClientError: no worker answered within ten minutes.
        """
        import numpy as np

        if hasattr(inputs, "to_dict"):  # a DataFrame
            inputs = inputs.to_dict("records")
        samples = inputs.tolist() if hasattr(inputs, "tolist") else list(inputs)
        outputs: list[Any] = []
        classes: list[int] = []
        warnings: list[str] = []
        labels: list[str] = []
        for batch in _batches(samples):
            result = self._asked("predict", {"inputs": batch})
            outputs += result["outputs"]
            classes += result.get("classes") or []
            warnings += result.get("warnings") or []
            labels += result.get("labels") or []
        return Prediction(
            np.asarray(outputs, np.float64),
            np.asarray(classes, np.int64) if classes else None,
            tuple(dict.fromkeys(warnings)),
            tuple(labels) if labels else None,
        )

    def plot(self) -> dict[str, bytes]:
        """Its pictures, drawn by a worker from what is stored: path to PNG. They are also put into MLflow.

        Raises:
            Conflict: it is not over, or measured nothing.
            ClientError: no worker answered within ten minutes.
        """
        plots = self._asked("plot", {})["plots"]
        return {path: base64.b64decode(content) for path, content in plots.items()}

    def weights(self, file: str | Path | None = None) -> dict[str, npt.NDArray[Any]]:
        """The trained weights, from MLflow.

        Args:
            file: also keep the file there, as Keras' `model.load_weights` reads it (`….weights.h5`).

        Returns:
            arrays by their place in the file: `layers/dense/vars/0` is a dense layer's kernel, `…/1` its bias.

        Raises:
            Conflict: it has not finished, or MLflow has no weights of it (yet).
            ClientError: h5py is not installed.
            Unreachable: MLflow does not answer.
        """
        from gradus.weights import fetch, read

        content = fetch(self.refresh())
        if file is not None:
            Path(file).write_bytes(content)
        return read(content)

    def __repr__(self) -> str:
        levels = ", ".join(f"{name}={label}" for name, label in self.levels.items())
        return f"<Run {short_id(self.id)} {levels}: {self.status}>"

    __str__ = __repr__  # pydantic's own prints every field

    @property
    def _path(self) -> str:
        return path_of("runs", self.id)

    def _become(self, document: Json) -> Run:
        fresh = Run.of(self._client, document)
        self.__dict__.update(fresh.__dict__)
        self.__pydantic_extra__ = fresh.__pydantic_extra__
        return self

    def _asked(self, kind: str, body: object) -> Json:
        """The result of a request to a worker, waited for also where the service answers before the worker does."""
        http = self._client.http
        document = http.json("POST", f"{self._path}/{kind}", json=body, params={"wait": WAIT})
        until = time.monotonic() + PATIENCE
        while (work := WorkOut.model_validate(document)).result is None or work.status != "done":
            if time.monotonic() > until:
                raise ClientError("no worker answered within ten minutes; is one alive? `gradus workers`")
            document = http.json("GET", path_of("requests", work.id), params={"wait": WAIT})
        return work.result

    def row(self) -> Json:
        """The run as one row: its own fields, then `params.…`, `metrics.…`, `tags.…` as MLflow's search names them."""
        row: Json = {name: getattr(self, name) for name in OWN_FIELDS}
        row["mlflow_run_id"] = self.mlflow.run_id
        levels = {name: label for name, label in self.levels.items() if name not in self.params}
        for kind, values in (
            ("params", {**self.params, **levels}),
            ("metrics", self.latest),
            ("tags", self.tags),
        ):
            row |= {f"{kind}.{name}": value for name, value in values.items()}
        return row


class Runs(Sequence[Run]):
    """Runs of one experiment, in the order of the sweep."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = tuple(runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Runs: ...
    def __getitem__(self, index: int | slice) -> Run | Runs:
        return Runs(self._runs[index]) if isinstance(index, slice) else self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def frame(self) -> Any:
        """A row per run: its fields, then `params.…`, `metrics.…` and `tags.…`. A DataFrame where pandas is installed
        (`pip install 'gradus[frames]'`), else a list of dicts."""
        return as_frame([run.row() for run in self._runs])

    def best(self, metric: str) -> Run:
        """The finished run with the best latest value of a metric.

        Args:
            metric: losses, errors and times are better when smaller, everything else when larger.

        Raises:
            ClientError: no finished run has a value of it.
        """
        measured = [
            (value, run)
            for run in self._runs
            if run.status == "FINISHED" and (value := run.latest.get(metric)) is not None
        ]
        if not measured:
            raise ClientError(f"no finished run has a value of {metric}")
        choose = min if lower_is_better(metric) else max
        return choose(measured, key=lambda pair: pair[0])[1]

    def table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Columns and rows for people: ids, status, levels, and the usual metrics."""
        levels = list(dict.fromkeys(name for run in self._runs for name in run.levels))
        metrics = [name for name in SHOWN if any(name in run.latest for run in self._runs)]
        rows: list[tuple[object, ...]] = [
            (
                short_id(run.id),
                run.status,
                *(run.levels.get(name) for name in levels),
                *(number(run.latest.get(name)) for name in metrics),
                run.explanation,
            )
            for run in self._runs
        ]
        return ("id", "status", *levels, *metrics, "why"), rows

    def __str__(self) -> str:
        return text_table("", *self.table())

    def _repr_html_(self) -> str:
        return html_table("", *self.table())


def _batches(samples: list[Any]) -> Iterator[list[Any]]:
    """The samples in pieces that a request can hold."""
    import json

    batch: list[Any] = []
    size = 0
    for sample in samples:
        length = len(json.dumps(sample)) + 2
        if batch and size + length > LARGEST_BODY:
            yield batch
            batch, size = [], 0
        batch.append(sample)
        size += length
    yield batch
