"""The stand-in pages templates as SendGrid does, and shows content only of a single template."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from standins.sendgrid.server import DEFAULT_KEY, SendGridStandIn


class Account:
    """A stand-in, and calls with its key."""

    def __init__(self, standin: SendGridStandIn, http: aiohttp.ClientSession) -> None:
        self.standin = standin
        self._http = http

    async def get(self, path: str, key: str = DEFAULT_KEY) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        async with self._http.get(f"{self.standin.url}{path}", headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    async with SendGridStandIn() as standin, aiohttp.ClientSession() as http:
        yield Account(standin, http)


async def test_pages_follow_each_other_by_their_tokens(account: Account) -> None:
    names = [account.standin.templates.add(f"T{number}", {"html_content": "<p>x</p>"}) for number in range(5)]
    account.standin.templates.add("old", {}, generation="legacy")
    found: list[str] = []
    query = "generations=dynamic&page_size=2"
    while query:
        status, page = await account.get(f"/v3/templates?{query}")
        assert status == 200
        assert page["_metadata"]["count"] == 5
        found += [each["id"] for each in page["result"]]
        assert all("html_content" not in version for each in page["result"] for version in each["versions"])
        query = urlsplit(page["_metadata"].get("next", "")).query
        assert not query or parse_qs(query)["generations"] == ["dynamic"]
    assert found == names
    assert all(name.startswith("d-") and len(name) == 34 for name in names)


async def test_single_template_has_its_content(account: Account) -> None:
    name = account.standin.templates.add("T", {"html_content": "<p>x</p>"})
    status, found = await account.get(f"/v3/templates/{name}")
    assert (status, found["versions"][0]["html_content"], found["versions"][0]["active"]) == (200, "<p>x</p>", 1)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v3/templates?generations=dynamic", 400),
        ("/v3/templates?generations=dynamic&page_size=201", 400),
        ("/v3/templates?generations=new&page_size=1", 400),
        ("/v3/templates/d-unknown", 404),
    ],
)
async def test_wrong_request_is_refused(account: Account, path: str, status: int) -> None:
    found, body = await account.get(path)
    assert found == status
    assert body["errors"][0]["message"]


async def test_legacy_templates_are_listed_by_default(account: Account) -> None:
    old = account.standin.templates.add("old", {}, generation="legacy")
    account.standin.templates.add("new", {})
    assert [each["id"] for each in (await account.get("/v3/templates?page_size=9"))[1]["result"]] == [old]


async def test_key_must_be_known_and_have_the_scope(account: Account) -> None:
    assert (await account.get("/v3/templates?page_size=1", key="SG.wrong"))[0] == 401
    account.standin.templates.has_scope = False
    assert (await account.get("/v3/templates?page_size=1"))[0] == 403
