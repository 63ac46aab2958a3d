"""The scenario of messages that Relay ends without sending them: the client's webhook gets each end, under one id."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from relay.core import ids
from relay.core.errors import NotFound
from relay.core.events import EndKind
from relay.core.model import State
from relay.core.outcomes import Rejected
from relay.events.webhooks.subscriptions import Definition, Subscription
from relay.platform.resources import WEBHOOKS_QUEUE
from tests.crash_points.scenarios import ONE_ROUTE, SENT, UNKNOWN, always, for_subject, one
from tests.crash_points.trial import Scenario, Stage

REFUSED = Rejected(code="policy_refused", reply="550 no")
REPAIRED = 1_500
"""Longer than the time of the scheduled message, a lease, and the recovery of a row."""


async def ended(stage: Stage) -> None:
    witness, world, caller = stage.world.witness, stage.world, stage.caller
    client = await witness.clients.get("app")
    definition = Definition(url="https://example.com/hook", secret="whsec_AA==", created_at=world.clock())
    await witness.webhooks.subscriptions.put(Subscription(id="wh_1", client_id=client.id, definition=definition))
    """Refuse a message, and cancel one before it has a record and one that is scheduled."""
    await caller.submit_all("refused", "withdrawn")
    await caller.cancel("withdrawn")
    await caller.submit("cancelled", send_at=(world.clock() + timedelta(seconds=200)).isoformat())
    await asyncio.sleep(20)
    await caller.cancel("cancelled")
    await asyncio.sleep(REPAIRED)
    posted = posts(stage)
    for submission in caller.submissions.values():
        if submission.id is None:
            continue
        expected = await ends_of(stage, submission.id)
        if posted[submission.id] != expected:
            caller.broken_promises.append(
                f"{submission.label}: posted as {dict(posted[submission.id])}, ended as {dict(expected)}"
            )


async def ends_of(stage: Stage, message: str) -> Counter[str]:
    """Count the ends of a message's parts by state."""
    name = ids.parse(message)
    try:
        record = await stage.world.witness.journal.read(name.batch)
    except NotFound:
        return Counter()
    return Counter(part.state for part in record.statuses[name.index].parts if str(part.state) in set(EndKind))


def posts(stage: Stage) -> Mapping[str, Counter[str]]:
    """Count the posts that wait for the client's webhook by kind, each id once, of each message."""
    queued = stage.world.memory.queues.bodies(WEBHOOKS_QUEUE)
    bodies: Mapping[str, Any] = {
        post["id"]: json.loads(post["body"]) for body in queued for post in json.loads(body)["posts"]
    }
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for body in bodies.values():
        found[body["data"]["message"]][body["type"].removeprefix("message.")] += 1
    return found


END_SCENARIOS: Sequence[Scenario] = (
    Scenario(
        name="ended without being sent",
        settings=ONE_ROUTE,
        accounts=one(for_subject("refused", always(REFUSED))),
        play=ended,
        ends={
            "refused": {State.FAILED},
            "withdrawn": {State.CANCELLED},
            "cancelled": {State.CANCELLED},
        },
        may_end={
            "refused": {UNKNOWN},
            "withdrawn": {SENT, UNKNOWN},
            "cancelled": {SENT, UNKNOWN},
        },
    ),
)
