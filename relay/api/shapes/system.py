"""Responses about Relay itself: its health, how much mail it moves, and who changed what."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType, field

from relay.api.shapes.base import NextLink, Time, says
from relay.api.shapes.clients import ClientHoldView
from relay.api.shapes.routes import RouteView
from relay.journal.overview import Span
from relay.operations.audit.record import AuditOutcome
from relay.operations.doctor.findings import Health
from relay.routes.hold_rows import RouteState


class Availability(StrEnum):
    """The result of a check whether Relay can work."""

    OK = "ok"
    UNAVAILABLE = "unavailable"


class LivenessView(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: Annotated[Availability, says("Always ok.")]


class LandingView(Struct, frozen=True, kw_only=True):
    """The links of a relay's landing page."""

    console: Annotated[str, says("The console, for operators.")]
    inbox: Annotated[str, says("The inbox of caught mail.")]
    docs: Annotated[str, says("The reference of the API.")]
    openapi: Annotated[str, says("The API as an OpenAPI document.")]
    health: Annotated[str, says("The address for a liveness probe.")]


class ReadinessView(Struct, frozen=True, kw_only=True):
    """The readiness of Relay, and of each route for operators."""

    status: Annotated[Availability, says("Whether storage answers.")]
    storage: Annotated[str, says("The value ok, or the kind of failure.")]
    routes: (
        Annotated[Mapping[str, RouteState], says("The state of each route, by name; for operators.")] | UnsetType
    ) = UNSET


class EventsAcceptedView(Struct, frozen=True, kw_only=True):
    """The result of a post of events."""

    accepted: Annotated[int, says("The number of events that Relay will process.")] | UnsetType = UNSET
    skipped: Annotated[int, says("The number of events that Relay does not process.")] | UnsetType = UNSET
    validation_response: Annotated[str, says("The code of Event Grid's handshake, sent back.")] | UnsetType = field(
        name="validationResponse", default=UNSET
    )


class ArrivalCountsView(Struct, frozen=True, kw_only=True):
    """Counts and rates of recipients by arrival."""

    sent: Annotated[int, says("Copies that a provider accepted, without those that it suppressed.")]
    delivered: Annotated[int, says("Copies that the recipient's server accepted, as far as that was reported.")]
    hard_bounced: Annotated[int, says("Copies that bounced permanently.")]
    soft_bounced: Annotated[int, says("Copies that bounced for a reason that may pass.")]
    complained: Annotated[int, says("Copies that the recipient reported as spam.")]
    suppressed: Annotated[int, says("Recipients on a suppression list, of Relay or of the provider.")]
    bounce_rate: Annotated[float, says("Bounces as a share of `sent`, from 0 to 1.")]
    complaint_rate: Annotated[float, says("Complaints as a share of `sent`, from 0 to 1.")]


class ArrivalRowView(ArrivalCountsView, frozen=True, kw_only=True):
    """The arrivals of one client, tag, route or domain, or of one hour or day."""

    name: Annotated[str | None, says("The client, tag, route or domain; null for all others together, and for times.")]
    at: Annotated[Time | None, says("The start of the hour or day (UTC); null for names.")]


class ArrivalListView(Struct, frozen=True, kw_only=True):
    """The arrivals of the mail that was accepted in a span of time."""

    by: Annotated[str, says("The dimension of the rows: client, tag, route, domain, hour or day.")]
    since: Annotated[Time, says("The start of the span. Hours that begin in it are counted.")]
    before: Annotated[Time, says("The end of the span.")]
    counted_at: Annotated[Time | None, says("When an hour of the span was counted last; null for none.")]
    share: Annotated[float, says("The share of messages that were counted; below 1 the numbers are estimates.")]
    total: Annotated[ArrivalCountsView, says("The arrivals of all rows together.")]
    value: Annotated[Sequence[ArrivalRowView], says("The rows: times, oldest first; or names, the worst first.")]


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
    arrivals: Annotated[ArrivalCountsView, says("The arrivals of the mail of the last 24 hours.")]
    lanes: Annotated[Sequence[LaneView], says("The lanes.")]
    routes: Annotated[Sequence[RouteView], says("The routes.")]
    held_clients: Annotated[
        Sequence[ClientHoldView], says("The clients whose mail waits until an operator releases it.")
    ]
    dead_letters: Annotated[DeadLetterTotalView, says("The number of dead letters.")]
    secrets: Annotated[Sequence[ExpiringSecretView], says("Secrets that expire soon, as of the last nightly check.")]


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


class AuditRecordView(Struct, frozen=True, kw_only=True):
    """One call that changed something, or tried to."""

    id: Annotated[str, says("The record's id.")]
    at: Annotated[Time, says("When the call arrived.")]
    client: Annotated[str, says("The client that called.")]
    credential: Annotated[
        str, says("The credential of the call: `key:` and the key's id, or `entra:` and the principal's id.")
    ]
    role: Annotated[str, says("The role of the key or person at that time.")]
    operation: Annotated[str, says("The operation's name, as in this document.")]
    target: Annotated[str, says("The resource or address that the call names; an address as a digest.")]
    details: Annotated[Mapping[str, str], says("Other values of the path and the body, without content.")]
    reason: Annotated[str, says("The reason that the caller gave, in the body or in `X-Relay-Reason`; else empty.")]
    address: Annotated[str, says("The IP address that called, as the platform's front end saw it.")]
    request_id: Annotated[str, says("The request's id, which the log contains.")]
    outcome: Annotated[
        AuditOutcome,
        says(
            "The outcome of the call. `unknown`: it still runs, or Relay or storage failed before the outcome was recorded."
        ),
    ]
    status: Annotated[int, says("The response's HTTP status; 0 while the outcome is unknown.")]
    code: Annotated[str, says("The error's code; else empty.")]
    before: Annotated[str, says("The SHA-256 digest of the stored resource before the call; empty if there was none.")]
    after: Annotated[str, says("The digest after the call. Equal digests mean that nothing changed.")]


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
