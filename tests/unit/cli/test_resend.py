"""`relay resend`: a lost response leads to no third copy."""

import httpx2
import msgspec
import pytest

from relay.cli.commands.resend import resend_message
from relay.cli.remote import UNAVAILABLE, Remote, RemoteError

LAST = "2026-03-01T12:00:00Z"
SHOWN = {"created_at": "2026-03-01T11:00:00Z", "attempts": [{"at": "2026-03-01T11:00:00.5Z"}, {"at": LAST}]}
MESSAGE = {"id": "msg_1", "state": "deferred"}


class FakeRelay:
    """Shows a message, and answers one request to resend after another."""

    def __init__(self, *responses: httpx2.Response) -> None:
        self.responses = list(responses)
        self.bodies: list[object] = []

    def remote(self) -> Remote:
        return Remote("https://relay.example", "key", httpx2.MockTransport(self._respond))

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return httpx2.Response(200, json=SHOWN)
        self.bodies.append(msgspec.json.decode(request.content))
        return self.responses.pop(0)


def away() -> httpx2.Response:
    return httpx2.Response(503, json={"error": {"message": "Storage is away."}}, headers={"Retry-After": "0"})


def test_time_of_the_last_attempt_is_sent_also_when_the_request_is_repeated() -> None:
    relay = FakeRelay(away(), httpx2.Response(202, json=MESSAGE))
    assert resend_message(relay.remote(), "msg_1", route="spare", reason="ticket", sent_until=None) == MESSAGE
    assert relay.bodies == [{"sent_until": LAST, "route": "spare", "reason": "ticket"}] * 2


def test_given_time_is_sent() -> None:
    relay = FakeRelay(httpx2.Response(202, json=MESSAGE))
    resend_message(relay.remote(), "msg_1", route=None, reason=None, sent_until="2026-03-01T10:00:00Z")
    assert relay.bodies == [{"sent_until": "2026-03-01T10:00:00Z", "route": None, "reason": None}]


def test_missing_response_says_how_to_repeat_the_command() -> None:
    relay = FakeRelay(*(away() for _ in range(4)))
    with pytest.raises(RemoteError, match=f"--sent-until {LAST}") as caught:
        resend_message(relay.remote(), "msg_1", route=None, reason=None, sent_until=None)
    assert caught.value.exit_code == UNAVAILABLE


def test_refusal_says_nothing_of_a_repetition() -> None:
    relay = FakeRelay(httpx2.Response(409, json={"error": {"message": "Nothing was sent."}}))
    with pytest.raises(RemoteError, match=r"^Nothing was sent\.$"):
        resend_message(relay.remote(), "msg_1", route=None, reason=None, sent_until=None)
