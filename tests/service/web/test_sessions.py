"""A session begins with a key, ends by log-out, by time or with the key, and is not the key itself."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from service import operations
from service.web.sessions import local
from service.web.view import SESSION
from tests.service.scored_runs import World


def log_in(client: httpx.Client, key: str, next: str = "/") -> httpx.Response:
    return client.post("/login", data={"key": key, "next": next})


@pytest.fixture
def browser(serve: Callable[..., str]) -> httpx.Client:
    return httpx.Client(base_url=serve(auth_required=True), trust_env=False)


def test_a_session_lasts_until_log_out(world: World, browser: httpx.Client) -> None:
    _, secret = operations.create_key(world.store, owner="ada", scopes=["write"])
    assert browser.get("/").headers["location"] == "/login?next=/"
    begun = log_in(browser, f" {secret} ", next="/workers")
    assert (begun.status_code, begun.headers["location"]) == (303, "/workers")
    cookie = begun.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=43200" in cookie
    assert secret not in cookie
    token = browser.cookies[SESSION]
    assert "Log out ada" in browser.get("/").text
    browser.post("/logout")
    assert SESSION not in browser.cookies
    browser.cookies.set(SESSION, token)
    stolen = browser.get("/")
    assert stolen.status_code == 303, "a copy of the cookie is worth nothing after log-out"


def test_a_session_expires(world: World, serve: Callable[..., str]) -> None:
    _, secret = operations.create_key(world.store, owner="ada", scopes=["read"])
    with httpx.Client(base_url=serve(auth_required=True, session_seconds=0.5), trust_env=False) as browser:
        token = operations.open_session(world.store, secret, 0.5)
        assert token is not None
        browser.cookies.set(SESSION, token)
        statuses = {browser.get("/").status_code}
        while 303 not in statuses:  # the test's time limit ends it where no session expires
            statuses.add(browser.get("/").status_code)
        assert statuses <= {200, 303}


def test_a_session_ends_with_its_key(world: World, browser: httpx.Client) -> None:
    key, secret = operations.create_key(world.store, owner="ada", scopes=["read"])
    log_in(browser, secret)
    assert browser.get("/").status_code == 200
    operations.revoke_key(world.store, key.id)
    assert browser.get("/").status_code == 303
    assert log_in(browser, secret).status_code == 401


def test_the_key_itself_is_no_session(world: World, browser: httpx.Client) -> None:
    _, secret = operations.create_key(world.store, owner="ada", scopes=["read"])
    browser.cookies.set(SESSION, secret)
    assert browser.get("/").status_code == 303
    assert log_in(browser, "gradus_nonsense").status_code == 401


def test_scopes_hold_on_the_pages_too(world: World, browser: httpx.Client) -> None:
    _, reader = operations.create_key(world.store, owner="ada", scopes=["read"])
    _, other = operations.create_key(world.store, owner="bob", scopes=["write"])
    id = world.submit(world.QUESTION).id
    assert browser.post(f"/experiments/{id}/cancel").status_code == 401
    for secret in (reader, other):
        log_in(browser, secret)
        assert "Delete" not in browser.get("/").text
        assert browser.post(f"/experiments/{id}/cancel").status_code == 403
        assert browser.post(f"/experiments/{id}/delete").status_code == 403
    log_in(browser, reader)
    assert browser.post("/new", files={"text": (None, world.QUESTION)}).status_code == 403


@pytest.mark.parametrize(
    ("asked", "given"),
    [("/runs/a?x=1", "/runs/a?x=1"), ("//evil.example", "/"), ("/\\evil.example", "/"), ("https://evil.example", "/")],
)  # fmt: skip
def test_after_the_log_in_the_browser_stays_here(asked: str, given: str) -> None:
    assert local(asked) == given
