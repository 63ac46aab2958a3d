"""The documentation's page loads only what this relay serves."""

import re

from tests.api.harness import Harness


async def test_the_page_and_all_it_loads_are_served_here(relay: Harness) -> None:
    page = await relay.call("GET", "/docs", client=None)
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(/[^"]*)"', page.body.decode())
    assert len(loaded) == 3
    for path in loaded:
        assert (await relay.call("GET", path, client=None)).status == 200
    assert "//" not in page.body.decode().replace("</", "")


async def test_what_has_not_changed_is_not_sent_again(relay: Harness) -> None:
    page = await relay.call("GET", "/docs", client=None)
    again = await relay.call("GET", "/docs", client=None, headers={"If-None-Match": page.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_nothing_else_of_the_folder_is_served(relay: Harness) -> None:
    for path in ("/docs/README.md", "/docs/../api/docs.py", "/docs/index.html"):
        assert (await relay.call("GET", path, client=None)).status == 404
