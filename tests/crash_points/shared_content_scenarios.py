"""The scenarios of messages whose content shares a blob: some are erased, while the others wait and still need it."""

import asyncio
from collections.abc import Sequence

from relay.core.model import State
from relay.core.outcomes import Rejected, Sent
from relay.core.send_request import SendRequest
from tests.crash_points.providers import Answer
from tests.crash_points.scenarios import ADA, AWAY, FAILED, ONE_ROUTE, SENT, UNKNOWN, one
from tests.crash_points.trial import Scenario, Stage

BOB = "bob@erased.example"
OTHERS = [f"another's {number}" for number in range(5)]
REDRIVEN = ["one", "two"]
TEXT = "A long letter. " * 2_500
"""So long that the entry of one message has no room for another."""


async def submit_sharing(stage: Stage, alone: str, sharing: dict[str, str]) -> None:
    """Submit messages, by label with their recipients. `alone` is put first, and the others wait for that put."""
    stage.caller.keeps_to_one = True
    # Once the client is known, they are put in the order in which they come.
    await stage.caller.ask("GET", "/v1/topics")
    everybody = {alone: "ann@example.net", **sharing}
    await asyncio.gather(
        *(stage.caller.submit(label, to=[recipient], text=TEXT + label) for label, recipient in everybody.items())
    )
    stage.caller.keeps_to_one = False


async def erased_from_a_shared_blob(stage: Stage) -> None:
    first, *others = OTHERS
    await submit_sharing(stage, first, {"hers": ADA, **dict.fromkeys(others, "ann@example.net")})
    await asyncio.sleep(8)
    await stage.caller.erase(ADA)
    # What is left of a request that was not answered is sent later.
    await asyncio.sleep(1_500)
    await stage.caller.erase(ADA)


async def two_erased_from_a_shared_blob(stage: Stage) -> None:
    """The second erasure overwrites the blob while the first may stand still. Then an operator redrives the others."""
    await submit_sharing(stage, "alone", {"hers": ADA, "his": BOB, **dict.fromkeys(REDRIVEN, "ann@example.net")})
    await stage.entries_done()
    first = asyncio.ensure_future(stage.caller.erase(ADA))
    await asyncio.sleep(1)
    await asyncio.gather(first, stage.caller.erase(BOB))
    await stage.caller.insist("POST", "/v1/deadletters/redrive", {"code": "content_refused"})
    await stage.entries_done()
    # What is left of a request that was not answered is sent later.
    await stage.caller.erase(ADA)
    await stage.caller.erase(BOB)


def deferred_once(request: SendRequest, number: int) -> Answer:
    """Defer the others' messages once. Each must be whole when it is sent, also after the erasure."""
    assert request.message.text == TEXT + request.message.subject
    return Sent() if request.message.subject == "hers" or number > 1 else AWAY


def refused_once(request: SendRequest, number: int) -> Answer:
    """Refuse once what is to be redriven. Each must be whole when it is sent, also after the erasures."""
    assert request.message.text == TEXT + request.message.subject
    is_refused = request.message.subject in REDRIVEN and number == 1
    return Rejected(code="content_refused") if is_refused else Sent()


SHARED_CONTENT_SCENARIOS: Sequence[Scenario] = (
    Scenario(
        name="erased from a shared blob",
        settings=ONE_ROUTE,
        accounts=one(deferred_once),
        play=erased_from_a_shared_blob,
        ends={"hers": {SENT}, **{label: {SENT} for label in OTHERS}},
        may_end={"hers": {UNKNOWN, State.CANCELLED}, **{label: {UNKNOWN} for label in OTHERS}},
        attempts={"hers": 1, **dict.fromkeys(OTHERS, 2)},
    ),
    Scenario(
        name="two erased from a shared blob",
        settings=ONE_ROUTE,
        accounts=one(refused_once),
        play=two_erased_from_a_shared_blob,
        skews=(0.0, 0.0),
        ends={label: {SENT} for label in ("alone", "hers", "his", *REDRIVEN)},
        may_end={
            "alone": {UNKNOWN},
            "hers": {UNKNOWN, State.CANCELLED},
            "his": {UNKNOWN, State.CANCELLED},
            **{label: {FAILED, UNKNOWN} for label in REDRIVEN},
        },
        attempts=dict.fromkeys(REDRIVEN, 2),
    ),
)
