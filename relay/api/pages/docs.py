"""Serve the API reference: a page that shows the OpenAPI document, tries calls, and loads nothing from other hosts."""

from pathlib import Path

from relay.api.http import OWN_FILES, Request, Response, content_security_policy, file_response
from relay.api.services import Call
from relay.core.errors import Refusal

FOLDER = Path(__file__).parents[2] / "web" / "docs_ui"
FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "start.js": "text/javascript"}
"""The files that the page loads; no other file of the folder is served."""

POLICY = content_security_policy(OWN_FILES)


async def page(call: Call) -> Response:
    """Handle GET /docs."""
    return _answer(call.request, "index.html", "text/html")


async def asset(call: Call) -> Response:
    """Handle GET /docs/…."""
    name = call.values["path"]
    if name not in FILES:
        raise Refusal(404, "not_found", "No file of the documentation has this name.")
    return _answer(call.request, name, FILES[name])


def _answer(request: Request, name: str, media_type: str) -> Response:
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return file_response(request, (FOLDER / name).read_bytes(), media_type, headers)
