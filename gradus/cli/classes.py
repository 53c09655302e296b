"""`gradus classes`: a class whose students join with a code and get a key of their own."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import AsJson, connect
from gradus.text import ago

app = typer.Typer(
    help="Classes: students join with a code (all but `join` need a key with the scope admin).",
    rich_markup_mode=None,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the class.")]


@app.command()
def create(
    name: Name,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many students may join.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Make a class. Its code and the link to join are shown once, here."""
    made = connect().http.json("POST", "/v1/classes", json={"name": name, "count": count})
    if as_json:
        print_json(made)
        return
    say(f"code: {made['code']}")
    say(f"link: {made['links']['join']}")
    say(f"students and answers: {made['links']['page']}")


@app.command()
def join(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code of the class.")],
    name: Annotated[str, typer.Argument(metavar="YOUR_NAME", help="Your name in it.")],
    as_json: AsJson = False,
) -> None:
    """Join a class. Prints a key of your own, which is shown once, here: set GRADUS_API_KEY to it."""
    joined = connect().http.json("POST", "/v1/classes/join", json={"code": code, "name": name})
    if as_json:
        print_json(joined)
    else:
        say(joined["key"])


@app.command("list")
def list_classes(as_json: AsJson = False) -> None:
    """All classes."""
    rows = list(connect().http.items("/v1/classes"))
    if as_json:
        print_json(rows)
        return
    cells = [
        (
            row["name"],
            f"{row['students']} of {row['most']}",
            "open" if row["opened_at"] else "hidden from each other",
        )
        for row in rows
    ]
    print_table(
        "",
        ("class", "students", "results"),
        cells,
        empty="there is no class; make one: gradus classes create NAME",
    )


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """The students of a class, and how far each is."""
    from gradus.wire_course import ClassStudent

    rows = [ClassStudent.model_validate(row) for row in connect().http.items(_path(name, "students"))]
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    cells = [
        (row.owner, row.lessons, row.experiments, ago(row.last_used_at) or "never", row.key_id)
        for row in rows
    ]
    columns = ("student", "lessons", "experiments", "last seen", "key")
    print_table("", columns, cells, empty="nobody has joined yet")


@app.command()
def wall(
    name: Name,
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="Name of a lesson or of an experiment.")],
    as_json: AsJson = False,
) -> None:
    """Everybody's latest answer to one spec."""
    rows = list(connect().http.items(_path(name, "wall"), params={"spec": spec}))
    if as_json:
        print_json(rows)
        return
    cells = [
        (row["owner"], row["verdict"] or "", row["answer"], (row["experiment_id"] or "")[:8]) for row in rows
    ]
    print_table("", ("student", "verdict", "answer", "experiment"), cells, empty="nobody has joined yet")


@app.command("open")
def open_class(name: Name) -> None:
    """Let the students of a class see each other's results."""
    _set(name, "open")
    say(f"the students of {name} see each other's results")


@app.command()
def close(name: Name) -> None:
    """Hide the results of a class from each other."""
    _set(name, "close")
    say(f"every student of {name} sees only the own results")


def _set(name: str, deed: str) -> None:
    connect().http.request("POST", _path(name, deed))


def _path(name: str, what: str) -> str:
    return f"/v1/classes/{quote(name, safe='')}/{what}"
