"""Clients, their keys and policies: requests and responses."""

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from relay.api.shapes.base import Lifetime, Shape, Time, says
from relay.clients.keys import Role
from relay.core.model import DeliveryGuarantee
from relay.core.settings import BrakePolicy

_Rate = Annotated[int, Meta(ge=1, le=1_000_000)]
_Quota = Annotated[int, Meta(ge=1, le=1_000_000_000)]
_Bytes = Annotated[int, Meta(ge=1_000)]
_RoleName = Literal["client", "viewer", "support", "operator", "auditor"]


class PolicyFields(Shape, frozen=True, kw_only=True):
    """The policy of a client. An absent field stays as it is. A new client has no senders, and otherwise no limits."""

    senders: Annotated[
        list[str] | UnsetType | None,
        says(
            "Allowed addresses in From and as return path: `*`, an address, or `*@domain`. Without any, the client cannot send.",
            ["*@example.com"],
        ),
    ] = UNSET
    recipients: Annotated[list[str] | UnsetType | None, says("Allowed recipients, in the same forms.", ["*"])] = UNSET
    redirect_to: Annotated[
        str | UnsetType | None,
        says(
            "Send mail for all other recipients to this address. Without it such mail is refused. Null removes it.",
            "testers@example.com",
        ),
    ] = UNSET
    routes: Annotated[
        list[str] | UnsetType | None,
        says("Routes that the client may request. An empty list allows all.", ["sendgrid"]),
    ] = UNSET
    lanes: Annotated[
        list[str] | UnsetType | None,
        says("Allowed lanes; the first is the default. An empty list allows all.", ["transactional"]),
    ] = UNSET
    delivery: Annotated[
        Literal["at_least_once", "at_most_once"] | UnsetType | None,
        says("The default for attempts with an unknown result.", "at_least_once"),
    ] = UNSET
    rate_per_minute: Annotated[_Rate | UnsetType | None, says("Messages per minute. Null removes the limit.", 600)] = (
        UNSET
    )
    daily_quota: Annotated[
        _Quota | UnsetType | None, says("Recipients per day (UTC). Null removes the limit.", 50_000)
    ] = UNSET
    max_bytes: Annotated[_Bytes | UnsetType | None, says("Bytes per message. Null removes the limit.", 10_000_000)] = (
        UNSET
    )
    refused_attachments: Annotated[
        list[str] | UnsetType | None, says("File names to refuse, with `*` as a wildcard.", ["*.exe"])
    ] = UNSET
    ip_ranges: Annotated[
        list[str] | UnsetType | None,
        says("CIDR blocks that the client may call from. An empty list allows all.", ["203.0.113.0/24"]),
    ] = UNSET
    may_bypass_suppressions: Annotated[
        bool | UnsetType | None,
        says(
            "Whether messages may carry `options.sendgrid.mail_settings.bypass_*`, which send to people who unsubscribed.",
            False,
        ),
    ] = UNSET
    sees: Annotated[
        list[str] | UnsetType | None,
        says("Clients whose messages a viewer or support sees. An empty list shows all.", ["shop"]),
    ] = UNSET
    brake: Annotated[
        Literal["bulk", "all", "off"] | UnsetType | None,
        says(
            "The lanes to hold when too much of the client's mail bounces or is reported as spam. `bulk` is every lane but "
            "`transactional`.",
            "bulk",
        ),
    ] = UNSET


class ClientChange(Shape, frozen=True, kw_only=True):
    """Changes to a client."""

    role: Annotated[
        _RoleName | None,
        says(
            "`client` sends. `viewer` sees states, `support` content too, and `auditor` the audit log. `operator` may read and "
            "change everything.",
            "client",
        ),
    ] = None
    policy: Annotated[PolicyFields | None, says("The client's policy.")] = None
    principals: Annotated[
        list[str] | None,
        says(
            "Microsoft Entra object or application ids that sign in as this client.",
            ["11111111-2222-3333-4444-555555555555"],
        ),
    ] = None
    is_disabled: Annotated[bool | None, says("Whether to refuse the client's keys.", False)] = None


class ClientRequest(ClientChange, frozen=True, kw_only=True):
    """A new client."""

    name: Annotated[str, says("1 to 63 lowercase letters, digits and dashes.", "shop", maxLength=63)]


class KeyRequest(Shape, frozen=True, kw_only=True):
    """Another key for a client."""

    role: Annotated[
        _RoleName | None,
        says("The key's own role. By default the key has its client's role, even after that changes.", "viewer"),
    ] = None
    expires_in_seconds: Annotated[
        Lifetime | None, says("Seconds until the key expires. By default it never expires.", 7_776_000)
    ] = None


class PolicyView(Struct, frozen=True, kw_only=True):
    """The policy of a client."""

    senders: Annotated[Sequence[str], says("Addresses the client may send from: `*`, an address, or `*@domain`.")]
    recipients: Annotated[Sequence[str], says("Addresses the client may send to: `*`, an address, or `*@domain`.")]
    redirect_to: Annotated[str | None, says("The address that gets the mail of every recipient outside `recipients`.")]
    routes: Annotated[Sequence[str], says("The routes the client may use; empty means all.")]
    lanes: Annotated[Sequence[str], says("The lanes the client may use; empty means all.")]
    delivery: Annotated[DeliveryGuarantee, says("What Relay does when an attempt's outcome is unknown.")]
    rate_per_minute: Annotated[int | None, says("The rate limit, in messages a minute.")]
    daily_quota: Annotated[int | None, says("The quota, in recipients a day (UTC).")]
    max_bytes: Annotated[int | None, says("The size limit of a message, in bytes.")]
    refused_attachments: Annotated[Sequence[str], says("Glob patterns of file names that are refused as attachments.")]
    ip_ranges: Annotated[Sequence[str], says("CIDR blocks the client may call from; empty means anywhere.")]
    may_bypass_suppressions: Annotated[
        bool, says("Whether the client may ask a provider to send to suppressed addresses.")
    ]
    sees: Annotated[Sequence[str], says("Clients whose messages a viewer or support sees; empty means all.")]
    brake: Annotated[
        BrakePolicy,
        says(
            "The lanes that Relay holds when too much of the client's mail bounces; `bulk` is all but `transactional`."
        ),
    ]


class KeyView(Struct, frozen=True, kw_only=True):
    """A client's key, without its text."""

    id: Annotated[str, says("The key's id, a part of its text.")]
    role: Annotated[Role | None, says("The key's own role; null for that of its client.")]
    created_at: Annotated[Time, says("When the key was created.")]
    expires_at: Annotated[Time | None, says("When the key expires; null for never.")]
    last_used_at: Annotated[Time | None, says("When the key was last used, to the hour; null for never.")]


class CallerView(Struct, frozen=True, kw_only=True):
    """The name and role of a client."""

    name: Annotated[str, says("The client's name.")]
    role: Annotated[Role, says("The client's role; for the calling client, the role of its key or person.")]


class SignedInView(CallerView, frozen=True, kw_only=True):
    """The calling client, the operations that it may call, and the version of the relay."""

    operations: Annotated[Sequence[str], says("The operations that the role may call, by their ids in this document.")]
    policy: Annotated[PolicyView, says("The client's policy.")]
    version: Annotated[str, says("The version of Relay that answers.")]


class ClientHoldView(Struct, frozen=True, kw_only=True):
    """A client whose mail waits, because too much of it bounced or was reported as spam."""

    client: Annotated[str, says("The client.")]
    lanes: Annotated[BrakePolicy, says("The lanes that wait: `bulk` is every lane but `transactional`.")]
    code: Annotated[str, says("Why they wait, as GET /v1/causes lists it.")]
    held_at: Annotated[Time, says("Since when they wait.")]
    since: Annotated[Time, says("The start of the time in which the counted mail was accepted.")]
    sent: Annotated[int, says("The recipients of the counted mail.")]
    bounced: Annotated[int, says("The recipients whose copy bounced permanently, as the provider itself reports.")]
    complained: Annotated[int, says("The recipients who reported the mail as spam, as the provider itself reports.")]


class ClientView(CallerView, frozen=True, kw_only=True):
    """A client: an application that may call Relay."""

    is_disabled: Annotated[bool, says("Whether the client's calls are refused.")]
    principals: Annotated[Sequence[str], says("Object or application ids in Entra ID that call as this client.")]
    policy: Annotated[PolicyView, says("The client's policy.")]
    keys: Annotated[Sequence[KeyView], says("The client's keys.")]
    hold: Annotated[ClientHoldView | None, says("Why mail of the client waits; null when none does.")]


class NewClientView(ClientView, frozen=True, kw_only=True):
    """A new client with its first key."""

    key: Annotated[str, says("The key's text. Shown only once.")]


class ClientListView(Struct, frozen=True, kw_only=True):
    """All clients."""

    value: Annotated[Sequence[ClientView], says("The clients.")]


class NewKeyView(Struct, frozen=True, kw_only=True):
    """A new key."""

    id: Annotated[str, says("The key's id.")]
    role: Annotated[Role | None, says("The key's own role; null for that of its client.")]
    key: Annotated[str, says("The key's text. Shown only once.")]
    expires_at: Annotated[Time | None, says("When the key expires; null for never.")]
