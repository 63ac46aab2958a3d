"""Responses for operators: clients, routes, overview, doctor."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import says
from relay.api.shapes.common import NextLink, Time
from relay.api.shapes.system import ArrivalCountsView
from relay.clients.keys import Role
from relay.core.model import DeliveryGuarantee
from relay.core.settings import BrakePolicy
from relay.journal.overview import Span
from relay.operations.audit.record import AuditOutcome
from relay.operations.doctor.findings import Health
from relay.routes.hold_rows import RouteState
from relay.routes.recipient_budget.usage import Scope


class PolicyView(Struct, frozen=True, kw_only=True):
    """What a client may send."""

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
    """A client, or the one that calls."""

    name: Annotated[str, says("The client's name.")]
    role: Annotated[Role, says("The client's role; of the client that calls, that of the key or person.")]


class SignedInView(CallerView, frozen=True, kw_only=True):
    """The client that calls, what it may call, and the relay it calls."""

    operations: Annotated[Sequence[str], says("The operations that the role may call, by their ids in this document.")]
    policy: Annotated[PolicyView, says("What the client may send.")]
    version: Annotated[str, says("The version of Relay that answers.")]


class ClientHoldView(Struct, frozen=True, kw_only=True):
    """A client whose mail waits, because too much of it bounced or was reported as spam."""

    client: Annotated[str, says("The client.")]
    lanes: Annotated[BrakePolicy, says("The lanes that wait: `bulk` is every lane but `transactional`.")]
    code: Annotated[str, says("Why they wait, as GET /v1/causes lists it.")]
    held_at: Annotated[Time, says("Since when they wait.")]
    since: Annotated[Time, says("The mail that counts was accepted since then.")]
    sent: Annotated[int, says("The recipients of this mail.")]
    bounced: Annotated[int, says("Those whose copy bounced for good, as the provider itself reports.")]
    complained: Annotated[int, says("Those who reported it as spam, as the provider itself reports.")]


class ClientView(CallerView, frozen=True, kw_only=True):
    """A client: an application that may call Relay."""

    is_disabled: Annotated[bool, says("Whether the client's calls are refused.")]
    principals: Annotated[Sequence[str], says("Object or application ids in Entra ID that call as this client.")]
    policy: Annotated[PolicyView, says("What the client may send.")]
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


class HoldView(Struct, frozen=True, kw_only=True):
    """A held route, or a sender held on a route."""

    route: Annotated[str, says("The route.")]
    sender: Annotated[str | None, says("The sender that is held; null when the whole route is.")]
    state: Annotated[RouteState, says("Whether mail may leave.")]
    code: Annotated[str, says("Why it is held, as GET /v1/causes lists it.")]
    reply: Annotated[str, says("The provider's reply; empty when an operator holds it.")]
    owner: Annotated[str, says("The client that holds it or paused delivery; empty when Relay holds it.")]
    reason: Annotated[str, says("The reason that the owner gave; else empty.")]
    until: Annotated[Time | None, says("When the owner's hold or pause ends by itself; null when it does not.")]
    since: Annotated[Time | None, says("Since when it is held.")]
    next_probe_at: Annotated[Time | None, says("When Relay probes it next; null when only an operator releases it.")]
    probes: Annotated[int, says("The number of failed probes.")]
    is_paused: Annotated[bool, says("Whether the hold ends when delivery is resumed.")]


class BudgetView(Struct, frozen=True, kw_only=True):
    """A limit of external recipients in 24 hours."""

    scope: Annotated[Scope, says("What the limit counts.")]
    name: Annotated[str, says("The mailbox, or the domain of the From addresses; empty for the tenant.")]
    limit: Annotated[int, says("The limit.")]
    used: Annotated[int, says("The external recipients that count at the moment.")]
    left: Annotated[int, says("The external recipients that are left.")]
    opens_at: Annotated[Time | None, says("When there is room again; null when there is room now.")]


class RouteView(Struct, frozen=True, kw_only=True):
    """A route with its holds."""

    name: Annotated[str, says("The route's name.")]
    provider: Annotated[str, says("The route's provider.")]
    state: Annotated[RouteState, says("Whether mail may leave by this route.")]
    holds: Annotated[Sequence[HoldView], says("The holds of the route and of senders on it.")]
    budgets: Annotated[Sequence[BudgetView], says("The limits of external recipients; empty without a budget.")]


class RouteListView(Struct, frozen=True, kw_only=True):
    """All routes."""

    value: Annotated[Sequence[RouteView], says("The routes.")]


class RouteReleasedView(Struct, frozen=True, kw_only=True):
    """The result of releasing a route."""

    name: Annotated[str, says("The route's name.")]
    state: Annotated[RouteState, says("Whether mail may leave by this route.")]
    released: Annotated[int, says("The number of holds that ended.")]


class PauseView(Struct, frozen=True, kw_only=True):
    """Whether delivery is paused."""

    is_paused: Annotated[bool, says("Whether a pause holds any route.")]
    is_quiet: Annotated[bool, says("Whether no attempt runs, and none will start before delivery is resumed.")]
    sending: Annotated[int, says("The attempts that run.")]
    routes: Annotated[Sequence[str], says("The routes that the pause holds.")]
    since: Annotated[Time | None, says("When the pause began; null when delivery is not paused.")]
    reason: Annotated[str, says("The reason that the operator gave; else empty.")]
    owner: Annotated[str, says("The client that paused delivery; else empty.")]
    until: Annotated[Time | None, says("When the pause ends by itself; null when an operator must resume delivery.")]


class TimerRunView(Struct, frozen=True, kw_only=True):
    """A run of a timer's step."""

    at: Annotated[Time, says("When the run began.")]
    seconds: Annotated[float, says("How long the run took.")]
    done: Annotated[int, says("The number of items that the run handled, such as batches, probes or rows.")]
    is_complete: Annotated[bool, says("Whether the run left no work for the next one.")]
    error: Annotated[str, says("The type of the exception that ended the run; the log has the rest. Else empty.")]


class TimerView(Struct, frozen=True, kw_only=True):
    """A step of a timer."""

    name: Annotated[str, says("The step's name.")]
    last_run: Annotated[TimerRunView | None, says("The last run, by the timer or an operator; null before the first.")]


class TimerListView(Struct, frozen=True, kw_only=True):
    """All steps of the timers."""

    value: Annotated[Sequence[TimerView], says("The steps.")]


class ResumedView(Struct, frozen=True, kw_only=True):
    """The result of resuming delivery."""

    resumed: Annotated[int, says("The number of routes that the pause had held.")]


class ProbeView(Struct, frozen=True, kw_only=True):
    """The result of a probe."""

    name: Annotated[str, says("The route's name.")]
    is_healthy: Annotated[bool, says("Whether the route could send now.")]
    code: Annotated[str, says("Why it could not, as GET /v1/causes lists it; else empty.")]
    reply: Annotated[str, says("The provider's reply.")]


class CountsView(Struct, frozen=True, kw_only=True):
    """Messages by their current state."""

    accepted: Annotated[int, says("All messages.")]
    sent: Annotated[int, says("Messages that were sent.")]
    in_progress: Annotated[int, says("Messages that are scheduled, queued or being sent.")]
    deferred: Annotated[int, says("Messages that wait for their next attempt.")]
    held: Annotated[int, says("Messages that wait for a held route.")]
    failed: Annotated[int, says("Messages that failed, expired or are unknown.")]
    cancelled: Annotated[int, says("Messages that were cancelled.")]


class PointView(CountsView, frozen=True, kw_only=True):
    """Messages accepted in one step of time, by their current state."""

    at: Annotated[Time, says("The start of the step.")]


class LaneView(Struct, frozen=True, kw_only=True):
    """A lane's queues."""

    name: Annotated[str, says("The lane's name.")]
    entries: Annotated[int, says("Entries on the lane's queues.")]
    oldest_seconds: Annotated[float, says("The age of the oldest visible entry, in seconds.")]
    poisoned: Annotated[int, says("Entries on the lane's poison queues.")]


class DeadLetterTotalView(Struct, frozen=True, kw_only=True):
    """The number of dead letters."""

    count: Annotated[int, says("The dead letters that were counted.")]
    is_more: Annotated[bool, says("Whether there are more than were counted.")]


class ExpiringSecretView(Struct, frozen=True, kw_only=True):
    """A secret that expires within 30 days, or has expired."""

    name: Annotated[str, says("The secret's name in the vault or the settings.")]
    used_by: Annotated[Sequence[str], says("The routes and settings that use it.")]
    expires_at: Annotated[Time, says("When it expires.")]


class OverviewView(Struct, frozen=True, kw_only=True):
    """The messages of a span of time, the queues, the routes and the dead letters."""

    at: Annotated[Time, says("The current time.")]
    span: Annotated[Span, says("The span.")]
    since: Annotated[Time, says("The start of the span.")]
    until: Annotated[Time, says("The end of the span.")]
    counted_until: Annotated[Time, says("Messages accepted later are not in the numbers; usually equal to `until`.")]
    step_seconds: Annotated[float, says("The length of a step, in seconds.")]
    share: Annotated[float, says("The share of messages that were counted; below 1 the numbers are estimates.")]
    totals: Annotated[CountsView, says("The messages of the whole span.")]
    points: Annotated[Sequence[PointView], says("The messages of each step, oldest first.")]
    unreadable: Annotated[int, says("Messages of the span whose record cannot be read.")]
    median_seconds: Annotated[float | None, says("The median time to send, in seconds; null when nothing was sent.")]
    p95_seconds: Annotated[
        float | None, says("The 95th percentile of the time to send, in seconds; null when nothing was sent.")
    ]
    arrivals: Annotated[ArrivalCountsView, says("What became of the mail of the last 24 hours.")]
    lanes: Annotated[Sequence[LaneView], says("The lanes.")]
    routes: Annotated[Sequence[RouteView], says("The routes.")]
    held_clients: Annotated[
        Sequence[ClientHoldView], says("The clients whose mail waits until an operator releases it.")
    ]
    dead_letters: Annotated[DeadLetterTotalView, says("The number of dead letters.")]
    secrets: Annotated[Sequence[ExpiringSecretView], says("Secrets that expire soon, as of the last nightly check.")]


class AuditRecordView(Struct, frozen=True, kw_only=True):
    """One call that changed something, or tried to."""

    id: Annotated[str, says("The record's id.")]
    at: Annotated[Time, says("When the call came.")]
    client: Annotated[str, says("The client that called.")]
    credential: Annotated[
        str, says("What it signed in with: `key:` and the key's id, or `entra:` and the principal's id.")
    ]
    role: Annotated[str, says("The role of the key or person at that time.")]
    operation: Annotated[str, says("The operation's name, as in this document.")]
    target: Annotated[str, says("What the call is about; of an address only a digest.")]
    details: Annotated[Mapping[str, str], says("Other values of the path and the body, without content.")]
    reason: Annotated[str, says("The reason that the caller gave, in the body or in `X-Relay-Reason`; else empty.")]
    address: Annotated[str, says("The IP address that called, as the platform's front end saw it.")]
    request_id: Annotated[str, says("The request's id, which the log contains.")]
    outcome: Annotated[
        AuditOutcome, says("What came of it. `unknown`: it still runs, or Relay stopped before it could record that.")
    ]
    status: Annotated[int, says("The response's HTTP status; 0 while the outcome is unknown.")]
    code: Annotated[str, says("The error's code; else empty.")]
    before: Annotated[str, says("The SHA-256 digest of what was stored before; empty where there is none.")]
    after: Annotated[str, says("The same after the call. Equal digests: nothing was changed.")]


class AuditPageView(Struct, frozen=True, kw_only=True):
    """A page of the audit log, newest first."""

    value: Annotated[
        Sequence[AuditRecordView], says("The records. A page may be short, or empty, and still have a next one.")
    ]
    next_link: NextLink | UnsetType = UNSET


class FindingView(Struct, frozen=True, kw_only=True):
    """One thing that the doctor checked."""

    about: Annotated[str, says("The setting, store, route or domain that was checked.")]
    health: Annotated[Health, says("How severe it is.")]
    what: Annotated[str, says("What was found.")]
    why: Annotated[str, says("Why it matters; empty when nothing is wrong.")]
    fix: Annotated[str, says("How to fix it; empty when nothing is wrong.")]


class DoctorView(Struct, frozen=True, kw_only=True):
    """The doctor's findings."""

    health: Annotated[Health, says("The worst health of all findings.")]
    value: Annotated[Sequence[FindingView], says("The findings, in the order in which to fix them.")]
