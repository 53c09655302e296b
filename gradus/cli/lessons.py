"""`gradus lessons`: the course, a claim each."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from gradus.cli.output import complain, print_json, print_table, say
from gradus.cli.session import FAILED, AsJson, connect
from gradus.errors import Unreachable, UsageError

Language = Literal["en", "zh"]


def register(app: typer.Typer) -> None:
    app.command()(lessons)


def lessons(
    name: Annotated[str | None, typer.Argument(help="Show this lesson; its number will do.")] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Test it: train what it needs, wait, and say what it came to.")
    ] = False,
    language: Annotated[Language, typer.Option("--lang", help="Language of the lessons.")] = "en",
    as_json: AsJson = False,
) -> None:
    """The lessons of the course, one of them, or its test. What is computed on paper needs no service."""
    if name is None:
        if run:
            raise UsageError("--run tests one lesson: gradus lessons NAME --run")
        _list(language, as_json)
        return
    lesson = _found(name)
    document = _tested(lesson, language) if run and lesson.trains else _shown(lesson, language)
    if as_json:
        print_json(document)
    else:
        _explain(document, language)
    if run and document["verdict"] is None:
        raise typer.Exit(FAILED)


def _found(name: str) -> Any:
    from experiments.course import lessons as all_lessons

    known = all_lessons()
    matches = [key for key in known if key == name or key.split("-")[0] == name.zfill(2)]
    if len(matches) != 1:
        raise UsageError(f"there is no lesson {name!r} (allowed: {', '.join(known)})")
    return known[matches[0]]


def _list(language: Language, as_json: bool) -> None:
    from experiments.course import lessons as all_lessons

    try:
        rows = list(connect().http.items("/v1/lessons", params={"lang": language}))
    except Unreachable:
        rows = [_shown(lesson, language) for lesson in all_lessons().values()]
        complain("the service cannot be reached: states of lessons that train are not known")
    if as_json:
        print_json(rows)
    else:
        table = [(row["name"], row["title"], row["state"], row["verdict"] or "") for row in rows]
        print_table("", ("name", "title", "state", "verdict"), table)


def _shown(lesson: Any, language: Language) -> dict[str, Any]:
    """A lesson as the service gives it, without the service: what is on paper is computed here."""
    from experiments.course import on_paper

    outcome = None if lesson.trains else on_paper(lesson.name)
    checks = [
        {
            "says": row.check.says.in_language(language),
            "expected": row.expected,
            "measured": row.value,
            "holds": row.holds,
        }
        for row in (outcome.measured if outcome is not None else ())
    ]
    return {
        "name": lesson.name,
        "title": lesson.title.in_language(language),
        "claim": lesson.claim.in_language(language),
        "formula": lesson.formula,
        "trains": lesson.trains,
        "state": "not yet" if lesson.trains else "done",
        "states": lesson.outcome,
        "verdict": outcome.verdict if outcome is not None else None,
        "sentence": outcome.sentence(language) if outcome is not None else None,
        "checks": checks,
        "spec": lesson.document() if lesson.trains else None,
    }


def _tested(lesson: Any, language: Language) -> dict[str, Any]:
    client = connect()
    started = client.http.json("POST", f"/v1/lessons/{lesson.name}")
    client.experiment(started["experiment_id"]).wait()
    tested: dict[str, Any] = client.http.json("GET", f"/v1/lessons/{lesson.name}", params={"lang": language})
    return tested


def _explain(document: dict[str, Any], language: str) -> None:
    from experiments.spec.written import as_yaml

    say(f"{document['name']}: {document['title']}")
    say(document["claim"])
    if document["formula"]:
        say(f"  {document['formula']}")
    if document["sentence"] is not None:
        rows = [
            (
                check["says"],
                check["expected"],
                f"{check['measured']:.6g}" if check["measured"] is not None else "",
            )
            for check in document["checks"]
        ]
        print_table("", ("quantity", "the claim", "measured"), rows)
        say(f"{document['verdict']}: {document['sentence']}")
        if document.get("links", {}).get("picture"):
            say(f"picture: {document['links']['picture']}?lang={language}")
    elif document["spec"] is not None:
        say(as_yaml(document["spec"]).rstrip("\n"))
