"""What a provider is: one method to send, one to be probed, one to be asked about a lost answer."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from relay.core.outcomes import Outcome, PerRecipient, RouteFault, Sent
from relay.core.send_request import SendRequest
from relay.core.settings import RouteSettings
from relay.platform.secrets import Secrets


class Provider(Protocol):
    """A configured provider. Methods never raise for anything a vendor or a network can do: that is an outcome."""

    async def send(self, request: SendRequest) -> Outcome | PerRecipient:
        """Try once. Bounded in time (settings of the route); retries are not the provider's business."""

    async def probe(self) -> Sent | RouteFault:
        """Whether the route could send now, without sending: `Sent` (nothing was sent) when healthy."""

    async def verify(self, request: SendRequest, provider_id: str | None) -> Outcome | PerRecipient:
        """What became of an attempt whose answer was lost, or that is to be checked.

        `Sent`, `Deferred` (it never took it), `Rejected` (it took it and gave it up) or still `Unknown`.
        """

    async def close(self) -> None:
        """Release connections."""


class BounceReports(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what came into a mailbox: the reports among it as RFC 5322 bytes, and where to read on.

    A provider that can read mailboxes has a method `read_reports(mailbox, cursor)` that returns this, or a `RouteFault` or
    `Deferred` when it could not. `cursor` is opaque; empty, the reading begins now. `is_more`: there is a next page already.
    """

    found: tuple[bytes, ...]
    cursor: str
    is_more: bool


class SuppressedAddress(msgspec.Struct, frozen=True, kw_only=True):
    """An address that a provider will not send to, by a list of its own. `reason` is the list's name.

    A provider with such lists has a method `suppressed_addresses(cursor)`. It returns a page of them and the next cursor (None
    after the last page), or a `RouteFault` or `Deferred`.
    """

    email: str
    reason: str


class AccountRemark(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of an account to `relay.operations.doctor`. `health`: `ok`, `warning` or `fault`.

    A provider that knows more than its probe tells has a method `check_account(sender_domains)` that returns these.
    """

    health: str
    what: str
    why: str = ""
    fix: str = ""


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can carry, as data for the policy, routing and the documentation's table.

    Sizes are bytes of the message on the wire (`relay.mime.size`, attachments after base64). `features` are from `FEATURES`.
    `max_raw_bytes` limits finished messages, if that limit differs.
    """

    max_bytes: int
    max_recipients: int
    features: frozenset[str]
    max_raw_bytes: int | None = None


FEATURES = {
    "headers": "custom headers of any name",
    "x_headers": "custom headers whose names begin with X-",
    "inline_images": "attachments shown in the HTML by content id",
    "raw_mime": "a finished RFC 5322 message as it is",
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
    """What each provider module exports; `relay.providers.registry` names the modules.

    A module whose vendor limits the rate also exports `default_paces(settings) -> tuple[relay.core.settings.Pace, ...]`, for
    routes without paces of their own. A module whose vendor raises limits for single customers also exports
    `SETTABLE_LIMITS: Mapping[str, int]`: the fields of `Capabilities` that a route's settings may replace, with the maximum.
    """

    CAPABILITIES: Capabilities

    def check_settings(self, settings: RouteSettings) -> Sequence[str]:
        """Return all problems of a route's settings, each as `key: sentence`; empty when they can work."""

    def check_options(self, options: RouteSettings) -> Sequence[str]:
        """Return all problems of a message's `options.<provider>`, each as `path: sentence`; empty when they can be used."""

    def demands(self, options: RouteSettings) -> Sequence[str]:
        """Name the options in a message's `options.<provider>` that only this provider can carry.

        Relay refuses them on routes of other providers. Leave out options that change nothing.
        """

    def create(self, name: str, settings: RouteSettings, context: "ProviderContext") -> Provider:
        """The provider of a route. Connects to nothing."""


class ProviderContext(msgspec.Struct, frozen=True, kw_only=True):
    """What bootstrap passes to every provider's `create(name, settings, surroundings)`.

    `http` returns the pooled `aiohttp.ClientSession` of the process, which the first call creates. `blobs` is the blob port,
    `clock` returns the time in aware UTC, `credential` is a `relay.platform.entra_tokens.Credentials`, which gets tokens for
    a route's settings, and `sleep` waits for a number of seconds.
    """

    http: Any
    blobs: Any
    secrets: Secrets
    clock: Any
    credential: Any
    sleep: Any = asyncio.sleep
