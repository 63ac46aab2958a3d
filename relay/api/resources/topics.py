"""Manage topics, and the addresses that get no mail about them. A client manages its own; an operator may name a client."""

import re
from collections.abc import Mapping
from contextlib import suppress

from msgspec import UNSET

from relay.api.auditing.resources import owner_of
from relay.api.cursors import next_url, page_of
from relay.api.http import Response, json_response
from relay.api.problems import Problems, member
from relay.api.reading.body import read_request
from relay.api.resources import suppression_lists as lists
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.suppressions import (
    SuppressionPageView,
    SuppressionsImportedView,
    TopicListView,
    TopicRequest,
    TopicSuppressionImport,
    TopicSuppressionRequest,
    TopicView,
)
from relay.api.text_checks import control_problem
from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.clients.suppressions.rows import topic_scope
from relay.core.errors import NotFound, Refusal
from relay.unsubscribe.topics import MAX_TOPICS, Topic

MAX_LANGUAGES = 30
MAX_TITLE = 100
MAX_DESCRIPTION = 500
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z0-9]{2,8}){0,3}")
"""A language tag (RFC 5646) in lower case."""
_MAX_GROUP = 2**31 - 1


async def index(call: Call) -> Response:
    """Handle GET /v1/topics."""
    owner = await _owner(call)
    topics = await call.services.topics.of(owner.id, fresh=True)
    return json_response(TopicListView(value=[_view(topic) for _, topic in sorted(topics.items())]))


async def show(call: Call) -> Response:
    """Handle GET /v1/topics/{name}."""
    return json_response(_view(await call.services.topics.get((await _owner(call)).id, call.values["name"])))


async def put(call: Call) -> Response:
    """Handle PUT /v1/topics/{name}: 201 for a new topic, 200 for one that is replaced."""
    owner = await _owner(call)
    value = read_request(call.request, TopicRequest)
    problems = Problems()
    topic = Topic(
        name=call.values["name"],
        created_at=call.services.clock(),
        titles=_texts(value.titles, "titles", MAX_TITLE, problems),
        descriptions=_texts(value.descriptions, "descriptions", MAX_DESCRIPTION, problems),
        sendgrid_group_id=_group(value.sendgrid_group_id, problems),
    )
    problems.raise_any()
    known = await call.services.topics.of(owner.id, fresh=True)
    if len(known) >= MAX_TOPICS and topic.name not in known:
        raise Refusal(
            409, "too_many_topics", f"The client has {len(known)} topics (limit {MAX_TOPICS}). Delete one first."
        )
    is_new = await call.services.topics.put(owner.id, topic)
    return json_response(_view(await call.services.topics.get(owner.id, topic.name)), 201 if is_new else 200)


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/topics/{name}."""
    with suppress(NotFound):
        await call.services.topics.delete((await _owner(call)).id, call.values["name"])
    return Response(status=204)


async def list_suppressions(call: Call) -> Response:
    """Handle GET /v1/topics/{name}/suppressions."""
    scope = await _list_of(call)
    found, cursor = await page_of(call.services.suppressions.page(scope, cursor=call.request.query.get("cursor")))
    link = next_url(call, f"/v1/topics/{call.values['name']}/suppressions", cursor, ("client",))
    return json_response(SuppressionPageView(value=[lists.view_of(each) for each in found], next_link=given(link)))


async def add_suppression(call: Call) -> Response:
    """Handle POST /v1/topics/{name}/suppressions: an entry for the same address is replaced."""
    scope = await _list_of(call)
    value = read_request(call.request, TopicSuppressionRequest)
    return json_response(lists.view_of(await lists.add(call, value, scope)), 201)


async def remove_suppression(call: Call) -> Response:
    """Handle DELETE /v1/topics/{name}/suppressions/{email}."""
    with suppress(NotFound):
        scope = topic_scope((await _owner(call)).id, call.values["name"])
        if await call.services.suppressions.last(scope, call.values["email"]) is not None:
            await call.services.suppressions.resubscribe(scope, call.values["email"], call.services.clock())
    return Response(status=204)


async def take_list(call: Call) -> Response:
    """Handle POST /v1/topics/{name}/suppressions/import."""
    scope = await _list_of(call)
    if call.request.content_type == "text/csv":
        rows = lists.read_csv(call.request.body)
    else:
        rows = read_request(call.request, TopicSuppressionImport, max_bytes=lists.MAX_IMPORT_BYTES).value
    return json_response(SuppressionsImportedView(imported=await lists.take(call, rows, scope)))


async def export(call: Call) -> Response:
    """Handle GET /v1/topics/{name}/suppressions/export: CSV that `import` accepts."""
    return await lists.export(call, await _list_of(call), f"{call.values['name']}.csv")


async def _owner(call: Call) -> Client:
    """Return the client whose topics the call is about. Raises `Refusal` (403), and `NotFound` for an unknown client."""
    named = call.request.query.get("client")
    if call.client.role is not Role.OPERATOR and named not in (None, call.client.name):
        raise Refusal(403, "operators_only", "A client can only read and change its own topics.")
    return await owner_of(call)


async def _list_of(call: Call) -> str:
    """Return the scope of the suppressions of a topic. Raises `NotFound` for an unknown topic."""
    owner = await _owner(call)
    return topic_scope(owner.id, (await call.services.topics.get(owner.id, call.values["name"])).name)


def _texts(value: Mapping[str, str] | None, field: str, limit: int, problems: Problems) -> Mapping[str, str]:
    texts = value or {}
    if len(texts) > MAX_LANGUAGES:
        problems.add("too_many", field, f"Too many languages: {len(texts)} (limit {MAX_LANGUAGES}).")
        return {}
    for language, text in texts.items():
        target = member(field, language)
        if not _LANGUAGE.fullmatch(language):
            problems.add("invalid_value", target, "Not a language tag in lower case, such as en, ja or pt-br.")
        if not text.strip() or (problem := control_problem(text)):
            problems.add(
                "invalid_text", target, "Must be a line of text." if not text.strip() else f"The text {problem}."
            )
        elif len(text) > limit:
            problems.add("too_long", target, f"The text is too long: {len(text)} characters (limit {limit}).")
    return texts


def _group(value: int | None, problems: Problems) -> int:
    if value is not None and not 1 <= value <= _MAX_GROUP:
        problems.add("out_of_range", "sendgrid_group_id", f"Must be from 1 to {_MAX_GROUP}.")
    return value or 0


def _view(topic: Topic) -> TopicView:
    return TopicView(
        name=topic.name,
        created_at=topic.created_at,
        titles=topic.titles,
        descriptions=topic.descriptions,
        sendgrid_group_id=topic.sendgrid_group_id or UNSET,
    )
