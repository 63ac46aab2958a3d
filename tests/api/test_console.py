"""Static files of the console and the inbox: content types, caching, content security policy."""

import re

import pytest

from relay import __version__
from relay.api.pages.console import FOLDER
from tests.api.harness import BASE, ApiResponse, Harness

PAGES = ("/console", "/inbox")


async def fetch(relay: Harness, path: str, **headers: str) -> ApiResponse:
    response = await relay.call("GET", path, client=None, headers=headers)
    assert response.headers["x-content-type-options"] == "nosniff"
    return response


async def assets(relay: Harness) -> str:
    """Return the base path of the pages' files."""
    [found] = {
        match[1] for match in re.finditer(r'"(/console/assets/\w+)/', (await fetch(relay, "/console")).body.decode())
    }
    return str(found)


@pytest.mark.parametrize("page", PAGES)
async def test_page_needs_no_key_and_contains_no_placeholder(relay: Harness, page: str) -> None:
    response = await fetch(relay, page)
    assert (response.status, response.headers["content-type"]) == (200, "text/html")
    assert b"{{" not in response.body
    assert response.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("page", PAGES)
async def test_every_file_of_a_page_has_its_type_and_is_immutable(relay: Harness, page: str) -> None:
    named = re.findall(r'(?:href|src)="([^"#]+)"', (await fetch(relay, page)).body.decode())
    files = [path for path in named if path.startswith(await assets(relay))]
    assert {path.rpartition(".")[2] for path in files} == {"css", "js", "svg"}
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    for path in files:
        response = await fetch(relay, path)
        assert (response.status, response.headers["content-type"]) == (200, types[path.rpartition(".")[2]])
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("page", PAGES)
async def test_page_with_a_matching_etag_is_not_sent_again(relay: Harness, page: str) -> None:
    tag = (await fetch(relay, page)).headers["etag"]
    again = await fetch(relay, page, **{"If-None-Match": f'"other", W/{tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    assert (await fetch(relay, page, **{"If-None-Match": '"other"'})).status == 200


async def test_file_of_another_version_is_not_cached(relay: Harness) -> None:
    response = await fetch(relay, "/console/assets/0123456789abcdef/js/dom.js")
    assert (response.status, response.headers["cache-control"]) == (200, "no-cache")


@pytest.mark.parametrize("path", ["js/none.js", "", "../api/console.py", "%2e%2e/api/console.py", "console.html", "js"])
async def test_unknown_path_or_path_outside_the_folder_is_not_found(relay: Harness, path: str) -> None:
    response = await fetch(relay, f"{await assets(relay)}/{path}")
    assert (response.status, response.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("page", [*PAGES, "/console/assets/x/js/dom.js"])
async def test_content_security_policy_allows_only_own_origin(relay: Harness, page: str) -> None:
    headers = (await fetch(relay, page)).headers
    rules = dict(rule.strip().partition(" ")[::2] for rule in headers["content-security-policy"].split(";"))
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert rules.pop("img-src") == "'self' data:"
    none = {"default-src", "base-uri", "form-action", "frame-ancestors"}
    own = {"script-src", "style-src", "connect-src", "frame-src"}
    assert rules == {**dict.fromkeys(none, "'none'"), **dict.fromkeys(own, "'self'")}
    assert headers["referrer-policy"] == "no-referrer"


def test_no_file_names_a_foreign_host_or_builds_markup_from_text() -> None:
    allowed = {"http://www.w3.org/2000/svg"}  # an XML namespace, never fetched
    for path in FOLDER.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert set(re.findall(r"\b(?:https?:)?//[\w.-]+\.\w+[^\s\"'`)]*", text)) <= allowed, path
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
            ), path
            assert not re.search(r"""\sstyle=["'{]|\son\w+=["']""", text), path


async def test_page_states_whether_entra_sign_in_is_on() -> None:
    for setting, meta in (("true", b'content="on"'), ("", b'content="off"')):
        relay = await Harness({"WEBSITE_AUTH_ENABLED": setting}).start()
        assert meta in (await fetch(relay, "/console")).body


async def test_address_of_the_relay_shows_browsers_links_that_work(relay: Harness) -> None:
    response = await fetch(relay, "/", Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (response.status, response.headers["content-type"], response.headers["vary"]) == (200, "text/html", "Accept")
    links = re.findall(r'href="(/[^"]*)"', response.body.decode())
    assert {"/console", "/inbox", "/docs", "/openapi.json"} <= set(links)
    assert {(await fetch(relay, link)).status for link in links} == {200}


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
async def test_address_of_the_relay_lists_programs_the_same_links_and_no_version(relay: Harness, accept: str) -> None:
    response = await fetch(relay, "/", Accept=accept)
    assert (response.status, response.headers["vary"]) == (200, "Accept")
    paths = {name: link.removeprefix(BASE) for name, link in response.json.items()}
    expected = {"console": "/console", "inbox": "/inbox", "docs": "/docs", "openapi": "/openapi.json"}
    assert paths == {**expected, "health": "/v1/health"}
    assert __version__.encode() not in response.body + (await fetch(relay, "/", Accept="text/html")).body


async def test_icon_is_found_under_the_name_that_browsers_try(relay: Harness) -> None:
    response = await fetch(relay, "/favicon.ico")
    assert (response.status, response.headers["content-type"]) == (200, "image/svg+xml")
    assert response.body == (FOLDER / "icon.svg").read_bytes()


async def test_version_is_reported_to_signed_in_clients_only(relay: Harness) -> None:
    assert (await relay.call("GET", "/v1/me")).json["version"] == __version__
    public = ["/v1/health", "/v1/ready", "/console", "/inbox", "/docs"]
    assert not [path for path in public if __version__.encode() in (await fetch(relay, path)).body]
