"""List dead letters by cause; redrive or discard one, several, or all with a cause."""

import asyncio
from collections.abc import Sequence

from relay.acceptance.draft import Limits
from relay.api.cursors import next_url, page_of
from relay.api.http import Response, json_response
from relay.api.problems import Problems
from relay.api.reading.addresses import read_mailbox
from relay.api.reading.body import read_request
from relay.api.reading.routes import check_route
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.recovery import (
    CauseListView,
    CauseView,
    DeadLetterPageView,
    DeadLetterView,
    DiscardedView,
    RedrivenView,
)
from relay.api.shapes.requests import DeadLetterChoice, DeadLetterRedrive, RedriveRequest
from relay.clients.roles import visible_clients
from relay.core import ids
from relay.core.errors import NotFound, UnreadableEntry
from relay.core.model import DEAD
from relay.core.outcomes import CAUSES, FIXES
from relay.journal.dead_letters import DeadLetter
from relay.journal.record_rows import Record
from relay.operations.message_changes import Redrive

MOST = 500
"""Dead letters of a cause that one call redrives or discards at most."""
_LIMITS = Limits()


async def index(call: Call) -> Response:
    """Handle GET /v1/deadletters: counts by cause, or with `?code=` a page of that cause's dead letters."""
    code = call.request.query.get("code")
    if code is None:
        counts = await call.services.dead_letters.counts()
        value = [DeadLetterView(code=code, meaning=CAUSES[code], count=count) for code, count in counts.items()]
        return json_response(DeadLetterPageView(value=value))
    problems = Problems()
    _check_cause(code, problems)
    problems.raise_any()
    letters, cursor = await page_of(call.services.dead_letters.of(code, cursor=call.request.query.get("cursor")))
    link = next_url(call, "/v1/deadletters", cursor, ("code",))
    return json_response(DeadLetterPageView(value=await _views(call, letters), next_link=given(link)))


async def list_causes(call: Call) -> Response:
    """Handle GET /v1/causes."""
    causes = [CauseView(code=code, meaning=meaning, fix=FIXES[code]) for code, meaning in CAUSES.items()]
    return json_response(CauseListView(value=causes))


async def redrive(call: Call) -> Response:
    """Handle POST /v1/deadletters/redrive."""
    choice = read_request(call.request, DeadLetterRedrive)
    problems = Problems()
    how = read_redrive(call, RedriveRequest(route=choice.route, sender=choice.sender), problems)
    _check_choice(choice, problems)
    problems.raise_any()
    letters, is_more = await _chosen(call, choice)
    redriven = await call.services.message_changes.redrive_all(letters, how)
    return json_response(RedrivenView(redriven=redriven, is_more=is_more))


async def discard(call: Call) -> Response:
    """Handle POST /v1/deadletters/discard."""
    choice = read_request(call.request, DeadLetterChoice)
    problems = Problems()
    _check_choice(choice, problems)
    problems.raise_any()
    letters, is_more = await _chosen(call, choice)
    discarded = await call.services.message_changes.discard(letters)
    return json_response(DiscardedView(discarded=discarded, is_more=is_more))


def read_redrive(call: Call, value: RedriveRequest, problems: Problems) -> Redrive:
    """Read the overrides `route` and `sender` of a redrive from a request, and collect their problems."""
    check_route(value.route, "route", call.services.settings.routes, problems)
    return Redrive(route=value.route, sender=read_mailbox(value.sender, "sender", problems, _LIMITS))


def _check_choice(choice: DeadLetterChoice, problems: Problems) -> None:
    chosen, code = choice.ids, choice.code
    if chosen and code is not None:
        problems.add("not_applicable", "ids", "Give either `ids` or `code`, not both.")
    elif not chosen and code is None:
        problems.add("required", "ids", "Give `ids` (of messages) or `code` (a cause).")
    elif code is not None:
        _check_cause(code, problems)
    elif len(chosen or ()) > _LIMITS.max_batch_messages:
        problems.add("too_many", "ids", f"{_LIMITS.max_batch_messages} are possible in one request.")


def _check_cause(code: str, problems: Problems) -> None:
    if code not in CAUSES:
        problems.add("invalid_choice", "code", f"Unknown cause. Use one of: {', '.join(CAUSES)}.")


async def _chosen(call: Call, choice: DeadLetterChoice) -> tuple[Sequence[DeadLetter], bool]:
    if choice.code is not None:
        letters, cursor = await call.services.dead_letters.of(choice.code, limit=MOST)
        return letters, cursor is not None
    names = [await call.services.status_reader.name_of(call.client, text) for text in choice.ids or ()]
    records = await _records(call, {name.batch for name in names})
    return [letter for name in names for letter in _letters_of(name, records.get(name.batch))], False


def _letters_of(name: ids.MessageId, record: Record | None) -> list[DeadLetter]:
    if record is None or not record.having([name.index]):
        return []
    at = ids.created_at(name.batch)
    return [
        DeadLetter(code=part.code or "expired", batch=name.batch, index=name.index, at=at)
        for part in record.statuses[name.index].parts
        if part.state in DEAD
    ]


async def _views(call: Call, letters: Sequence[DeadLetter]) -> list[DeadLetterView]:
    """Show each dead letter whose record exists, can be read, and may be seen by the caller."""
    visible = visible_clients(call.client, await call.services.clients.all())
    records = await _records(call, {letter.batch for letter in letters})
    views: list[DeadLetterView] = []
    for letter in letters:
        record = records.get(letter.batch)
        if record is not None and record.having([letter.index]):
            entry = record.entry()
            name = record.message_id(letter.index, entry)
            if visible is not None and not any(ids.belongs_to(ids.parse(name), each.mac_key) for each in visible):
                continue
            view = DeadLetterView(
                id=name,
                code=letter.code,
                at=letter.at,
                client=entry.messages[letter.index].client,
                state=record.statuses[letter.index].state,
            )
            views.append(view)
    return views


async def _records(call: Call, batches: set[str]) -> dict[str, Record]:
    """Read the records of these batches, ten in parallel; leave out those that are gone or cannot be read."""
    turns = asyncio.Semaphore(10)

    async def read(batch: str) -> Record | None:
        async with turns:
            try:
                return await call.services.journal.read(batch)
            except (NotFound, UnreadableEntry):
                return None

    found = await asyncio.gather(*(read(batch) for batch in batches))
    return {record.batch: record for record in found if record is not None}
