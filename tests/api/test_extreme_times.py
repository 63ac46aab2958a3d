"""The first and the last time that a caller can write, such as .NET's DateTime.MinValue and MaxValue."""

import pytest

from relay.api.operations import OPERATIONS
from tests.api.harness import Harness

FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z"
LISTS = [
    each for each in OPERATIONS if each.method == "GET" and {"since", "before"} & {p.name for p in each.parameters}
]


@pytest.mark.parametrize("path", [each.path for each in LISTS])
@pytest.mark.parametrize(
    "query", [f"before={FIRST}", f"since={FIRST}", f"before={LAST}", f"since={FIRST}&before={LAST}"]
)
async def test_list_takes_any_time(path: str, query: str) -> None:
    relay = await Harness().start()
    answer = await relay.call("GET", f"{path}?{query}", client="boss")
    # Arrivals are counted over a limited span.
    assert answer.status in (200, 400), answer.body
    assert answer.status == 200 or {each["code"] for each in answer.json["error"]["details"]} == {"out_of_range"}


@pytest.mark.parametrize("time", [FIRST, LAST])
async def test_message_is_not_scheduled_for_such_a_time(time: str) -> None:
    relay = await Harness().start()
    message = {"from": "orders@shop.example", "to": "ada@example.org", "subject": "x", "text": "x", "send_at": time}
    answer = await relay.call("POST", "/v1/messages", json=message)
    assert (answer.status, answer.json["error"]["details"][0]["code"]) == (400, "out_of_range")
