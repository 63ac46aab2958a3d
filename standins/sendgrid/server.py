"""Stand-in for SendGrid v3: mail/send as in its contract, the account reads that probes use, suppressions,
scheduled sends, templates, and signed Event Webhook posts about accepted mails.

Script operations: `send` (mail/send), `account` (every read and suppression call).
"""

import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from standins.http import Acceptance, Clock, StandIn, json_response, utc_now
from standins.inbox import Address, Attachment, Mail, relay_id_of
from standins.sendgrid import rules
from standins.sendgrid.account import AccountRoutes
from standins.sendgrid.events import EventWebhook
from standins.sendgrid.templates import TemplateRoutes

DEFAULT_KEY = "SG.standin.key"

# Bodies: support.sendgrid.com 18322114821403, twilio errors 60222, 60603, 60604; the contract's 403.
_ACCOUNT_REFUSALS = {
    "revoked_key": (401, "The provided authorization grant is invalid, expired, or revoked", None),
    "credits_exhausted": (401, "Maximum credits exceeded", None),
    "missing_scope": (401, "Authenticated user is not authorized to send mail", None),
    "vetting": (403, "access forbidden", None),
    "banned": (403, "access forbidden", None),
    "blocked": (403, "Too many bad requests. Temporary block", None),
    "sender_unverified": (
        403,
        "The from address does not match a verified Sender Identity. Mail cannot be sent until this error "
        "is resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see "
        "the Sender Identity requirements",
        "from",
    ),
}
# Accounts that accept mail and do not deliver it: support.sendgrid.com 360041790293.
_ACCOUNT_OUTCOMES = {"suspended": "queued", "deactivated": "dropped", "billing_frozen": "dropped"}
_STATUS_MESSAGES = {
    400: "invalid request",
    401: "authorization required",
    403: "access forbidden",
    404: "not found",
    405: "method not allowed",
    413: "content too large",
    429: "too many requests",
    500: "internal server error",
}


class _LeanBlock(msgspec.Struct):
    custom_args: dict[str, Any] = {}


class _LeanBody(msgspec.Struct):
    personalizations: list[_LeanBlock] = []
    custom_args: dict[str, Any] = {}


def errors_response(status: int, refusals: Sequence[rules.Refusal]) -> web.Response:
    return json_response({"errors": refusals}, status)


class SendGridStandIn(StandIn):
    """A stand-in for SendGrid. `url` is the value for SendGrid's base address (without `/v3`).

    `keys` are the accepted API keys. `verified_senders` has the addresses and domains allowed in
    `from`; None allows all. `lean` checks only the key and counts without storing mails, for benchmarks.
    """

    name = "sendgrid"
    account_states = ("active", *_ACCOUNT_REFUSALS, *_ACCOUNT_OUTCOMES)

    def __init__(
        self,
        *,
        keys: Collection[str] = (DEFAULT_KEY,),
        verified_senders: Collection[str] | None = None,
        lean: bool = False,
        clock: Clock = utc_now,
        port: int = 0,
    ) -> None:
        super().__init__(clock=clock, port=port)
        self.keys = set(keys)
        self.verified_senders = None if verified_senders is None else set(verified_senders)
        self.lean = lean
        self.credits_remaining = 10_000
        self.lists = AccountRoutes(self)
        self.templates = TemplateRoutes(self)
        self.webhook = EventWebhook(clock)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v3/mail/send", self._send_lean if self.lean else self._send),
            web.post("/__standin__/events", self._emit),
            *self.lists.routes(),
            *self.templates.routes(),
        ]

    def default_body(self, status: int) -> Any:
        message = _STATUS_MESSAGES.get(status, "service unavailable")
        return {"errors": [rules.Refusal(message=message)]}

    def key_refusal(self, request: web.Request) -> web.Response | None:
        """Return the 401 for a missing, unknown or revoked key; None if the key is valid."""
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and key in self.keys and self.account != "revoked_key":
            return None
        return self._account_refusal("revoked_key")

    def _account_refusal(self, state: str) -> web.Response:
        status, message, field = _ACCOUNT_REFUSALS[state]
        return errors_response(status, [rules.Refusal(message=message, field=field)])

    async def _send(self, request: web.Request) -> web.StreamResponse:
        async def examine(body: bytes) -> Acceptance | web.Response:
            return self._examine(request, body)

        return await self.perform("send", request, examine, recipients_in)

    def _examine(self, request: web.Request, body: bytes) -> Acceptance | web.Response:
        refused = self._request_refusal(request, body)
        if refused is not None:
            return refused
        try:
            mail = msgspec.json.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return errors_response(400, [rules.Refusal(message="Bad Request")])
        refusals = rules.check(mail, self.clock()) or self.lists.batch_refusals(mail)
        if refusals:
            return errors_response(400, refusals)
        if self.account in _ACCOUNT_REFUSALS:
            return self._account_refusal(self.account)
        if not all(self._is_verified(sender) for sender in _senders(mail)):
            return self._account_refusal("sender_unverified")
        if _is_sandbox(mail):
            return web.Response(status=200)
        return self._acceptance(mail)

    def _request_refusal(self, request: web.Request, body: bytes) -> web.Response | None:
        refused = self.key_refusal(request)
        if refused is not None:
            return refused
        if "Accept" not in request.headers:
            return errors_response(406, [rules.Refusal(message="not acceptable")])
        if request.content_type != "application/json":
            return errors_response(415, [rules.Refusal(message="Content-Type should be application/json.")])
        if len(body) > rules.MAX_BODY_BYTES:
            return errors_response(413, [rules.Refusal(message="content too large")])
        return None

    def _is_verified(self, sender: str) -> bool:
        allowed = self.verified_senders
        return allowed is None or sender.lower() in allowed or sender.lower().rpartition("@")[2] in allowed

    def _acceptance(self, mail: dict[str, Any]) -> Acceptance:
        message_id = secrets.token_urlsafe(16)

        async def commit() -> None:
            for index in range(len(mail["personalizations"])):
                parsed = _parse(mail, index, f"{message_id}.{index}", self.clock())
                await self.inbox.add(msgspec.structs.replace(parsed, outcome=self._outcome(mail, parsed)))
            self.credits_remaining -= len(recipients_of(mail))

        return Acceptance(commit=commit, response=_accepted(message_id))

    def _outcome(self, mail: dict[str, Any], parsed: Mail) -> str:
        if self.account in _ACCOUNT_OUTCOMES:
            return _ACCOUNT_OUTCOMES[self.account]
        if self.lists.all_suppressed(parsed.envelope):
            return "dropped"
        if self.lists.schedules.get(mail.get("batch_id", "")) == "cancel":
            return "cancelled"
        return "scheduled" if parsed.fields.get("send_at") else "delivered"

    async def _send_lean(self, request: web.Request) -> web.StreamResponse:
        async def examine(body: bytes) -> Acceptance | web.Response:
            refused = self.key_refusal(request)
            return refused or self._lean_acceptance(body)

        return await self.perform("send", request, examine)

    def _lean_acceptance(self, body: bytes) -> Acceptance:
        mail = msgspec.json.decode(body, type=_LeanBody)
        relay_ids = [relay_id_of(block.custom_args, mail.custom_args) for block in mail.personalizations]

        async def commit() -> None:
            for relay_id in relay_ids:
                self.inbox.count(relay_id)

        return Acceptance(commit=commit, response=_accepted(secrets.token_urlsafe(16)))

    async def _emit(self, request: web.Request) -> web.Response:
        """Control: `{"url", "event", "relay_id"?, "reason"?}` posts that event about accepted mails."""
        order = await request.json()
        wanted = order.get("relay_id")
        mails = [mail for mail in self.inbox.messages if wanted in (None, mail.relay_id)]
        status = await self.webhook.post(
            order["url"], self.webhook.events(mails, order["event"], order.get("reason", ""))
        )
        return json_response({"status": status, "mails": len(mails), "public_key": self.webhook.public_key})


def _accepted(message_id: str) -> web.Response:
    return web.Response(status=202, headers={"X-Message-Id": message_id})


def recipients_of(mail: Any) -> list[str]:
    """Return every address in a decoded body, even a malformed one."""
    blocks = mail.get("personalizations") if isinstance(mail, dict) else None
    return [
        str(person.get("email"))
        for block in (blocks if isinstance(blocks, list) else [])
        for kind in ("to", "cc", "bcc")
        for person in rules.people(block, kind)
        if isinstance(person, dict)
    ]


def recipients_in(body: bytes) -> list[str]:
    try:
        return recipients_of(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []


def _senders(mail: dict[str, Any]) -> list[str]:
    blocks = mail["personalizations"]
    return [mail["from"]["email"], *(block["from"]["email"] for block in blocks if block.get("from"))]


def _is_sandbox(mail: dict[str, Any]) -> bool:
    settings = mail.get("mail_settings") or {}
    return bool((settings.get("sandbox_mode") or {}).get("enable"))


def _address(person: dict[str, Any]) -> Address:
    return Address(address=person["email"], name=rules.display_name(person.get("name") or ""))


def _attachment(item: dict[str, Any]) -> Attachment:
    return Attachment(
        name=item["filename"],
        content=rules.decode_base64(item["content"]) or b"",
        content_type=item.get("type") or "application/octet-stream",
        disposition=item.get("disposition") or "attachment",
        content_id=item.get("content_id"),
    )


def _parse(mail: dict[str, Any], index: int, message_id: str, now: datetime) -> Mail:
    """Parse one personalization of a checked body into the mail that its recipients receive."""
    block = mail["personalizations"][index]
    lists = {kind: tuple(map(_address, rules.people(block, kind))) for kind in ("to", "cc", "bcc")}
    bodies = {part["type"].lower(): part["value"] for part in mail.get("content") or ()}
    replies = mail.get("reply_to_list") or ([mail["reply_to"]] if mail.get("reply_to") else [])
    arguments = {**(mail.get("custom_args") or {}), **(block.get("custom_args") or {})}
    headers = {**(mail.get("headers") or {}), **(block.get("headers") or {})}
    return Mail(
        id=message_id,
        accepted_at=now.astimezone(UTC),
        sender=_address(block.get("from") or mail["from"]),
        to=lists["to"],
        cc=lists["cc"],
        bcc=lists["bcc"],
        reply_to=tuple(map(_address, replies)),
        envelope=tuple(person.address for listed in lists.values() for person in listed),
        subject=block.get("subject") or mail.get("subject") or "",
        text=bodies.get("text/plain"),
        html=bodies.get("text/html"),
        headers=headers,
        attachments=tuple(map(_attachment, mail.get("attachments") or ())),
        relay_id=relay_id_of(arguments, headers),
        fields={
            "custom_args": arguments,
            "categories": mail.get("categories") or [],
            "send_at": block.get("send_at") or mail.get("send_at"),
            "batch_id": mail.get("batch_id"),
            "content_types": list(bodies),
            "contents": bodies,
        },
    )
