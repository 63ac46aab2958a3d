"""The scenario of messages whose content shares a blob: one is erased, while the others wait and still need it."""

import asyncio
from collections.abc import Sequence

from relay.core.model import State
from relay.core.outcomes import Sent
from relay.core.send_request import SendRequest
from tests.crash_points.providers import Answer
from tests.crash_points.scenarios import ADA, AWAY, ONE_ROUTE, SENT, UNKNOWN, one
from tests.crash_points.trial import Scenario, Stage

OTHERS = [f"another's {number}" for number in range(5)]
TEXT = "A long letter. " * 2_500
"""So long that the entry of one message has no room for another."""


async def erased_from_a_shared_blob(stage: Stage) -> None:
    first, *others = OTHERS
    await asyncio.gather(
        # The first is put alone, and the others wait for its put.
        stage.caller.submit(first, text=TEXT + first),
        stage.caller.submit("hers", to=[ADA], text=TEXT),
        *(stage.caller.submit(label, text=TEXT + label) for label in others),
    )
    await asyncio.sleep(8)
    await stage.caller.erase(ADA)
    # What is left of a request that was not answered is sent later.
    await asyncio.sleep(1_500)
    await stage.caller.erase(ADA)


def whole(request: SendRequest, number: int) -> Answer:
    """Defer the others' messages once. Each must be whole when it is sent, also after the erasure."""
    is_hers = request.message.subject == "hers"
    assert request.message.text == TEXT + ("" if is_hers else request.message.subject)
    return Sent() if is_hers or number > 1 else AWAY


SHARED_CONTENT_SCENARIOS: Sequence[Scenario] = (
    Scenario(
        name="erased from a shared blob",
        settings=ONE_ROUTE,
        accounts=one(whole),
        play=erased_from_a_shared_blob,
        ends={"hers": {SENT}, **{label: {SENT} for label in OTHERS}},
        may_end={"hers": {UNKNOWN, State.CANCELLED}, **{label: {UNKNOWN} for label in OTHERS}},
        attempts={"hers": 1, **dict.fromkeys(OTHERS, 2)},
    ),
)
