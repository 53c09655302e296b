"""The Python client: `gradus.Client`. Everything that the command asks of a service goes through it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal
from urllib.parse import quote

import httpx

from gradus.dataset import Dataset, content_type
from gradus.errors import NotFound, Unreachable, UsageError
from gradus.experiment import Experiment
from gradus.runs import Run
from gradus.transport import Transport, path_of
from gradus.wire import WorkerOut

Json = dict[str, Any]
Spec = str | Path | Mapping[str, Any]
TRIES = 3
PAGE = 100  # experiments on a page
UPLOAD_TIMEOUT = httpx.Timeout(600.0, connect=3.0)  # the service reads the file before it answers


class Client:
    """A Gradus service.

    Attributes:
        url: its address, without the user and password that it may hold.
        http: requests to addresses that no method here is for: `client.http.json("GET", "/v1/keys")`.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        """Args:
            url: address of the service; default: GRADUS_URL, else the stack that runs on GRADUS_HOME.
            api_key: default: GRADUS_API_KEY. Both are also read from `.env` and secret files.

        Raises:
            UsageError: the address is none, the key cannot be sent, or a setting is not allowed.
        """
        if url is None or api_key is None:
            from gradus.settings import ClientSettings, read_settings

            settings = read_settings(ClientSettings)
            url, api_key = url or settings.service_url, api_key or settings.key
        self.http = Transport(url, api_key)
        self.url = self.http.url

    def close(self) -> None:
        """Give the connections back. A client is also a context manager that does so."""
        self.http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, spec: Spec, *, changes: Sequence[str] = ()) -> Experiment:
        """Submit a spec. It is sent again where the answer was lost; its idempotency key makes that harmless.

        Args:
            spec: the path of a file, YAML or JSON text, or a mapping.
            changes: fields to change, as `training.epochs=3`.

        Raises:
            Invalid: the service refuses it; `errors` holds every fault with the path of its field.
            UsageError, SpecError: the file cannot be read, or is not YAML.
            Unreachable: the service does not answer.
        """
        document = _document(spec, changes)
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        for last in (*[False] * (TRIES - 1), True):
            try:
                answer = self.http.json("POST", "/v1/experiments", json=document, headers=headers)
            except Unreachable as error:
                if last or isinstance(error.__cause__, httpx.ConnectError):
                    raise
            else:
                return Experiment.of(self, answer)
        raise AssertionError("unreachable")

    def preview(self, spec: Spec, *, changes: Sequence[str] = ()) -> Json:
        """What a spec would do: runs, shapes, costs and warnings; nothing is kept. Raises as `submit`."""
        document = _document(spec, changes)
        return self.http.json("POST", "/v1/experiments", json=document, params={"dry_run": True})

    def ask(
        self,
        base: Spec,
        factor: str,
        levels: Sequence[object],
        *,
        tune: Mapping[str, object] | None = None,
        points: int | None = None,
        tune_seeds: int = 2,
        metric: str | None = None,
        delta: float | None = None,
        looks: Sequence[int] | Literal["any"] | None = None,
        budget: int | None = None,
        control: str | None = None,
        best: bool = False,
        over: str | None = None,
        changes: Sequence[str] = (),
    ) -> Experiment:
        """Ask which level is better. The service extends the experiment look by look until it is decided or the budget
        is spent: `client.ask(…).wait(progress=True).compare()`.

        Args:
            base: the spec that everything else is from; its own `sweep` and `compare` are left out.
            factor: what is compared: `activation`, `optimizer`, a path.
            levels: its levels, at least two: names, numbers or mappings.
            tune: field to what is tried for every level: a tuple (low, high) for a range on a log scale, or a list.
            points: points of every range; default: two per decade and one.
            tune_seeds: seeds per point, at least 1.
            metric: by what; default `test/accuracy`.
            delta: the smallest difference that counts, in the metric's unit; a loss has no default.
            looks: seeds per level at the planned looks, rising; or `any`: after every seed.
            budget: at most so many runs.
            control: the level that the others are compared with; default: every pair is compared.
            best: whether to ask which level is the best, in place of which of two is better.
            over: what a seed varies: `seeds` (one split of the data), or `splits` (drawn anew for each).
            changes: fields of `base` to change, as `training.epochs=3`.

        Raises:
            UsageError: fewer than two levels, or a range that does not rise from above 0.
            Invalid: the service refuses the question.
        """
        from gradus.question import with_question

        options = {
            "metric": metric,
            "delta": delta,
            "looks": list(looks) if looks and not isinstance(looks, str) else looks,
            "budget": budget,
            "control": control,
            "best": best or None,
            "over": over,
        }
        document = with_question(
            _document(base, changes),
            factor=factor,
            levels=levels,
            tune=tune or {},
            points=points,
            tune_seeds=tune_seeds,
            options=options,
        )
        return self.submit(document)

    def experiments(
        self, filters: Mapping[str, object] | None = None, /, *, most: int | None = None, **named: object
    ) -> Iterator[Experiment]:
        """Experiments, the newest first.

        Args:
            filters: field to value, or to a list of values, for names with dots.
            most: at most so many.
            named: the same for other names: `name=…`, `owner=…`, `stage=…`, and whatever runs may be filtered by.
        """
        page = PAGE if most is None else min(most, PAGE)
        params = {**(filters or {}), **named, "limit": page}
        documents = self.http.items("/v1/experiments", most, params)
        return (Experiment.of(self, document) for document in documents)

    def experiment(self, id: str) -> Experiment:
        """An experiment by its id, which may be shortened while it is unique. Raises NotFound."""
        return Experiment.of(self, self.http.json("GET", path_of("experiments", id)))

    def run(self, id: str) -> Run:
        """A run by its id, which may be shortened while it is unique. Raises NotFound."""
        return Run.of(self, self.http.json("GET", path_of("runs", id)))

    def find(self, id: str) -> Experiment | Run:
        """What an id, perhaps shortened, belongs to.

        Raises:
            UsageError: it is no id, belongs to nothing, or begins the ids of an experiment and of a run.
        """
        owners: list[Experiment | Run] = []
        refusals: list[str] = []
        for read in (self.experiment, self.run):
            try:
                owners.append(read(id))
            except NotFound as error:
                refusals.append(str(error))
        if len(owners) > 1:
            raise UsageError(f"{id!r} begins the id of an experiment and of a run; give more of it")
        if not owners:
            ambiguous = [text for text in refusals if "more than one" in text]
            raise UsageError((ambiguous or [f"no experiment or run has the id {id!r}"])[0])
        return owners[0]

    def upload(
        self,
        file: str | Path,
        *,
        name: str | None = None,
        target: str | None = None,
        kind: Literal["classification", "binary", "regression"] | None = None,
    ) -> Dataset:
        """Upload a file of your own: CSV, NPZ or Parquet. The same bytes again are kept once.

        Args:
            name: what specs call it; default: the file's name without its ending.
            target: the column to predict; a spec may name another.
            kind: what the target is; default: texts and few whole numbers are classes, other numbers a regression.

        Raises:
            UsageError: there is no such file.
            Invalid: the file cannot be used; `errors` says where, by row and column.
            Conflict: another file has the name.
            Unreachable: the service does not answer.
        """
        path = Path(file)
        given = {"name": name or path.stem, "target": target, "kind": kind}
        params = {key: value for key, value in given.items() if value is not None}
        try:
            content = path.open("rb")
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
        with content:
            answer = self.http.json(
                "POST", "/v1/datasets", params=params, content=content, timeout=UPLOAD_TIMEOUT,
                headers={"Content-Type": content_type(path)},
            )  # fmt: skip
        return Dataset.of(self, answer)

    def datasets(self) -> list[Dataset]:
        """The uploaded files, the newest first."""
        return [Dataset.of(self, document) for document in self.http.items("/v1/datasets")]

    def dataset(self, name: str) -> Dataset:
        """An uploaded file by its name or digest. Raises NotFound."""
        return Dataset.of(self, self.http.json("GET", f"/v1/datasets/{quote(name, safe='')}"))

    def workers(self) -> list[WorkerOut]:
        """The worker processes: who is alive, on what device, doing what."""
        return [WorkerOut.model_validate(worker) for worker in self.http.items("/v1/workers")]

    def catalog(self) -> Json:
        """What a spec can choose from: activations, optimizers, layers, losses, data sets, with formulas."""
        return self.http.json("GET", "/v1/catalog")

    def ready(self) -> Json:
        """What the service reaches, and remedies; answered also where something is away."""
        return self.http.object_of(self.http.send("GET", "/readyz"))


def _document(spec: Spec, changes: Sequence[str]) -> Json:
    from gradus.documents import apply, spec_of  # which load the spec's language, 0.2 s

    document = spec_of(spec)
    for change in changes:
        apply(document, change)
    return document
