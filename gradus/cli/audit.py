"""`gradus audit`: who changed what."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gradus.cli.output import print_json, print_table
from gradus.cli.session import AsJson, connect
from gradus.text import ago


def register(app: typer.Typer) -> None:
    app.command()(audit)


def audit(
    owner: Annotated[str | None, typer.Option(help="Only what this owner did.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this action: deleted, cancelled, submitted, …")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Only what was done to the thing with this id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries shown, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Who submitted, changed, cancelled or deleted what, also of things that are gone. Needs the scope admin."""
    given = {"owner": owner, "action": action, "id": id, "limit": min(limit, 1000)}
    query = {name: value for name, value in given.items() if value is not None}
    from gradus.wire import AuditOut

    entries = [AuditOut.model_validate(entry) for entry in connect().http.items("/v1/audit", limit, query)]
    if as_json:
        print_json([entry.model_dump(mode="json") for entry in entries])
        return
    columns = ("when", "who", "key", "from", "did", "to", "id", "details")
    rows = [
        (
            ago(entry.at),
            entry.owner or "person here",
            entry.key_id[:8],
            entry.address,
            entry.action,
            entry.kind,
            entry.target_id[:8],
            json.dumps(entry.details, ensure_ascii=False),
        )
        for entry in entries
    ]
    print_table("", columns, rows, empty="nothing was changed")
