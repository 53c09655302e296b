"""An experiment, as the client holds it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr

from gradus.comparison import Comparison
from gradus.progress import follow
from gradus.runs import OVER, Run, Runs
from gradus.text import counts, short_id
from gradus.transport import path_of
from gradus.wire import ExperimentOut

if TYPE_CHECKING:
    from gradus.client import Client
    from gradus.events import Event

Json = dict[str, Any]
PAGE = 1000  # runs on a page


class Experiment(ExperimentOut):
    """A group of comparable runs. Its fields are those of the API, as they were when it was last read."""

    _client: Client = PrivateAttr()

    @classmethod
    def of(cls, client: Client, document: Json) -> Experiment:
        experiment = cls.model_validate(document)
        experiment._client = client
        return experiment

    def to_json(self) -> Json:
        """The experiment as the API gives it."""
        return self.model_dump(mode="json")

    @property
    def spec(self) -> Json:
        """The spec it came from."""
        if "spec" not in (self.model_extra or {}):
            self.refresh()
        spec: Json = (self.model_extra or {})["spec"]
        return spec

    @property
    def warnings(self) -> list[str]:
        """What will probably surprise, as the service said when it accepted the spec; empty for one read later."""
        return list((self.model_extra or {}).get("warnings", ()))

    @property
    def ended(self) -> int:
        """Number of runs that are over."""
        return sum(self.status.get(name, 0) for name in OVER)

    @property
    def unfinished(self) -> dict[str, int]:
        """Numbers of runs that failed or were killed, by status; empty where there are none."""
        return {name: count for name in ("FAILED", "KILLED") if (count := self.status.get(name, 0))}

    def refresh(self) -> Experiment:
        """Read it again from the service; this object, changed. Raises NotFound, Unreachable."""
        return self._become(self._client.http.json("GET", self._path))

    def runs(self, filters: Mapping[str, object] | None = None, /, **named: object) -> Runs:
        """Its runs, in the order of the sweep.

        Args:
            filters: field to value, or to a list of values, for names with dots: `{"training.batch_size": 32}`.
            named: the same for other names: `status="FINISHED"`, `stage=…`, any factor or parameter.

        Raises:
            Invalid: no run has such a field.
        """
        documents = self._client.http.items(
            f"{self._path}/runs", params={**(filters or {}), **named, "limit": PAGE}
        )
        return Runs([Run.of(self._client, document) for document in documents])

    def best(self, metric: str | None = None) -> Run:
        """The finished run with the best latest value.

        Args:
            metric: a name such as `test/accuracy`; default: the question's metric, else the comparison's own choice.

        Raises:
            ClientError: no finished run has a value of it.
        """
        metric = metric or (self.plan.metric if self.plan else self.compare().metric)
        return self.runs(status="FINISHED").best(metric)

    def compare(self, factor: str | None = None, metric: str | None = None) -> Comparison:
        """Which level of a factor is better, by how much, and how sure that is.

        Args:
            factor: `activation`, `optimizer`, a path, or `case`; default: the question's factor, or the only one swept.
            metric: a name such as `test/accuracy`; default: the question's metric.

        Raises:
            Invalid: no run has such a factor or metric.
        """
        names = {"factor": factor, "metric": metric}
        params = {name: value for name, value in names.items() if value is not None}
        document = self._client.http.json("GET", f"{self._path}/comparison", params=params)
        return Comparison.model_validate(document)

    def report(self, factor: str | None = None, metric: str | None = None) -> str:
        """The same as one self-contained HTML page with pictures."""
        names = {"factor": factor, "metric": metric}
        params = {name: value for name, value in names.items() if value is not None}
        return self._client.http.request("GET", f"{self._path}/report", params=params).text

    def events(self, after: str = "") -> Iterator[Event]:
        """What happens to it and its runs, from the beginning (or after an event's id) to its end. A broken connection
        is opened again, and no event is lost or given twice.

        Raises:
            Unreachable: the service stayed away for two minutes.
        """
        return self._client.http.events(f"{self._path}/events", after)

    def wait(self, progress: bool = False) -> Experiment:
        """Wait until every run is over and the question, if there is one, is answered or its budget spent.

        Args:
            progress: show a bar, in a terminal and in a notebook; where output is piped, a line per change.

        Returns:
            this object, as it is then.

        Raises:
            Unreachable: the service stayed away for two minutes.
        """
        return follow(self, progress=progress)

    def extend(
        self,
        seeds: int | Sequence[int] | None = None,
        *,
        looks: Sequence[int] = (),
        levels: Sequence[object] | Mapping[str, object] = (),
        epochs: int | None = None,
        reuse: Sequence[str] = (),
    ) -> Experiment:
        """Queue the next planned look, further looks or levels, or more seeds. Equal runs are used again.

        Args:
            seeds: how many further seeds, 1 to 10,000, or the seeds themselves. With a question only where its sweep names
                its seeds: those of the further looks, in their order.
            looks: seeds per level at further looks, once the planned ones are done.
            levels: new levels of the compared factor; for cases a mapping of label to fields.
            epochs: further epochs for every run that came to its last one, from its checkpoint; alone, and only where
                no question is fixed.
            reuse: ids of experiments whose equal runs are taken over instead of trained again.

        Raises:
            Conflict: there is nothing to extend now.
            Invalid: there is no such experiment, or the looks, levels or seeds do not fit.
        """
        body: dict[str, Any] = {}
        if seeds is not None:
            body["seeds"] = seeds if isinstance(seeds, int) else list(seeds)
        if looks:
            body["looks"] = list(looks)
        if levels:
            body["levels"] = dict(levels) if isinstance(levels, Mapping) else list(levels)
        if epochs is not None:
            body["epochs"] = epochs
        if reuse:
            body["reuse"] = list(reuse)
        return self._become(self._client.http.json("POST", f"{self._path}/extend", json=body))

    def cancel(self) -> Experiment:
        """Cancel every run that is not over."""
        return self._become(self._client.http.json("POST", f"{self._path}/cancel"))

    def retry(self) -> Experiment:
        """Queue its failed and killed runs again."""
        return self._become(self._client.http.json("POST", f"{self._path}/retry"))

    def change(
        self, *, name: str | None = None, description: str | None = None, priority: int | None = None
    ) -> Experiment:
        """Change name, description or priority (-10 to 10). What is None stays.

        Raises:
            Conflict: somebody changed it since it was read.
        """
        given = {"name": name, "description": description, "priority": priority}
        body = {field: value for field, value in given.items() if value is not None}
        headers = {"If-Match": f'"{self.version}"'}
        return self._become(self._client.http.json("PATCH", self._path, json=body, headers=headers))

    def delete(self) -> None:
        """Cancel it and remove it, here and in MLflow (where it can be restored)."""
        self._client.http.request("DELETE", self._path)

    def __repr__(self) -> str:
        return f"<Experiment {self.name} {short_id(self.id)}: {counts(self.status, self.shipping)}>"

    __str__ = __repr__  # pydantic's own prints every field

    @property
    def _path(self) -> str:
        return path_of("experiments", self.id)

    def _become(self, document: Json) -> Experiment:
        spec = (self.model_extra or {}).get("spec")  # it never changes, and not every answer holds it
        fresh = Experiment.of(self._client, {**({"spec": spec} if spec else {}), **document})
        self.__dict__.update(fresh.__dict__)
        self.__pydantic_extra__ = fresh.__pydantic_extra__
        return self
