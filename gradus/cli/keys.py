"""`gradus keys`: make, list and revoke API keys."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from gradus.cli.local import require
from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import AsJson, connect, settings
from gradus.errors import UsageError
from gradus.text import ago

app = typer.Typer(help="API keys (needs the scope admin where keys are asked for).", rich_markup_mode=None)


class Scope(enum.StrEnum):
    """What a key allows."""

    read = "read"
    write = "write"
    admin = "admin"


Local = Annotated[
    bool,
    typer.Option(
        "--local", help="Straight on the database of GRADUS_DATABASE_URL: for the first key, on the server."
    ),
]


@app.command()
def create(
    owner: Annotated[
        str | None, typer.Option("--owner", help="Whose key it is; experiments carry it.")
    ] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Keys for a class in place of --owner: NAME-01, NAME-02, …")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=500, help="How many students the class has.")] = 30,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="May be given again; admin includes write, write read. [read, write]"),
    ] = None,
    quota: Annotated[int | None, typer.Option(help="Runs each owner may have waiting.")] = None,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Make a key, or one for every student of a class. A key is shown once, here. The start page's filter and
    `GET /v1/experiments?owner=NAME-07` list what a student did."""
    if (owner is None) == (class_name is None):
        raise UsageError(
            "--owner NAME makes one key, --class NAME one for each of --count students; give one of the two"
        )
    owners = (
        [owner]
        if owner is not None
        else [f"{class_name}-{n:0{len(str(count))}}" for n in range(1, count + 1)]
    )
    scopes = [str(name) for name in scope or (Scope.read, Scope.write)]
    bodies = [{"owner": name, "scopes": scopes, "quota": quota} for name in owners]
    made = _created_locally(bodies) if local else _created(bodies)
    if as_json:
        print_json(made if class_name is not None else made[0])
    elif class_name is not None:
        for key in made:
            say(f"{key['owner']}\t{key['key']}")
    else:
        say(made[0]["key"])


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """All keys, without their secrets."""
    from gradus.wire import KeyOut

    keys = [KeyOut.model_validate(key) for key in connect().http.items("/v1/keys")]
    if as_json:
        print_json([key.model_dump(mode="json") for key in keys])
        return
    columns = ("id", "owner", "scopes", "begins with", "quota", "made", "last used", "state")
    rows = [
        (
            key.id,
            key.owner,
            ",".join(key.scopes),
            key.hint,
            key.quota,
            ago(key.created_at),
            ago(key.last_used_at) or "never",
            "revoked" if key.revoked_at else "valid",
        )
        for key in keys
    ]
    print_table("", columns, rows, empty="there are no keys; make one: gradus keys create --owner NAME")


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of a key, from `gradus keys list`.")],
) -> None:
    """Revoke a key: it stops working at once."""
    from gradus.transport import path_of

    connect().http.request("DELETE", path_of("keys", id))
    say(f"revoked {id}")


def _created(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keys made by the service."""
    http = connect().http
    return [http.json("POST", "/v1/keys", json=body) for body in bodies]


def _created_locally(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Keys made on the database."""
    require(("sqlalchemy",))
    from service import operations
    from service.actor import Actor, acting
    from service.store import Store

    store = Store(settings().sql_url)
    try:
        with acting(Actor(address="command")):
            made = [operations.create_key(store, **body) for body in bodies]
    finally:
        store.close()
    return [
        {"id": key.id, "owner": key.owner, "scopes": list(key.scopes), "quota": key.quota, "key": secret}
        for key, secret in made
    ]
