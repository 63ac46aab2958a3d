"""Operators: dead letters grouped by cause; redrive and discard one, many, or all of a cause."""

from collections.abc import Sequence

import msgspec

from relay import ids
from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.deadletters import DeadLetter
from relay.errors import NotFound, Problem, Refusal
from relay.interventions import Redrive
from relay.model import Address
from relay.outcomes import CAUSES

MOST = 500


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters: by `ids`, or all of a `code`. `route` and `sender` (an address) override for a redrive."""

    ids: tuple[str, ...] = ()
    code: str | None = None
    route: str | None = None
    sender: str | None = None


async def index(call: Call) -> Response:
    """GET /v1/deadletters: counts by cause; with `?code=` one page of that cause's letters."""
    code = call.request.query.get("code")
    if code is None:
        counts = await call.relay.dead_letters.counts()
        value = [{"code": code, "meaning": CAUSES[code], "count": count} for code, count in counts.items()]
        return json_response({"value": value})
    letters, cursor = await call.relay.dead_letters.of(code, cursor=call.request.query.get("cursor"))
    body = {"value": [{"id": await _name(call, letter), "code": letter.code, "at": letter.at} for letter in letters]}
    if cursor:
        body["next_link"] = f"{call.base_url}/v1/deadletters?code={code}&cursor={cursor}"  # type: ignore[assignment]
    return json_response(body)


async def redrive(call: Call) -> Response:
    """POST /v1/deadletters/redrive: put them back; how many were still dead. `is_more`: repeat for the rest."""
    choice = _choice(call)
    if choice.route is not None and choice.route not in call.relay.settings.routes:
        raise _invalid("unknown_route", "route", "There is no such route.")
    letters, is_more = await _chosen(call, choice)
    sender = Address(email=choice.sender) if choice.sender else None
    count = await call.relay.interventions.redrive_letters(letters, Redrive(route=choice.route, sender=sender))
    return json_response({"redriven": count, "is_more": is_more})


async def discard(call: Call) -> Response:
    """POST /v1/deadletters/discard: take them off the list; their records stay until the retention ends."""
    letters, is_more = await _chosen(call, _choice(call))
    return json_response({"discarded": await call.relay.interventions.discard(letters), "is_more": is_more})


async def _chosen(call: Call, choice: Choice) -> tuple[Sequence[DeadLetter], bool]:
    if choice.code is not None:
        letters, cursor = await call.relay.dead_letters.of(choice.code, most=MOST)
        return letters, cursor is not None
    return [letter for text in choice.ids for letter in await _letters_of(call, text)], False


async def _letters_of(call: Call, text: str) -> list[DeadLetter]:
    name = await call.relay.inquiry.name_of(call.client, text)
    try:
        record = await call.relay.journal.read(name.batch)
    except NotFound:
        return []
    at = ids.created_at(name.batch)
    return [
        DeadLetter(code=part.code or "expired", batch=name.batch, index=name.index, at=at)
        for part in record.statuses[name.index].parts
    ]


async def _name(call: Call, letter: DeadLetter) -> str | None:
    try:
        record = await call.relay.journal.read(letter.batch)
    except NotFound:
        return None
    return record.message_id(letter.index, record.entry())


def _choice(call: Call) -> Choice:
    try:
        choice = msgspec.json.decode(call.request.body, type=Choice)
    except msgspec.MsgspecError as error:
        raise _invalid("invalid_value", "$", str(error)) from error
    if bool(choice.ids) == (choice.code is not None):
        raise _invalid("required", "ids", "Give either `ids` (message ids) or `code` (a cause).")
    return choice


def _invalid(code: str, target: str, message: str) -> Refusal:
    problem = Problem(code=code, target=target, message=message)
    return Refusal(400, "invalid_request", "The request is wrong.", problems=[problem])
