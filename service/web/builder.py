"""`/new`: build a network and submit it. Form and YAML are two views of one text."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData

from experiments.errors import GradusError, Problem, SpecError
from experiments.spec.examples import examples, summary
from experiments.spec.written import as_yaml
from service.http.bounded import within
from service.http.submission import prepare, preview, submit_spec
from service.store import queries
from service.web import form as forms
from service.web import spec_text
from service.web.data_picture import picture
from service.web.keras_tab import NO_PROGRAM, Program, read_program
from service.web.view import PageRoute, Visit, VisitDep, problems_of

router = APIRouter(prefix="/new", include_in_schema=False, route_class=PageRoute)
START = "name: my-first-network\ndataset: {name: digits}\nmodel: {hidden: [32], activation: relu}\ntraining: {epochs: 3}\n"
COURSE = (
    *(
        "perceptron-and",
        "perceptron-or",
        "perceptron-xor",
        "xor-mlp",
        "linear-regression",
        "sine",
        "polynomial",
    ),
    *(
        "diabetes",
        "mnist-mlp",
        "nielsen-784-30-10",
        "mnist-cnn",
        "mnist-cnn-pattern",
        "pooling",
        "large-image-conv",
    ),
    *(
        "activations",
        "relu-sparsity",
        "vanishing-gradient",
        "depth-vs-width",
        "rnn-over-rows",
        "initializers",
    ),
    *("normalization", "schedules", "regularization", "tuned-question", "inline"),
)
"""Examples in the order of the course; those that it does not name follow."""


@dataclass(frozen=True)
class Checked:
    """A text as the builder shows it.

    Attributes:
        faults: every problem with the line of the text that it is in, and the entry of the form that it is at.
        preview: what would be done; None where there is a problem.
        program: the Keras program in the third tab.
    """

    text: str
    form: forms.Form | None
    faults: tuple[tuple[Problem, int | None, str | None], ...]
    preview: dict[str, Any] | None
    runs: int = 0
    stage: str = ""
    program: Program = NO_PROGRAM
    dataset: object = None
    """The section of a text that can be read."""

    @property
    def address(self) -> str | None:
        packed = spec_text.to_address(self.text)
        return None if packed is None else f"/new?spec={packed}"

    def at(self, name: str) -> list[Problem]:
        """The problems at an entry of the form."""
        return [problem for problem, _, entry in self.faults if entry == name]


@router.get("")
def builder(visit: VisitDep, spec: str = "", example: str = "", request: Request = None) -> Response:  # type: ignore[assignment]
    """The page, with the spec of the address, of an example, or of an experiment (`?from=ID`)."""
    who = visit.person
    text, fault = START, None
    origin = visit.request.query_params.get("from", "")
    try:
        if spec:
            text = spec_text.from_address(spec)
        elif example:
            text = examples().get(example, START)
        elif origin:
            text = as_yaml(queries.get_experiment(visit.store, origin, owner=who.sees).spec)
    except SpecError as error:
        fault = error
    return show(visit, check(text, visit, fault))


async def sent_form(request: Request, visit: VisitDep) -> AsyncIterator[FormData]:
    """The form that was sent, read here so that what is made of it runs in a thread of its own."""
    async with request.form(max_part_size=visit.settings.max_body_bytes) as form:
        yield form


Sent = Annotated[FormData, Depends(sent_form)]


@router.post("/edit")
def edit(visit: VisitDep, sent: Sent) -> Response:
    """The builder after an entry was changed, a button pressed, or the text written; nothing is kept."""
    assert visit.person
    return show(visit, edited(sent, visit), part=sent.get("part") == "builder")


@router.post("")
def submit(visit: VisitDep, sent: Sent) -> Response:
    """Submit the spec. The same form sent twice makes one experiment."""
    who = visit.writer
    checked = edited(sent, visit)
    body = checked.text.encode()
    key = f"form:{_text(sent, 'form')[:100]}:{hashlib.sha256(body).hexdigest()}"
    if checked.faults:
        return show(visit, checked, status=422)
    try:
        document = within(visit.settings.spec_seconds, spec_text.read, checked.text)
        prepared = prepare(document, visit.settings, visit.store, who)
        experiment = submit_spec(visit.store, who, prepared, idempotency_key=key, body=body)
    except GradusError as error:
        return show(visit, check(checked.text, visit, error), status=422)
    return RedirectResponse(f"/experiments/{experiment.id}", 303)


def edited(sent: FormData, visit: Visit) -> Checked:
    """What was sent, with the changed entries and the pressed button in its text."""
    text, deed = _text(sent, "text").replace("\r\n", "\n"), _text(sent, "do")
    program = Program(_text(sent, "code").replace("\r\n", "\n"))
    seconds, limits = visit.settings.spec_seconds, visit.settings.limits()
    try:
        if deed == "keras":
            text, program = within(seconds, read_program, program.code, limits)
        elif deed != "text":
            entries = {
                name[2:]: value
                for name, value in sent.items()
                if name.startswith("f:") and isinstance(value, str)
            }
            text = within(seconds, forms.apply, text, entries)
            if ":" in deed or deed == "as-layers":
                text = within(seconds, forms.act, text, deed)
    except SpecError as error:
        return replace(check(text, visit, error), program=program)
    return replace(check(text, visit), program=program)


def check(text: str, visit: Visit, fault: GradusError | None = None) -> Checked:
    """A text as form and preview, or with what is wrong with it."""
    form, problems, found, runs, stage, dataset = None, [], None, 0, "", None
    seconds = visit.settings.spec_seconds
    try:
        document = within(seconds, spec_text.read, text)
        dataset = document.get("dataset")
        form = within(seconds, forms.form_of, document)
        answer = preview(document, visit.settings, visit.store, visit.person)
        found, runs, stage = answer.document, len(answer.fingerprints), answer.stage
        found["networks"] = list(
            {(n["architecture"], n["parameters"]): n for n in found["networks"]}.values()
        )
    except SpecError as error:
        problems = list(error.problems)
    if fault is not None:
        problems = [*problems_of(fault), *problems]
    positions = within(seconds, spec_text.lines, text) if problems else {}
    names = [entry.name for entry in form.fields()] if form else []
    faults = tuple(
        (visit.in_words(problem), _line_of(problem, positions), nearest(problem.path, names))
        for problem in problems
    )
    return Checked(text, form, faults, found, runs, stage, dataset=dataset)


def _line_of(problem: Problem, positions: dict[str, int]) -> int | None:
    """The line of the problem's field; of a text that cannot be read, the one that its message begins with."""
    named = re.match(r"line (\d+):", problem.message)
    return int(named[1]) if named and not problem.path else spec_text.line_of(problem.path, positions)


def nearest(path: str, names: list[str]) -> str | None:
    """The entry of the form that a problem is at: of the same path, around it, or the first within it."""
    around = [name for name in names if path == name or path.startswith((f"{name}.", f"{name}["))]
    if around:
        return max(around, key=len)
    within = [name for name in names if path and name.startswith((f"{path}.", f"{path}["))]
    return within[0] if within else None


def show(visit: Visit, checked: Checked, *, status: int = 200, part: bool = False) -> Response:
    """The page, or the part of it that an edit changes."""
    return visit.page(
        "builder.html" if part else "new.html",
        status,
        checked=checked,
        data_picture=picture(checked.dataset, visit.settings.data_dir, visit.words),
        form=checked.form,
        token=uuid.uuid4().hex,
        examples=lessons(),
    )


@cache
def lessons() -> tuple[tuple[str, str], ...]:
    """(name, sentence) of the examples that stand for themselves, in the order of the course."""
    texts = {name: text for name, text in examples().items() if "/" not in name}
    order = [*(name for name in COURSE if name in texts), *(name for name in texts if name not in COURSE)]
    return tuple((name, summary(texts[name])) for name in order)


def _text(sent: FormData, name: str) -> str:
    value = sent.get(name, "")
    return value if isinstance(value, str) else ""
