"""List messages by time, newest first, and export them as CSV."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from relay.api.cursors import link_headers, next_url, page_of
from relay.api.http import Response, csv_response, json_response
from relay.api.messages.access.states_only import summary_states
from relay.api.messages.filters import PARAMETERS, read_filter
from relay.api.messages.view import bounce_type_of, mailbox_view, next_attempt_at
from relay.api.problems import Problems
from relay.api.reading.query import read_limit, time_text
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.messages import MailboxView, MessagePageView, MessageSummaryView, RecordState
from relay.clients.keys import Role
from relay.core.arrival.arrivals import worst
from relay.journal.search.matches import Found

DEFAULT_PAGE = 50
MAX_PAGE = 100
MAX_EXPORT = 1000
COLUMNS = (
    *("id", "state", "arrival", "bounce_type", "created_at", "erased_at", "client", "lane", "size"),
    *("from", "recipient", "recipient_count", "subject", "tags"),
)


async def index(call: Call) -> Response:
    """Handle GET /v1/messages."""
    found, link = await _page(call, "/v1/messages", default=DEFAULT_PAGE, maximum=MAX_PAGE)
    return json_response(MessagePageView(value=found, next_link=given(link)))


async def export(call: Call) -> Response:
    """Handle GET /v1/messages/export. Only the first page has the header line, so that pages can be joined."""
    found, link = await _page(call, "/v1/messages/export", default=MAX_EXPORT, maximum=MAX_EXPORT)
    columns = () if "cursor" in call.request.query else COLUMNS
    return csv_response("messages.csv", columns, map(_cells, found), link_headers(link))


async def _page(
    call: Call, path: str, *, default: int, maximum: int
) -> tuple[Sequence[MessageSummaryView], str | None]:
    """Return a page and the link to the next one."""
    query = call.request.query
    problems = Problems()
    wanted = await read_filter(call, problems)
    limit = read_limit(query, problems, default=default, maximum=maximum)
    problems.raise_any()
    found, position = await page_of(call.services.listing.page(wanted, query.get("cursor"), limit=limit))
    # The link repeats both ends, so that all pages cover the same range even if a caller reads them much later.
    ends = {"since": time_text(wanted.since), "before": time_text(wanted.before)}
    link = next_url(call, path, position, PARAMETERS, fixed=ends)
    views = [_summary(each) for each in found]
    return [summary_states(view) for view in views] if call.client.role is Role.VIEWER else views, link


def _cells(view: MessageSummaryView) -> list[object]:
    values = {name: value for name, value in msgspec.structs.asdict(view).items() if value is not UNSET}
    values["from"] = values.pop("from_", None)
    return [_cell(values.get(name)) for name in COLUMNS]


def _cell(value: object) -> object:
    match value:
        case None:
            return ""
        case datetime():
            return time_text(value)
        case MailboxView():
            return value.email
        case tuple():
            return " ".join(value)
        case _:
            return value


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
