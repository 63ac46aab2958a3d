"""Planning inputs: the routes of messages, held routes, and the canary batch of a route in `trial`."""

from datetime import timedelta

from relay.core.model import Address, MessageStatus, Part, State
from relay.core.settings import Route, Rule, When
from relay.delivery.planning import CANARY_WAIT
from relay.routes.hold_rows import RouteState
from tests.doubles import START, Place, batch_of, changed, entry_of, message_of, place_of, settings_of, submission_of

MAIN, SPARE = Route(name="main", provider="smtp"), Route(name="spare", provider="sendgrid")
BOTH = settings_of(MAIN, SPARE, rules=(Rule(routes=("main", "spare"), when=When(lanes=("transactional",))),))


async def canary(place: Place, route: str) -> None:
    """Bring a route into `canary`."""
    await place.holds.hold(route, "bad_credentials")
    assert await place.holds.begin_trial((await place.holds.all(fresh=True))[route])


async def test_active_route_costs_one_query(place: Place) -> None:
    entry = batch_of(entry_of(submission_of(), submission_of()))
    found = await place.planning_inputs.of(entry, [0, 1], START)
    assert set(found) == {0, 1}
    assert [leg.routes for leg in found[1].legs or ()] == [("main",)]
    assert found[0].closed("main") is None
    assert found[0].exists("main")
    assert not found[0].exists("gone")
    assert dict(place.tables.calls) == {"query": 1}


async def test_held_route_is_closed_until_its_probe(place: Place) -> None:
    hold = await place.holds.hold("main", "bad_credentials", retry_after_seconds=500)
    entry = batch_of(entry_of())
    closed = (await place.planning_inputs.of(entry, [0], START))[0].closed("main")
    assert closed is not None
    assert (closed.scope, closed.code, closed.until) == ("main", "bad_credentials", hold.next_probe_at)
    place.time.move(490)
    closed = (await place.planning_inputs.of(entry, [0], place.time()))[0].closed("main")
    assert closed is not None
    assert closed.until == place.time() + CANARY_WAIT


async def test_sender_hold_closes_the_route_only_for_that_sender(place: Place) -> None:
    await place.holds.hold("main", "sender_not_verified", sender="shop@example.org")
    other = message_of(sender=Address(email="crm@example.org"))
    entry = batch_of(
        entry_of(submission_of(message_of(sender=Address(email="Shop@Example.org"))), submission_of(other))
    )
    found = await place.planning_inputs.of(entry, [0, 1], START)
    closed = found[0].closed("main")
    assert closed is not None
    assert closed.scope == "main|shop@example.org"
    assert found[1].closed("main") is None


async def test_redrive_sender_replaces_the_messages_sender(place: Place) -> None:
    await place.holds.hold("main", "sender_not_verified", sender="shop@example.org")
    entry = batch_of(entry_of())
    part = Part(route="main", state=State.DEFERRED, due_at=START)
    statuses = [MessageStatus(parts=(part,), sender=Address(email="crm@example.org"))]
    found = await place.planning_inputs.of(entry, [0], START, statuses)
    assert found[0].closed("main") is None


async def test_first_batch_that_needs_the_route_is_the_canary(place: Place) -> None:
    await canary(place, "main")
    first, second = batch_of(entry_of()), batch_of(entry_of())
    assert (await place.planning_inputs.of(first, [0], START))[0].closed("main") is None
    assert (await place.planning_inputs.of(second, [0], START))[0].closed("main") is not None
    assert (await place.planning_inputs.of(first, [0], START))[0].closed("main") is None


async def test_batch_with_an_active_route_claims_no_canary() -> None:
    place = await place_of(BOTH)
    await canary(place, "spare")
    for _ in range(3):
        assert (await place.planning_inputs.of(batch_of(entry_of()), [0], START))[0].closed("main") is None
    assert (await place.holds.all(fresh=True))["spare"].canary_batch == ""


async def test_batch_claims_a_canary_on_a_route_behind_a_held_one() -> None:
    place = await place_of(BOTH)
    await canary(place, "spare")
    await place.holds.hold("main", "bad_credentials")
    first, second = batch_of(entry_of()), batch_of(entry_of())
    assert (await place.planning_inputs.of(first, [0], START))[0].closed("spare") is None
    assert (await place.planning_inputs.of(second, [0], START))[0].closed("spare") is not None
    assert (await place.holds.all(fresh=True))["spare"].state is RouteState.TRIAL


async def test_final_message_claims_no_canary() -> None:
    place = await place_of(BOTH)
    await canary(place, "spare")
    sent = MessageStatus(parts=(Part(route="spare", state=State.SENT, is_pinned=True),))
    pinned = MessageStatus(parts=(Part(route="spare", state=State.DEFERRED, is_pinned=True, due_at=START),))
    entry = batch_of(entry_of())
    await place.planning_inputs.of(entry, [0], START, [sent])
    assert (await place.holds.all(fresh=True))["spare"].canary_batch == ""
    await place.planning_inputs.of(entry, [0], START, [pinned])
    assert (await place.holds.all(fresh=True))["spare"].canary_batch == entry.batch


async def test_expired_message_claims_no_canary(place: Place) -> None:
    await canary(place, "main")
    held = Part(route="main", state=State.HELD, due_at=START, held_since=START, held_expires_at=START)
    old, held_long = submission_of(expires_at=START), submission_of(expires_at=START)
    for entry, statuses in (
        (batch_of(entry_of(old)), None),
        (batch_of(entry_of(held_long)), [MessageStatus(parts=(held,))]),
    ):
        await place.planning_inputs.of(entry, [0], START + timedelta(seconds=9), statuses)
        assert (await place.holds.all(fresh=True))["main"].canary_batch == ""
    stopped = [MessageStatus(parts=(changed(held, held_expires_at=None),))]
    entry = batch_of(entry_of(submission_of(expires_at=START + timedelta(seconds=1))))
    await place.planning_inputs.of(entry, [0], START + timedelta(seconds=9), stopped)
    assert (await place.holds.all(fresh=True))["main"].canary_batch == entry.batch


async def test_message_without_content_has_no_legs(place: Place) -> None:
    submission = submission_of(blob="20260301/gone")
    entry = batch_of(entry_of(submission_of(), submission))
    envelope_only = await place.planning_inputs.of(entry, [1], START)
    assert envelope_only[1].legs is not None
    bare = entry.messages[1].__class__(client="shop", client_id="c1", expires_at=START, blob="20260301/gone")
    gone = batch_of(entry_of(bare))
    assert (await place.planning_inputs.of(gone, [0], START))[0].legs is None


async def test_only_a_configured_route_can_be_verified() -> None:
    verifiable = Route(name="verifiable", provider="sendgrid", settings={"activity_feed": True})
    place = await place_of(settings_of(MAIN, SPARE, verifiable))
    routes = ("main", "spare", "verifiable", "gone")
    assert [place.planning_inputs.can_verify(route) for route in routes] == [False, False, True, False]
