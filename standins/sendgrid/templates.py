# ruff: noqa: ARG002 (all responders have the same signature, so that one guard can wrap them)
"""SendGrid's templates and their versions, as far as they are read (the vendor's OpenAPI file tsg_templates_v3)."""

import secrets
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Protocol
from urllib.parse import urlencode

from aiohttp import web

from standins.http import Acceptance, Decide, json_response
from standins.sendgrid import rules

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Responder = Callable[[web.Request, bytes], web.Response]
MAX_PAGE = 200
GENERATIONS = ("legacy", "dynamic", "legacy,dynamic")
_ADDRESS = "https://api.sendgrid.com/v3/templates"
_UPDATED_AT = "2026-02-03 04:05:06"
_LEAN = ("id", "template_id", "active", "name", "subject", "updated_at", "generate_plain_content", "editor")


class TemplateOwner(Protocol):
    """The parts of a stand-in that its template routes need."""

    def key_refusal(self, request: web.Request) -> web.Response | None:
        """Return the 401 for a missing, unknown or revoked key; None if the key is valid."""

    async def perform(self, operation: str, request: web.Request, examine: Decide) -> web.StreamResponse:
        """Serve one operation under the script."""


class TemplateRoutes:
    """The template routes. Without `has_scope` the key may not read templates."""

    def __init__(self, standin: TemplateOwner) -> None:
        self._standin = standin
        self.has_scope = True
        self.stored: dict[str, dict[str, Any]] = {}

    def add(self, name: str, *versions: dict[str, Any], generation: str = "dynamic") -> str:
        """Store a template with these versions, and return its id. The last is active, unless a version sets `active` itself."""
        template_id = f"d-{secrets.token_hex(16)}" if generation == "dynamic" else str(uuid.uuid4())
        stored = [self._version(template_id, number == len(versions), each) for number, each in enumerate(versions, 1)]
        self.stored[template_id] = {
            "id": template_id,
            "name": name,
            "generation": generation,
            "updated_at": _UPDATED_AT,
            "versions": stored,
        }
        return template_id

    def _version(self, template_id: str, is_last: bool, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "template_id": template_id,
            "active": int(is_last),
            "name": "first",
            "subject": "",
            "updated_at": _UPDATED_AT,
            "generate_plain_content": True,
            "html_content": "",
            "plain_content": "",
            "editor": "code",
            "test_data": "",
            **given,
        }

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v3/templates", self._guarded(self._list)),
            web.get("/v3/templates/{id}", self._guarded(self._show)),
        ]

    def _guarded(self, respond: Responder) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            async def examine(body: bytes) -> Acceptance | web.Response:
                refused = self._standin.key_refusal(request)
                if refused is None and not self.has_scope:
                    refused = _error(403, "access forbidden")
                return refused or respond(request, body)

            return await self._standin.perform("account", request, examine)

        return handle

    def _list(self, request: web.Request, body: bytes) -> web.Response:
        generations, size = request.query.get("generations", "legacy"), request.query.get("page_size", "")
        if generations not in GENERATIONS:
            return _error(400, "generations must be legacy, dynamic or legacy,dynamic")
        if not size.isdecimal() or not 1 <= int(size) <= MAX_PAGE:
            return _error(400, f"page_size is required and must be between 1 and {MAX_PAGE}")
        wanted = [each for each in self.stored.values() if each["generation"] in generations.split(",")]
        start = next((n for n, each in enumerate(wanted) if each["id"] == request.query.get("page_token")), 0)
        page, rest = wanted[start : start + int(size)], wanted[start + int(size) :]
        metadata: dict[str, Any] = {
            "self": _page(generations, size, request.query.get("page_token")),
            "count": len(wanted),
        }
        if rest:
            metadata["next"] = _page(generations, size, rest[0]["id"])
        return json_response({"result": [_lean(each) for each in page], "_metadata": metadata})

    def _show(self, request: web.Request, body: bytes) -> web.Response:
        found = self.stored.get(request.match_info["id"])
        return _error(404, "template not found") if found is None else json_response(found)


def _page(generations: str, size: str, token: str | None) -> str:
    query = {"generations": generations, "page_size": size, **({"page_token": token} if token else {})}
    return f"{_ADDRESS}?{urlencode(query)}"


def _lean(template: dict[str, Any]) -> dict[str, Any]:
    """Return a template of a list: its versions have no content."""
    return {**template, "versions": [{name: each[name] for name in _LEAN} for each in template["versions"]]}


def _error(status: int, message: str) -> web.Response:
    return json_response({"errors": [rules.Refusal(message=message)]}, status)
