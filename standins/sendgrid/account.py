# ruff: noqa: ARG002 (all responders have the same signature, so that one guard can wrap them)
"""SendGrid's account routes: reads (scopes, credits, senders, domains), scheduled sends and suppressions.

Sources: the vendor's OpenAPI files tsg_scheduled_sends, tsg_suppressions, tsg_user,
tsg_domain_authentication.
"""

import re
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

import msgspec
from aiohttp import web

from standins.http import Acceptance, Decide, json_response
from standins.inbox import Inbox
from standins.sendgrid import rules

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Responder = Callable[[web.Request, bytes], web.Response]
KINDS = ("bounces", "blocks", "invalid_emails", "spam_reports", "unsubscribes")

_UNIQUE_ARGUMENT = re.compile(r"unique_args\['(\w+)'\]=\"([^\"]*)\"")


def _error(status: int, message: str) -> web.Response:
    return json_response({"errors": [rules.Refusal(message=message)]}, status)


class AccountOwner(Protocol):
    """The parts of a stand-in that its account routes need."""

    account: str
    inbox: Inbox
    credits_remaining: int

    @property
    def verified_senders(self) -> Collection[str] | None:
        """Return the verified addresses and domains; None verifies all."""

    def key_refusal(self, request: web.Request) -> web.Response | None:
        """Return the 401 for a missing, unknown or revoked key; None if the key is valid."""

    async def perform(self, operation: str, request: web.Request, examine: Decide) -> web.StreamResponse:
        """Serve one operation under the script."""


class AccountRoutes:
    """The account routes. Their state: `schedules` (batch id → cancel, pause or ""), `suppressed`
    (kind → address → reason), `has_activity_feed` (the paid add-on)."""

    def __init__(self, standin: AccountOwner) -> None:
        self._standin = standin
        self.schedules: dict[str, str] = {}
        self.has_activity_feed = False
        self.suppressed: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}

    def all_suppressed(self, addresses: Sequence[str]) -> bool:
        known = {address for listed in self.suppressed.values() for address in listed}
        return bool(addresses) and all(address.lower() in known for address in addresses)

    def batch_refusals(self, mail: Any) -> list[rules.Refusal]:
        batch_id = mail.get("batch_id")
        if batch_id is None or batch_id in self.schedules:
            return []
        return [rules.refusal("The batch_id is not valid.", "batch_id")]

    def routes(self) -> list[web.RouteDef]:
        one = "/v3/suppression/{kind}/{email}"
        return [
            web.get("/v3/scopes", self._guarded(self._scopes)),
            web.get("/v3/user/credits", self._guarded(self._credits)),
            web.get("/v3/user/account", self._guarded(self._account)),
            web.get("/v3/verified_senders", self._guarded(self._senders)),
            web.get("/v3/whitelabel/domains", self._guarded(self._domains)),
            web.get("/v3/messages", self._guarded(self._search)),
            web.post("/v3/mail/batch", self._guarded(self._create_batch)),
            web.get("/v3/mail/batch/{batch_id}", self._guarded(self._show_batch)),
            web.get("/v3/user/scheduled_sends", self._guarded(self._list_schedules)),
            web.post("/v3/user/scheduled_sends", self._guarded(self._schedule)),
            web.get("/v3/user/scheduled_sends/{batch_id}", self._guarded(self._show_schedule)),
            web.delete("/v3/user/scheduled_sends/{batch_id}", self._guarded(self._unschedule)),
            web.get("/v3/asm/suppressions/global/{email}", self._guarded(self._show_global)),
            web.delete("/v3/asm/suppressions/global/{email}", self._guarded(self._delete_global)),
            web.post("/v3/asm/suppressions/global", self._guarded(self._add_global)),
            web.get("/v3/suppression/{kind}", self._guarded(self._list_suppressed)),
            web.delete("/v3/suppression/{kind}", self._guarded(self._delete_several)),
            web.get(one, self._guarded(self._show_suppressed)),
            web.delete(one, self._guarded(self._delete_suppressed)),
        ]

    def _guarded(self, respond: Responder) -> Handler:
        """Wrap a route: apply the script and check the key."""

        async def handle(request: web.Request) -> web.StreamResponse:
            async def examine(body: bytes) -> Acceptance | web.Response:
                return self._standin.key_refusal(request) or respond(request, body)

            return await self._standin.perform("account", request, examine)

        return handle

    def _scopes(self, request: web.Request, body: bytes) -> web.Response:
        scopes = ["mail.batch.create", "user.scheduled_sends.create", "user.credits.read"]
        has_send = self._standin.account not in ("missing_scope", "vetting", "banned")
        return json_response({"scopes": [*(["mail.send"] if has_send else []), *scopes]})

    def _credits(self, request: web.Request, body: bytes) -> web.Response:
        remain = 0 if self._standin.account == "credits_exhausted" else self._standin.credits_remaining
        return json_response(
            {
                "remain": remain,
                "total": 10_000,
                "overage": 0,
                "used": 10_000 - remain,
                "last_reset": "2026-01-01",
                "next_reset": "2026-02-01",
                "reset_frequency": "monthly",
            }
        )

    def _account(self, request: web.Request, body: bytes) -> web.Response:
        return json_response({"type": "paid", "reputation": 99.7})

    def _entries(self, is_domain: bool) -> list[str]:
        if self._standin.account == "sender_unverified":
            return []
        return sorted(s for s in self._standin.verified_senders or () if ("@" not in s) == is_domain)

    def _senders(self, request: web.Request, body: bytes) -> web.Response:
        entries = [
            {"id": n, "nickname": s, "from_email": s, "from_name": "", "verified": True, "locked": False}
            for n, s in enumerate(self._entries(is_domain=False), 1)
        ]
        return json_response({"results": entries})

    def _domains(self, request: web.Request, body: bytes) -> web.Response:
        entries = [
            {"id": n, "domain": d, "subdomain": "em", "valid": True, "default": n == 1, "legacy": False}
            for n, d in enumerate(self._entries(is_domain=True), 1)
        ]
        return json_response(entries)

    def _search(self, request: web.Request, body: bytes) -> web.Response:
        """Search the Email Activity feed by unique arguments, if `has_activity_feed`."""
        if not self.has_activity_feed:
            return _error(403, "access forbidden")
        wanted = dict(_UNIQUE_ARGUMENT.findall(request.query.get("query", "")))
        found = [mail for mail in self._standin.inbox.messages if wanted.items() <= mail.fields["custom_args"].items()]
        rows = [
            {"msg_id": f"{mail.id}.recvd-standin", "to_email": address, "subject": mail.subject, "status": "processed"}
            for mail in (found if wanted else [])
            for address in mail.envelope
        ]
        return json_response({"messages": rows[: int(request.query.get("limit", 10))]})

    def _create_batch(self, request: web.Request, body: bytes) -> web.Response:
        batch_id = secrets.token_urlsafe(40)
        self.schedules[batch_id] = ""
        return json_response({"batch_id": batch_id}, 201)

    def _show_batch(self, request: web.Request, body: bytes) -> web.Response:
        batch_id = request.match_info["batch_id"]
        return json_response({"batch_id": batch_id}) if batch_id in self.schedules else _error(400, "invalid batch id")

    def _list_schedules(self, request: web.Request, body: bytes) -> web.Response:
        return json_response([{"batch_id": b, "status": s} for b, s in self.schedules.items() if s])

    def _show_schedule(self, request: web.Request, body: bytes) -> web.Response:
        batch_id = request.match_info["batch_id"]
        status = self.schedules.get(batch_id)
        return json_response([{"batch_id": batch_id, "status": status}] if status else [])

    def _schedule(self, request: web.Request, body: bytes) -> web.Response:
        try:
            order = msgspec.json.decode(body, type=dict[str, str])
        except msgspec.MsgspecError:
            return _error(400, "invalid request")
        batch_id, status = order.get("batch_id", ""), order.get("status")
        if batch_id not in self.schedules or status not in ("cancel", "pause"):
            return _error(400, "invalid batch id or status")
        if self.schedules[batch_id]:
            return _error(400, "a status is already set for this batch id; use PATCH or DELETE")
        self._set_schedule(batch_id, status)
        return json_response({"batch_id": batch_id, "status": status}, 201)

    def _unschedule(self, request: web.Request, body: bytes) -> web.Response:
        batch_id = request.match_info["batch_id"]
        if not self.schedules.get(batch_id):
            return _error(404, "batch id not found")
        self._set_schedule(batch_id, "")
        return web.Response(status=204)

    def _set_schedule(self, batch_id: str, status: str) -> None:
        self.schedules[batch_id] = status
        outcome = {"cancel": "cancelled", "pause": "paused", "": "scheduled"}[status]
        for mail in list(self._standin.inbox.messages):
            if mail.fields.get("batch_id") == batch_id and mail.outcome != "delivered":
                self._standin.inbox.replace(msgspec.structs.replace(mail, outcome=outcome))

    def _record(self, email: str, reason: str) -> dict[str, Any]:
        return {"created": 0, "email": email, "reason": reason, "status": "5.0.0"}

    def _listed(self, request: web.Request) -> dict[str, str] | None:
        return self.suppressed.get(request.match_info["kind"])

    def _list_suppressed(self, request: web.Request, body: bytes) -> web.Response:
        listed = self._listed(request)
        if listed is None:
            return _error(404, "not found")
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 500))
        rows = [self._record(email, reason) for email, reason in listed.items()]
        return json_response(rows[offset : offset + limit])

    def _show_suppressed(self, request: web.Request, body: bytes) -> web.Response:
        email = request.match_info["email"].lower()
        reason = (self._listed(request) or {}).get(email)
        return json_response([] if reason is None else [self._record(email, reason)])

    def _delete_suppressed(self, request: web.Request, body: bytes) -> web.Response:
        email = request.match_info["email"].lower()
        found = (self._listed(request) or {}).pop(email, None)
        return _error(404, "not found") if found is None else web.Response(status=204)

    def _delete_several(self, request: web.Request, body: bytes) -> web.Response:
        listed = self._listed(request)
        order = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        if listed is None or not ({"delete_all", "emails"} & order.keys()):
            return _error(400, "invalid request")
        for email in list(listed) if order.get("delete_all") else order.get("emails", []):
            listed.pop(str(email).lower(), None)
        return web.Response(status=204)

    def _show_global(self, request: web.Request, body: bytes) -> web.Response:
        email = request.match_info["email"].lower()
        return json_response({"recipient_email": email} if email in self.suppressed["unsubscribes"] else {})

    def _add_global(self, request: web.Request, body: bytes) -> web.Response:
        order = msgspec.json.decode(body, type=dict[str, list[str]])
        for email in order["recipient_emails"]:
            self.suppressed["unsubscribes"][email.lower()] = ""
        return json_response(order, 201)

    def _delete_global(self, request: web.Request, body: bytes) -> web.Response:
        self.suppressed["unsubscribes"].pop(request.match_info["email"].lower(), None)
        return web.Response(status=204)
