"""`/docs` needs nothing from elsewhere: its page names only what this service has."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import httpx


def test_everything_that_the_page_names_is_here(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    named = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page.text)
    addresses = {urljoin("/docs", address or url) for address, url in named}
    script, style, document = "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"
    assert {script, style, document} <= addresses
    assert all(address.startswith("/") for address in addresses)
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text).replace("https://fastapi.tiangolo.com", "")
    kinds = {address: client.get(address).headers["content-type"].split(";")[0] for address in addresses}
    assert (kinds[script], kinds[style]) == ("text/javascript", "text/css")
    assert all(client.get(address).status_code == 200 for address in addresses)
    assert "connect-src 'self'" in page.headers["content-security-policy"]


def test_nothing_else_of_the_package_is_given_out(client: httpx.Client) -> None:
    for name in ("redoc.standalone.js", "favicon.png", "..%2Fcore.py", "none"):
        assert client.get(f"/docs/{name}").status_code == 404
