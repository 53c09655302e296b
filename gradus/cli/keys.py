"""`gradus keys`: make, list and revoke API keys."""

from __future__ import annotations

import enum
from typing import Annotated, Any

import typer

from gradus.cli.local import require
from gradus.cli.output import print_json, print_table, say
from gradus.cli.session import AsJson, connect, settings
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
    owner: Annotated[str, typer.Option("--owner", help="Whose key it is; experiments carry it.")],
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="May be given again; admin includes write, write read. [read, write]"),
    ] = None,
    quota: Annotated[int | None, typer.Option(help="Runs the owner may have waiting.")] = None,
    local: Local = False,
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once, here."""
    body = {
        "owner": owner,
        "scopes": [str(name) for name in scope or (Scope.read, Scope.write)],
        "quota": quota,
    }
    made = _create_locally(body) if local else connect().http.json("POST", "/v1/keys", json=body)
    if as_json:
        print_json(made)
    else:
        say(made["key"])


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


def _create_locally(body: dict[str, Any]) -> dict[str, Any]:
    require(("sqlalchemy",))
    from service import operations
    from service.actor import Actor, acting
    from service.store import Store

    store = Store(settings().sql_url)
    try:
        with acting(Actor(address="command")):
            key, secret = operations.create_key(store, **body)
    finally:
        store.close()
    return {"id": key.id, "owner": key.owner, "scopes": list(key.scopes), "quota": key.quota, "key": secret}
