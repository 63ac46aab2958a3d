"""The brake end to end: bounces arrive, bulk mail waits, its client is notified once, and what waits is sent once at last."""

import json
from typing import Any

import msgspec
import pytest

from relay.core.events import EventSource
from relay.events import provider_events
from relay.events.provider_events import ProviderEvent
from relay.platform.resources import WEBHOOKS_QUEUE
from tests.api.harness import Harness

MESSAGES = 10
PER_MESSAGE = 20
"""Together the 200 recipients of which a rate of bounces says something."""


def addresses(number: int, count: int = PER_MESSAGE) -> list[str]:
    return [f"r{number}-{each}@example.org" for each in range(count)]


async def mailing(relay: Harness, client: str = "app", lane: str = "bulk") -> list[str]:
    """Send a mailing to 200 recipients."""
    names = [await relay.send(client, to=addresses(number), lane=lane) for number in range(MESSAGES)]
    await relay.deliver()
    return names


async def bounce(
    relay: Harness, names: list[str], *, each: int = 2, source: EventSource = EventSource.PROVIDER, client_id: str = ""
) -> None:
    """Report that copies of each message bounced."""
    found = [
        ProviderEvent(
            kind="bounced",
            at=relay.clock(),
            key=f"{name}-{recipient}",
            provider="capture",
            message=name,
            recipient=recipient,
            code="5.7.1",
            bounce_class="policy",
            source=source,
            client_id=client_id,
        )
        for number, name in enumerate(names)
        for recipient in addresses(number)[:each]
    ]
    await relay.relay.events.apply(
        provider_events.encode(provider_events.Entry(relay=provider_events.VERSION, events=tuple(found)))
    )


async def count(relay: Harness) -> None:
    """Let ten minutes pass, after which the timer counts again."""
    relay.clock.move(600)
    await relay.relay.arrival_rates.run()


async def hold_of(relay: Harness, client: str = "app") -> Any:
    return (await relay.call("GET", f"/v1/clients/{client}", client="boss")).json["hold"]


async def release(relay: Harness, client: str = "app") -> Any:
    response = await relay.call("POST", f"/v1/clients/{client}/release", client="boss")
    assert response.status == 200, response.body
    return response.json


async def state(relay: Harness, name: str) -> tuple[str, str]:
    found = await relay.status(name)
    return found["state"], found["recipients"][0].get("code", "")


async def notices(relay: Harness) -> list[tuple[str, str, dict[str, Any]]]:
    """Return the posts to webhooks that wait: type, id and data."""
    found = []
    for body in relay.memory.queues.bodies(WEBHOOKS_QUEUE):
        for post in json.loads(body)["posts"]:
            seen = json.loads(post["body"])
            found.append((seen["type"], post["id"], seen["data"]))
    return found


@pytest.fixture
async def braked(relay: Harness) -> Harness:
    """A relay on which a tenth of a client's bulk mail bounced."""
    hook = {"url": "https://example.com/hook", "events": ["client.held", "client.released"]}
    assert (await relay.call("POST", "/v1/webhooks", json=hook)).status == 201
    await bounce(relay, await mailing(relay))
    await count(relay)
    return relay


async def test_bulk_mail_waits_and_transactional_mail_goes_on(braked: Harness) -> None:
    bulk, other = await braked.send(lane="bulk"), await braked.send(lane="transactional")
    await braked.deliver()
    assert await state(braked, bulk) == ("held", "bounce_rate")
    assert await state(braked, other) == ("sent", "")
    shown = await hold_of(braked)
    figures = {name: shown[name] for name in ("client", "lanes", "code", "sent", "bounced", "complained")}
    assert figures == {
        **{"client": "app", "lanes": "bulk", "code": "bounce_rate"},
        **{"sent": 200, "bounced": 20, "complained": 0},
    }
    assert (await braked.call("GET", "/v1/overview", client="boss")).json["held_clients"] == [shown]


async def test_held_mail_costs_nothing_until_it_is_released_and_is_then_sent_once(braked: Harness) -> None:
    name = await braked.send(lane="bulk")
    await braked.deliver()
    for _ in range(3):
        await braked.pass_time(86_400)
        assert braked.waiting == 0
    assert await state(braked, name) == ("held", "bounce_rate")
    assert (await release(braked))["hold"] is None
    await release(braked)
    await braked.deliver()
    assert await state(braked, name) == ("sent", "")
    assert len((await braked.status(name))["attempts"]) == 1


async def test_message_with_its_own_expiry_expires_while_it_waits(braked: Harness) -> None:
    name = await braked.send(lane="bulk", expires_in_seconds=3600)
    await braked.deliver()
    await braked.pass_time(3660)
    assert (await state(braked, name))[0] == "expired"


async def test_owner_is_notified_once_of_hold_and_release(braked: Harness) -> None:
    [(kind, _, data)] = await notices(braked)
    assert (kind, data["cause"], data["sent"], data["bounced"]) == ("client.held", "bounce_rate", 200, 20)
    await count(braked)
    assert len(await notices(braked)) == 1
    await release(braked)
    await count(braked)
    await count(braked)
    assert [each[0] for each in await notices(braked)] == ["client.held", "client.released"]


async def test_same_bounces_do_not_hold_the_client_again_after_its_release(braked: Harness) -> None:
    await release(braked)
    for _ in range(4):
        await count(braked)
        assert await hold_of(braked) is None


async def test_new_bounces_after_the_release_hold_the_client_again(braked: Harness) -> None:
    waiting = [await braked.send(to=addresses(number), lane="bulk") for number in range(MESSAGES)]
    await braked.deliver()
    await release(braked)
    braked.clock.move(1)
    await braked.deliver()
    await bounce(braked, waiting)
    await count(braked)
    assert (await hold_of(braked))["sent"] == 200


@pytest.mark.parametrize("source", [EventSource.MAIL, EventSource.CLIENT])
async def test_report_that_the_provider_does_not_vouch_for_holds_nobody(relay: Harness, source: EventSource) -> None:
    await bounce(relay, await mailing(relay), each=PER_MESSAGE, source=source)
    await count(relay)
    assert await hold_of(relay) is None


async def test_forged_report_does_not_hide_a_real_bounce(relay: Harness) -> None:
    names = await mailing(relay)
    await bounce(relay, names)
    forged = [
        ProviderEvent(
            kind="delivered",
            at=relay.clock(),
            key=f"forged-{name}-{recipient}",
            provider="report",
            message=name,
            recipient=recipient,
            attempt=9,
        )
        for number, name in enumerate(names)
        for recipient in addresses(number)
    ]
    for event in forged:
        entry = provider_events.Entry(relay=provider_events.VERSION, events=(event,))
        await relay.relay.events.apply(provider_events.encode(entry))
    await count(relay)
    assert (await hold_of(relay))["bounced"] == 20


async def test_bounces_of_one_client_do_not_hold_another(braked: Harness) -> None:
    await braked.add_client("other")
    name = await braked.send("other", lane="bulk")
    await braked.deliver()
    assert (await braked.status(name, "other"))["state"] == "sent"
    assert await hold_of(braked, "other") is None


async def test_later_client_of_the_same_name_has_no_counts(relay: Harness) -> None:
    await relay.add_client("news")
    names = await mailing(relay, "news")
    await relay.call("DELETE", "/v1/clients/news", client="boss")
    await relay.add_client("news")
    await bounce(relay, names)
    await count(relay)
    assert await hold_of(relay, "news") is None


async def test_bounces_of_transactional_mail_hold_nothing_by_default(relay: Harness) -> None:
    await bounce(relay, await mailing(relay, lane="transactional"))
    await count(relay)
    assert await hold_of(relay) is None


@pytest.mark.parametrize(("policy", "states"), [("all", ["held", "held"]), ("off", ["sent", "sent"])])
async def test_policy_says_which_lanes_are_held(relay: Harness, policy: str, states: list[str]) -> None:
    changed = await relay.call("PATCH", "/v1/clients/app", json={"policy": {"brake": policy}}, client="boss")
    assert changed.json["policy"]["brake"] == policy
    await bounce(relay, await mailing(relay))
    await count(relay)
    names = [await relay.send(lane=lane) for lane in ("bulk", "transactional")]
    await relay.deliver()
    assert [(await relay.status(name))["state"] for name in names] == states


async def test_mail_of_a_deleted_client_is_sent(braked: Harness) -> None:
    await braked.add_client("last")
    await bounce(braked, await mailing(braked, "last"))
    await count(braked)
    name = await braked.send("last", lane="bulk")
    await braked.deliver()
    assert (await braked.status(name, "last"))["state"] == "held"
    await braked.call("DELETE", "/v1/clients/last", client="boss")
    await braked.pass_time(120)
    assert (await braked.status(name, "boss"))["state"] == "sent"


async def test_only_operators_release_a_client(braked: Harness) -> None:
    assert (await braked.call("POST", "/v1/clients/app/release")).status == 403
    assert (await braked.call("POST", "/v1/clients/nobody/release", client="boss")).status == 404


async def test_brake_costs_delivery_no_operation(braked: Harness) -> None:
    await braked.relay.holds.all(fresh=True)
    braked.tables.calls.clear()
    assert braked.relay.brakes.held_scopes()
    assert not braked.tables.calls


def test_client_without_a_hold_has_none() -> None:
    from relay.routes.brakes import Brake

    assert not Brake(client_id="one").covers("bulk")
    assert msgspec.json.encode(Brake(client_id="one")) == b'{"client_id":"one"}'


@pytest.mark.parametrize(
    ("setting", "is_held"),
    [({}, True), ({"is_on": False}, False), ({"bounce_rate": 0.11}, False), ({"bounces_of": 201}, False)],
)
async def test_deployment_sets_the_limits_or_turns_the_brake_off(setting: dict[str, Any], is_held: bool) -> None:
    relay = await Harness({"RELAY_BRAKE": json.dumps(setting)}).start()
    await bounce(relay, await mailing(relay))
    await count(relay)
    assert (await hold_of(relay) is not None) is is_held
