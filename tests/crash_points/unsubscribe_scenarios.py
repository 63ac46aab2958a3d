"""The scenario of a recipient who unsubscribes from a topic by the link in a mail."""

import asyncio
from typing import Any

import msgspec

from relay.core import ids
from relay.core.events import EventKind
from relay.platform.resources import EVENTS_QUEUE
from relay.unsubscribe import token
from relay.unsubscribe.token import Subscriber
from tests.crash_points.scenarios import FAILED, SENT, one, settings_of
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE

PUBLIC = settings_of({"main": {"provider": "capture"}}, RELAY_PUBLIC_URL="https://relay.example")
READER = "ann@example.net"
ABOUT: dict[str, Any] = {"to": [READER], "unsubscribe": {"topic": "news"}}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ONE_CLICK = msgspec.Raw(b"List-Unsubscribe=One-Click")
CACHED = 31
"""Longer than processes keep what they know of suppressions."""


async def unsubscribed_by_link(stage: Stage) -> None:
    """The mail program posts until it gets a response; the next message about the topic is not sent, a receipt is."""
    caller, witness = stage.caller, stage.world.witness
    await caller.insist("PUT", "/v1/topics/news", {})
    await caller.submit("one", key="one", **ABOUT)
    await stage.entries_done()
    name = caller.submissions["one"].id
    [client] = (await witness.clients.all()).values()
    text = token.write(Subscriber(client=client, topic="news", email=READER))
    response = await caller.insist("POST", f"/unsubscribe/{text}/{name}", ONE_CLICK, **FORM)
    if response.status != 200:
        caller.broken_promises.append(f"the unsubscription got {response.status}")
    if not await witness.suppressions.is_unsubscribed(client.id, "news", READER):
        caller.broken_promises.append("the unsubscription got 200 and is not in storage")
    await stage.entries_done()
    _, events = await witness.journal.history(ids.parse(name or "").batch)
    if [event.kind for event in events] != [EventKind.UNSUBSCRIBED]:
        caller.broken_promises.append(f"the unsubscription became {len(events)} events")
    await asyncio.sleep(CACHED)
    await caller.submit("two", key="two", **ABOUT)
    await caller.submit("receipt", key="receipt", to=[READER])


UNSUBSCRIBE_SCENARIOS = (
    Scenario(
        name="unsubscribed by a link",
        settings=PUBLIC,
        accounts=one(),
        play=unsubscribed_by_link,
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends={"one": {SENT}, "two": {FAILED}, "receipt": {SENT}},
    ),
)
