"""The scenario of recipients who answer, in a mailbox that is read for replies."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping

from relay.core import ids
from relay.events.webhooks.subscriptions import Definition, Subscription
from relay.platform.resources import EVENTS_QUEUE, WEBHOOKS_QUEUE
from relay.providers.contract import ReceivedAnswer
from tests.crash_points.host import RECOVERY, REPORTS
from tests.crash_points.providers import Account
from tests.crash_points.report_scenarios import GRAPH, REPAIRED
from tests.crash_points.scenarios import SENT, settings_of
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.world import MAIN_QUEUE, POISON_QUEUE

REPLIES = settings_of(
    {"main": GRAPH},
    RELAY_BOUNCE_MAILBOXES='[{"route": "main", "mailbox": "relay@example.com", "replies": true}]',
)
KINDS = Counter({"replied": 1, "auto_replied": 1})


def answer(message: str, *more: str) -> ReceivedAnswer:
    """Return a mail that answers a message."""
    head = ("From: ann@example.net", f"In-Reply-To: <{message}@sender.example>", "Subject: Re: one", *more)
    return ReceivedAnswer(raw=("\r\n".join(head) + "\r\n\r\nThank you.").encode())


async def answered(stage: Stage) -> None:
    """A person and a program answer a message, and the person's mail comes twice: each is recorded and posted once."""
    witness, world = stage.world.witness, stage.world
    client = await witness.clients.get("app")
    definition = Definition(url="https://example.com/hook", secret="whsec_AA==", created_at=world.clock())
    await witness.webhooks.subscriptions.put(Subscription(id="wh_1", client_id=client.id, definition=definition))
    await stage.caller.submit("one", key="k")
    look = world.poll(30)
    while not world.ledger.acceptances:
        await look.wait(30)
    message = world.ledger.acceptances[0].message
    person = answer(message, "Message-ID: <1@example.net>")
    world.ledger.reports += [
        person,
        person,
        answer(message, "Message-ID: <2@example.net>", "Auto-Submitted: auto-replied"),
    ]
    await asyncio.sleep(REPAIRED)
    name = ids.parse(message)
    _, events = await witness.journal.history(name.batch)
    recorded = Counter(event.kind for event in events)
    if recorded != KINDS:
        stage.caller.broken_promises.append(f"the answers are recorded as {dict(recorded)}")
    posted = Counter(kind.removeprefix("message.") for kind in posts(stage).values())
    if posted != KINDS:
        stage.caller.broken_promises.append(f"the answers are posted as {dict(posted)}")


def posts(stage: Stage) -> Mapping[str, str]:
    """Return the type of each post that waits for the client's webhook, by its id."""
    found = [post for body in stage.world.memory.queues.bodies(WEBHOOKS_QUEUE) for post in json.loads(body)["posts"]]
    return {post["id"]: json.loads(post["body"])["type"] for post in found}


REPLY_SCENARIOS = (
    Scenario(
        name="answered by mail",
        settings=REPLIES,
        accounts=lambda: {"main": Account()},
        play=answered,
        triggers=(*RECOVERY, REPORTS),
        queues=(MAIN_QUEUE, POISON_QUEUE, EVENTS_QUEUE),
        ends={"one": {SENT}},
    ),
)
