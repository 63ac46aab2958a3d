"""Responses for operators: clients, routes, overview, doctor."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from relay.api.shapes.common import Time
from relay.clients.registry import Role
from relay.core.model import DeliveryGuarantee
from relay.journal.overview import Span
from relay.operations.doctor.findings import Health
from relay.routes.holds import RouteState


class PolicyView(Struct, frozen=True, kw_only=True):
    """What a client may send."""

    senders: Annotated[
        Sequence[str], Meta(description="Addresses the client may send from: `*`, an address, or `*@domain`.")
    ]
    recipients: Annotated[
        Sequence[str], Meta(description="Addresses the client may send to: `*`, an address, or `*@domain`.")
    ]
    redirect_to: Annotated[
        str | None, Meta(description="The address that gets the mail of every recipient outside `recipients`.")
    ]
    routes: Annotated[Sequence[str], Meta(description="The routes the client may use; empty means all.")]
    lanes: Annotated[Sequence[str], Meta(description="The lanes the client may use; empty means all.")]
    delivery: Annotated[DeliveryGuarantee, Meta(description="What Relay does when an attempt's outcome is unknown.")]
    rate_per_minute: Annotated[int | None, Meta(description="The rate limit, in messages a minute.")]
    daily_quota: Annotated[int | None, Meta(description="The quota, in recipients a day (UTC).")]
    max_bytes: Annotated[int | None, Meta(description="The size limit of a message, in bytes.")]
    refused_attachments: Annotated[
        Sequence[str], Meta(description="Glob patterns of file names that are refused as attachments.")
    ]
    ip_ranges: Annotated[Sequence[str], Meta(description="CIDR blocks the client may call from; empty means anywhere.")]


class KeyView(Struct, frozen=True, kw_only=True):
    """A client's key, without its text."""

    id: Annotated[str, Meta(description="The key's id, a part of its text.")]
    created_at: Annotated[Time, Meta(description="When the key was created.")]
    expires_at: Annotated[Time | None, Meta(description="When the key expires; null for never.")]
    last_used_at: Annotated[Time | None, Meta(description="When the key was last used, to the hour; null for never.")]


class ClientView(Struct, frozen=True, kw_only=True):
    """A client: an application that may call Relay."""

    name: Annotated[str, Meta(description="The client's name.")]
    role: Annotated[Role, Meta(description="The client's role.")]
    is_disabled: Annotated[bool, Meta(description="Whether the client's calls are refused.")]
    principals: Annotated[
        Sequence[str], Meta(description="Object or application ids in Entra ID that call as this client.")
    ]
    policy: Annotated[PolicyView, Meta(description="What the client may send.")]
    keys: Annotated[Sequence[KeyView], Meta(description="The client's keys.")]


class NewClientView(ClientView, frozen=True, kw_only=True):
    """A new client with its first key."""

    key: Annotated[str, Meta(description="The key's text. Shown only once.")]


class ClientListView(Struct, frozen=True, kw_only=True):
    """All clients."""

    value: Annotated[Sequence[ClientView], Meta(description="The clients.")]


class NewKeyView(Struct, frozen=True, kw_only=True):
    """A new key."""

    id: Annotated[str, Meta(description="The key's id.")]
    key: Annotated[str, Meta(description="The key's text. Shown only once.")]
    expires_at: Annotated[Time | None, Meta(description="When the key expires; null for never.")]


class CallerView(Struct, frozen=True, kw_only=True):
    """The client that calls."""

    name: Annotated[str, Meta(description="The client's name.")]
    role: Annotated[Role, Meta(description="The client's role.")]


class HoldView(Struct, frozen=True, kw_only=True):
    """A held route, or a sender held on a route."""

    route: Annotated[str, Meta(description="The route.")]
    sender: Annotated[str | None, Meta(description="The sender that is held; null when the whole route is.")]
    state: Annotated[RouteState, Meta(description="Whether mail may leave.")]
    code: Annotated[str, Meta(description="Why it is held, as GET /v1/causes lists it.")]
    reply: Annotated[str, Meta(description="The provider's reply, or the reason of a pause.")]
    since: Annotated[Time | None, Meta(description="Since when it is held.")]
    next_probe_at: Annotated[
        Time | None, Meta(description="When Relay probes it next; null when only an operator releases it.")
    ]
    probes: Annotated[int, Meta(description="The number of failed probes.")]
    is_paused: Annotated[bool, Meta(description="Whether the hold ends when delivery is resumed.")]


class RouteView(Struct, frozen=True, kw_only=True):
    """A route with its holds."""

    name: Annotated[str, Meta(description="The route's name.")]
    provider: Annotated[str, Meta(description="The route's provider.")]
    state: Annotated[RouteState, Meta(description="Whether mail may leave by this route.")]
    holds: Annotated[Sequence[HoldView], Meta(description="The holds of the route and of senders on it.")]


class RouteListView(Struct, frozen=True, kw_only=True):
    """All routes."""

    value: Annotated[Sequence[RouteView], Meta(description="The routes.")]


class RouteReleasedView(Struct, frozen=True, kw_only=True):
    """The result of releasing a route."""

    name: Annotated[str, Meta(description="The route's name.")]
    state: Annotated[RouteState, Meta(description="Whether mail may leave by this route.")]
    released: Annotated[int, Meta(description="The number of holds that ended.")]


class PauseView(Struct, frozen=True, kw_only=True):
    """Whether delivery is paused."""

    is_paused: Annotated[bool, Meta(description="Whether a pause holds any route.")]
    is_quiet: Annotated[
        bool, Meta(description="Whether no attempt runs, and none will start before delivery is resumed.")
    ]
    sending: Annotated[int, Meta(description="The attempts that run, of messages accepted in the last two days.")]
    routes: Annotated[Sequence[str], Meta(description="The routes that the pause holds.")]
    since: Annotated[Time | None, Meta(description="When the pause began; null when delivery is not paused.")]
    reason: Annotated[str, Meta(description="The reason that the operator gave; else empty.")]


class ResumedView(Struct, frozen=True, kw_only=True):
    """The result of resuming delivery."""

    resumed: Annotated[int, Meta(description="The number of routes that the pause had held.")]


class ProbeView(Struct, frozen=True, kw_only=True):
    """The result of a probe."""

    name: Annotated[str, Meta(description="The route's name.")]
    is_healthy: Annotated[bool, Meta(description="Whether the route could send now.")]
    code: Annotated[str, Meta(description="Why it could not, as GET /v1/causes lists it; else empty.")]
    reply: Annotated[str, Meta(description="The provider's reply.")]


class CountsView(Struct, frozen=True, kw_only=True):
    """Messages by their current state."""

    accepted: Annotated[int, Meta(description="All messages.")]
    sent: Annotated[int, Meta(description="Messages that were sent.")]
    in_progress: Annotated[int, Meta(description="Messages that are scheduled, queued or being sent.")]
    deferred: Annotated[int, Meta(description="Messages that wait for their next attempt.")]
    held: Annotated[int, Meta(description="Messages that wait for a held route.")]
    failed: Annotated[int, Meta(description="Messages that failed, expired or are unknown.")]
    cancelled: Annotated[int, Meta(description="Messages that were cancelled.")]


class PointView(CountsView, frozen=True, kw_only=True):
    """Messages accepted in one step of time, by their current state."""

    at: Annotated[Time, Meta(description="The start of the step.")]


class LaneView(Struct, frozen=True, kw_only=True):
    """A lane's queues."""

    name: Annotated[str, Meta(description="The lane's name.")]
    entries: Annotated[int, Meta(description="Entries on the lane's queues.")]
    oldest_seconds: Annotated[float, Meta(description="The age of the oldest visible entry, in seconds.")]
    poisoned: Annotated[int, Meta(description="Entries on the lane's poison queues.")]


class DeadLetterTotalView(Struct, frozen=True, kw_only=True):
    """The number of dead letters."""

    count: Annotated[int, Meta(description="The dead letters that were counted.")]
    is_more: Annotated[bool, Meta(description="Whether there are more than were counted.")]


class OverviewView(Struct, frozen=True, kw_only=True):
    """The messages of a span of time, the queues, the routes and the dead letters."""

    at: Annotated[Time, Meta(description="The current time.")]
    span: Annotated[Span, Meta(description="The span.")]
    since: Annotated[Time, Meta(description="The start of the span.")]
    until: Annotated[Time, Meta(description="The end of the span.")]
    counted_until: Annotated[
        Time, Meta(description="Messages accepted later are not in the numbers; usually equal to `until`.")
    ]
    step_seconds: Annotated[float, Meta(description="The length of a step, in seconds.")]
    share: Annotated[
        float, Meta(description="The share of messages that were counted; below 1 the numbers are estimates.")
    ]
    totals: Annotated[CountsView, Meta(description="The messages of the whole span.")]
    points: Annotated[Sequence[PointView], Meta(description="The messages of each step, oldest first.")]
    median_seconds: Annotated[
        float | None, Meta(description="The median time to send, in seconds; null when nothing was sent.")
    ]
    p95_seconds: Annotated[
        float | None,
        Meta(description="The 95th percentile of the time to send, in seconds; null when nothing was sent."),
    ]
    lanes: Annotated[Sequence[LaneView], Meta(description="The lanes.")]
    routes: Annotated[Sequence[RouteView], Meta(description="The routes.")]
    dead_letters: Annotated[DeadLetterTotalView, Meta(description="The number of dead letters.")]


class FindingView(Struct, frozen=True, kw_only=True):
    """One thing that the doctor checked."""

    about: Annotated[str, Meta(description="The setting, store, route or domain that was checked.")]
    health: Annotated[Health, Meta(description="How severe it is.")]
    what: Annotated[str, Meta(description="What was found.")]
    why: Annotated[str, Meta(description="Why it matters; empty when nothing is wrong.")]
    fix: Annotated[str, Meta(description="How to fix it; empty when nothing is wrong.")]


class DoctorView(Struct, frozen=True, kw_only=True):
    """The doctor's findings."""

    health: Annotated[Health, Meta(description="The worst health of all findings.")]
    value: Annotated[Sequence[FindingView], Meta(description="The findings, in the order in which to fix them.")]
