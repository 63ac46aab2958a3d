"""Serve the landing page, the console and the inbox: static files with a content security policy that allows no other host.

The files are read once. Their URLs contain a digest of all files, so a browser can cache them without limit: a new version has
new URLs. A browser revalidates the pages each time, and gets 304 while they are unchanged.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from relay.api.http import OWN_FILES, Request, Response, content_security_policy, file_response, json_response
from relay.api.services import Call
from relay.api.shapes.system import LandingView
from relay.core.errors import Refusal

FOLDER = Path(__file__).parents[2] / "web" / "console"
_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOR_GOOD = "public, max-age=31536000, immutable"
_FOR_A_DAY = "public, max-age=86400"
_ASK_AGAIN = "no-cache"
_LINKS = {"console": "console", "inbox": "inbox", "docs": "docs", "openapi": "openapi.json", "health": "v1/health"}
"""The paths of the landing page, by the members of `LandingView`."""

POLICY = content_security_policy({**OWN_FILES, "frame-src": "'self'", "require-trusted-types-for": "'script'"})
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
}


class _Files(msgspec.Struct, frozen=True, kw_only=True):
    """The files by path, and a digest of all of them."""

    version: str
    contents: Mapping[str, bytes]


@cache
def _files() -> _Files:
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in _TYPES)
    contents = {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(b"%s\n%d\n%s" % (name.encode(), len(content), content))
    return _Files(version=digest.hexdigest()[:16], contents=contents)


async def landing(call: Call) -> Response:
    """Handle GET /: a page of links for browsers, the same links as JSON for programs. Neither names a version or a setting."""
    if "text/html" in call.request.headers.get("accept", ""):
        response = _page(call, "landing.html")
    else:
        paths = {name: f"{call.base_url}/{path}" for name, path in _LINKS.items()}
        response = json_response(LandingView(**paths), headers={**HEADERS, "Cache-Control": _ASK_AGAIN})
    return msgspec.structs.replace(response, headers={**response.headers, "Vary": "Accept"})


async def icon(call: Call) -> Response:
    """Handle GET /favicon.ico, which browsers request on their own. They use its media type, not its name, so it is an SVG."""
    return _answer(call.request, "icon.svg", _files().contents["icon.svg"], _FOR_A_DAY)


async def console(call: Call) -> Response:
    """Handle GET /console."""
    return _page(call, "console.html")


async def inbox(call: Call) -> Response:
    """Handle GET /inbox."""
    return _page(call, "inbox.html")


async def asset(call: Call) -> Response:
    """Handle GET /console/assets/{version}/…: cached without limit if the version is this instance's."""
    files = _files()
    version, _, name = call.values["path"].partition("/")
    if name not in files.contents or name.endswith(".html"):
        raise Refusal(404, "not_found", "No file of the console has this name.")
    # During an update an instance may serve another version's file; a browser must not cache that one.
    is_ours = version == files.version
    return _answer(call.request, name, files.contents[name], _FOR_GOOD if is_ours else _ASK_AGAIN)


def _page(call: Call, name: str) -> Response:
    files = _files()
    content = files.contents[name].replace(b"{{assets}}", f"/console/assets/{files.version}".encode())
    content = content.replace(b"{{entra}}", b"on" if call.services.authentication.trusts_entra else b"off")
    return _answer(call.request, name, content, _ASK_AGAIN)


def _answer(request: Request, name: str, content: bytes, caching: str) -> Response:
    return file_response(request, content, _TYPES[Path(name).suffix], {**HEADERS, "Cache-Control": caching})
