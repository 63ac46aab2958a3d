"""The scenario of a client that is held for its bounces, and released by an operator."""

import asyncio
import json
from collections.abc import Sequence

import msgspec

from relay.core.arrival.brake import lane_key
from relay.core.arrival.counts import Counts, HourCounts
from relay.core.settings import DEFAULT_LANE, BrakePolicy
from relay.events.webhooks.subscriptions import Definition, Subscription
from relay.journal.counts.hours import Hour
from relay.platform.resources import WEBHOOKS_QUEUE
from tests.crash_points.host import RECOVERY, Trigger
from tests.crash_points.scenarios import ONE_ROUTE, TWO, one
from tests.crash_points.trial import Scenario, Stage
from tests.crash_points.virtual_time import START
from tests.crash_points.world import ProofRelay


async def brake(relay: ProofRelay) -> None:
    """Do what follows a count of arrivals in which a fifth of the mail had bounced."""
    client = await relay.clients.get("app")
    lanes = {lane_key(client.id, DEFAULT_LANE): Counts(sent=1_000, hard_bounced=200)}
    counted = HourCounts(total=Counts(), by={})
    await relay.client_brake.apply([Hour(at=START, counted_at=START, share=1.0, counts=counted, lanes=lanes)])
    await relay.client_brake.post_notices()


def notices(stage: Stage) -> Sequence[tuple[str, str]]:
    """Return the type and id of each post that waits for the client's webhook."""
    posts = [post for body in stage.world.memory.queues.bodies(WEBHOOKS_QUEUE) for post in json.loads(body)["posts"]]
    return [(json.loads(post["body"])["type"], post["id"]) for post in posts]


async def until_notified(stage: Stage, kind: str) -> None:
    look = stage.world.poll(30)
    while kind not in dict(notices(stage)):
        await look.wait(30)


async def braked(stage: Stage) -> None:
    """Hold a client while it sends, and release it: its webhook gets each notice, under one id."""
    witness, world = stage.world.witness, stage.world
    client = await witness.clients.get("app")
    definition = Definition(url="https://example.com/hook", secret="whsec_AA==", created_at=world.clock())
    await witness.webhooks.subscriptions.put(Subscription(id="wh_1", client_id=client.id, definition=definition))
    policy = msgspec.structs.replace(client.policy, brake=BrakePolicy.ALL)
    await witness.clients.change("app", lambda known: msgspec.structs.replace(known, policy=policy))
    await until_notified(stage, "client.held")
    await stage.caller.submit_all("one", "two")
    await asyncio.sleep(60)
    await stage.caller.insist("POST", "/v1/clients/app/release", {})
    await until_notified(stage, "client.released")
    await asyncio.sleep(60)
    if len(set(notices(stage))) != 2:
        stage.caller.broken_promises.append(
            "a notice of the brake came under another id, or once more for the same count"
        )


BRAKE_SCENARIOS = (
    Scenario(
        name="held for bounces",
        settings=ONE_ROUTE,
        accounts=one(),
        play=braked,
        triggers=(*RECOVERY, Trigger(run=brake, following=RECOVERY[0].following)),
        ends=TWO,
    ),
)
