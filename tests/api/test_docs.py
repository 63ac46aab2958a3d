"""The API documentation page loads only files of this relay."""

import re

from tests.api.harness import Harness


async def test_page_loads_only_local_files(relay: Harness) -> None:
    page = await relay.call("GET", "/docs", client=None)
    assert page.status == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    loaded = re.findall(r'(?:src|href)="(/[^"]*)"', page.body.decode())
    assert len(loaded) == 4
    for path in loaded:
        assert (await relay.call("GET", path, client=None)).status == 200
    assert "//" not in page.body.decode().replace("</", "")


async def test_unchanged_file_returns_304(relay: Harness) -> None:
    page = await relay.call("GET", "/docs", client=None)
    again = await relay.call("GET", "/docs", client=None, headers={"If-None-Match": page.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_other_files_of_the_folder_are_not_served(relay: Harness) -> None:
    for path in ("/docs/README.md", "/docs/../api/docs.py", "/docs/index.html"):
        assert (await relay.call("GET", path, client=None)).status == 404
