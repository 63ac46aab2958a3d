"""List messages by time, newest first."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from msgspec import UNSET
from msgspec.structs import replace

from relay.api.cursors import page_of
from relay.api.http import Response, json_response
from relay.api.messages.view import bounce_type_of, mailbox_view, next_attempt_at
from relay.api.problems import Problems
from relay.api.reading.addresses import email_address, same_mailbox
from relay.api.reading.query import check_names, read_choice, read_limit, read_time, time_text
from relay.api.services import Call
from relay.api.shapes.common import given
from relay.api.shapes.messages import MessagePageView, MessageSummaryView, RecordState
from relay.clients.registry import Role
from relay.core.arrival.arrivals import Arrival, worst
from relay.core.errors import Refusal
from relay.core.model import State
from relay.journal.listing import Found, MessageFilter

DEFAULT_PAGE = 50
MAX_PAGE = 100
DEFAULT_SPAN = timedelta(hours=24)
_FIRST = datetime.min.replace(tzinfo=UTC)
PARAMETERS = ("since", "before", "state", "arrival", "tag", "recipient", "client", "limit", "cursor")


async def index(call: Call) -> Response:
    """Handle GET /v1/messages."""
    query = call.request.query
    problems = Problems(len(PARAMETERS) + len(query))
    wanted = _wanted(call, query, problems)
    limit = read_limit(query, problems, default=DEFAULT_PAGE, maximum=MAX_PAGE)
    problems.raise_any()
    found, position = await page_of(call.services.listing.page(wanted, query.get("cursor"), limit=limit))
    link = None
    if position is not None:
        # The link repeats both ends, so that all pages cover one range however late a caller reads them.
        ends = {"since": time_text(wanted.since), "before": time_text(wanted.before)}
        again = {name: text for name, text in query.items() if name in PARAMETERS}
        link = f"{call.base_url}/v1/messages?" + urlencode({**again, **ends, "cursor": position})
    return json_response(MessagePageView(value=[_summary(each) for each in found], next_link=given(link)))


def _wanted(call: Call, query: Mapping[str, str], problems: Problems) -> MessageFilter:
    check_names(query, PARAMETERS, problems)
    now = call.services.clock()
    before = read_time(query, "before", problems) or now
    since = read_time(query, "since", problems) or max(before, _FIRST + DEFAULT_SPAN) - DEFAULT_SPAN
    if since > before:
        problems.add("out_of_range", "since", "This must not be later than `before` (by default now).")
    is_operator = call.client.role is Role.OPERATOR
    client = query.get("client", None if is_operator else call.client.name)
    if client != call.client.name and not is_operator:
        raise Refusal(403, "operators_only", "Only operators may list another client's messages.", target="client")
    return MessageFilter(
        since=since,
        before=before,
        owner=None if is_operator else call.client,
        client=client,
        state=read_choice(query, "state", State, problems),
        arrival=read_choice(query, "arrival", Arrival, problems),
        tag=query.get("tag"),
        recipient=_recipient(query.get("recipient"), problems),
    )


def _recipient(text: str | None, problems: Problems) -> str | None:
    if text is None:
        return None
    try:
        return same_mailbox(email_address(text))
    except ValueError as error:
        problems.add("invalid_address", "recipient", str(error))
        return None


def _summary(found: Found) -> MessageSummaryView:
    submission, status = found.submission, found.status
    if submission is None or status is None:
        return MessageSummaryView(
            id=found.id,
            state=RecordState.UNREADABLE,
            created_at=found.created_at,
            client="" if submission is None else submission.client,
            lane=found.lane,
            size=0 if submission is None else submission.size,
        )
    message, ended = submission.message, worst(found.arrivals)
    view = MessageSummaryView(
        id=found.id,
        state=RecordState(status.state),
        arrival=UNSET if ended is None else ended.arrival,
        bounce_type=bounce_type_of(ended),
        created_at=found.created_at,
        erased_at=UNSET if status.erased is None else status.erased.at,
        recipient_count=UNSET if status.erased is None else status.erased.recipients,
        client=submission.client,
        lane=found.lane,
        size=submission.size,
        send_at=given(submission.send_at),
        next_attempt_at=next_attempt_at(status),
    )
    if message is None:
        return view
    return replace(
        view,
        from_=mailbox_view(status.sender or message.sender),
        subject=message.subject,
        recipient=message.recipients[0].email if message.recipients else UNSET,
        recipient_count=len(message.recipients),
        tags=message.tags,
    )
