"""The contract of a provider: send a message, probe the route, verify an attempt whose response was lost."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from relay.core.outcomes import Outcome, PerRecipient, RouteFault, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.platform.secrets import Secrets


class Provider(Protocol):
    """A configured provider. Methods do not raise for errors of the vendor or the network, which are outcomes."""

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """Try once, within the route's timeouts. The caller retries."""

    async def probe(self) -> Sent | RouteFault:
        """Check whether the route could send now, without sending. Returns `Sent` if it could."""

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome | PerRecipient:
        """Find out the outcome of an attempt whose response was lost, or that needs a check.

        Returns `Sent`, `Deferred` (the vendor never accepted it), `Rejected` (accepted, then failed) or still `Unknown`.
        """

    async def close(self) -> None:
        """Release connections."""


class BounceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A bounce report as RFC 5322 bytes. `is_by_provider`: the provider certainly made it; others may be forged."""

    raw: bytes
    is_by_provider: bool = False


MAX_ANSWER_BYTES = 2_000_000
"""A longer answer is cut, so that a page of them fits in memory: its text comes before its attachments."""


class ReceivedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that answers one sent by Relay, up to `MAX_ANSWER_BYTES`. `message_class`: Exchange's kind of item, if known."""

    raw: bytes
    received_at: datetime | None = None
    message_class: str = ""


class BounceReports(msgspec.Struct, frozen=True, kw_only=True):
    """The bounce reports in one page of a mailbox, the answers to Relay's mail if requested, and the next cursor.

    A provider that can read mailboxes has a method `read_reports(mailbox, cursor, answers_since)`. It returns this, or a
    `RouteFault` or `Deferred` if it fails. `cursor` is opaque and empty at first. `is_more`: the next page is available now.
    With `answers_since` it also returns mail that arrived since then and names a Message-ID of Relay's as the one it answers.
    """

    found: tuple[BounceReport, ...]
    cursor: str
    is_more: bool
    answers: tuple[ReceivedAnswer, ...] = ()


class SuppressedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address on one of a provider's own suppression lists. `reason` is the list's name.

    A provider with such lists has a method `suppressed_addresses(cursor)`. It returns a page of them and the next cursor (None
    after the last page), or a `RouteFault` or `Deferred`.
    """

    email: str
    reason: str


class AccountRemark(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's finding about its account, for `relay.operations.doctor`. `health`: `ok`, `warning` or `fault`.

    A provider that can check more than its probe has a method `check_account(sender_domains)`, which returns these.
    """

    health: str
    what: str
    why: str = ""
    fix: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The limits and features of a provider, as data for the policy, routing and the documentation's table.

    Sizes are bytes of the message on the wire (`relay.mime.size`, attachments after base64). `features` are from `FEATURES`.
    `max_body_bytes` limits everything but the attachments, and a finished message as a whole, if that limit differs.
    """

    max_bytes: int
    max_recipients: int
    features: frozenset[str]
    max_body_bytes: int | None = None


FEATURES = {
    "headers": "custom headers of any name",
    "x_headers": "custom headers whose names begin with X-",
    "inline_images": "attachments shown in the HTML by content id",
    "empty_files": "attachments of zero bytes",
    "calendar": "a calendar invitation that recipients can answer",
    "raw_mime": "a finished RFC 5322 message as it is",
    "raw_content": "a finished message as its text, HTML and files, if nothing else of it would be lost",
    "long_lines": "signed MIME with lines of more than 998 bytes, which Relay must not re-encode",
    "envelope": "recipients that differ from the header fields",
    "return_path": "a return path that differs from From, including the empty one",
    "reply_to_many": "more than one Reply-To address",
    "smtputf8": "local parts outside ASCII",
    "per_recipient": "a response for each recipient",
    "verify": "asking whether a message was sent when the response was lost",
    "checks": "checking later whether an accepted message was really sent",
    "delivery_events": "later events about delivery and bounces",
}
"""Each capability with its meaning."""


class ProviderModule(Protocol):
    """The names that each provider module exports; `relay.providers.registry` lists the modules.

    A module whose vendor limits the rate also exports `default_paces(settings) -> tuple[relay.core.settings.Pace, ...]`, for
    routes without paces of their own. One whose vendor limits recipients in 24 hours also exports
    `recipient_budget(settings) -> relay.core.settings.RecipientBudget | None`. One whose vendor raises limits for single
    customers also exports `SETTABLE_LIMITS: Mapping[str, int]`: the fields of `Capabilities` that a route's settings may
    replace, with the maximum. One whose vendor has options for a message also exports `check_options`, `demands` and
    `optional`, for `option_problems`, `demanded_options` and `optional_options` in the registry.
    """

    CAPABILITIES: Capabilities

    def check_settings(self, settings: RouteSettings) -> Sequence[str]:
        """Return all problems of a route's settings, each as `key: sentence`; empty if there are none."""

    def create(self, name: str, settings: RouteSettings, context: "ProviderContext") -> Provider:
        """Make the provider of a route. Opens no connection."""


class ProviderContext(msgspec.Struct, frozen=True, kw_only=True):
    """The dependencies that bootstrap passes to every provider's `create(name, settings, context)`.

    `http` is a `relay.platform.http.client.HttpClient`, which all providers share. `blobs` is the blob port, `clock` returns the
    time in aware UTC, `credential` is a `relay.platform.entra_tokens.Credentials`, which gets tokens for a route's settings, and
    `sleep` waits for a number of seconds.
    """

    http: Any
    blobs: Any
    secrets: Secrets
    clock: Any
    credential: Any
    sleep: Any = asyncio.sleep
