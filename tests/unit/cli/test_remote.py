"""Which certificates a call of the API trusts, when it is retried, and the text of a refusal."""

import socket
import ssl
from collections.abc import Sequence

import httpx2
import pytest

from relay.cli.mail.raw_mail import post
from relay.cli.remote import Remote, RemoteError, find_remote, trust_of


def test_relay_without_tls_is_called_without_loading_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")
    Remote("http://127.0.0.1:7071", "key").close()
    with pytest.raises(FileNotFoundError):
        Remote("https://relay.example.org", "key")


def test_tls_is_never_unchecked() -> None:
    assert trust_of("https://relay.example.org") is True
    trust = trust_of("http://127.0.0.1:7071")
    assert isinstance(trust, ssl.SSLContext)
    assert trust.verify_mode is ssl.CERT_REQUIRED
    assert trust.get_ca_certs() == []


@pytest.mark.parametrize(
    ("message", "problems", "expected"),
    [
        ("Unknown path.", (), "Unknown path."),
        ("This is required.", [("subject", "This is required.")], "subject: This is required."),
        ("The message bounced.", [("to[0]", "no such mailbox")], "The message bounced.\n  to[0]: no such mailbox"),
        (
            "The request has 2 problems.",
            [("from", "An address must have an @-sign."), ("subject", "This is required.")],
            "The request has 2 problems.\n  from: An address must have an @-sign.\n  subject: This is required.",
        ),
    ],
)
def test_refusal_has_each_problem_once(message: str, problems: Sequence[tuple[str, str]], expected: str) -> None:
    details = [{"target": target, "message": text} for target, text in problems]
    refused = httpx2.Response(400, json={"error": {"message": message, "details": details}})
    remote = Remote("http://127.0.0.1:7071", "key", httpx2.MockTransport(lambda _: refused))
    with pytest.raises(RemoteError) as caught:
        remote.call("POST", "/v1/messages", json={})
    assert str(caught.value) == expected


class Answers:
    """A relay that answers calls in turn with a status or the failure of a connection; the last one stays."""

    def __init__(self, *answers: int | OSError) -> None:
        self.left = list(answers)
        self.calls = 0
        self.pauses: list[float] = []
        self.remote = Remote(
            "http://127.0.0.1:7071", "key", httpx2.MockTransport(self._answer), sleep=self.pauses.append
        )

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, OSError):
            raise httpx2.ConnectError("") from answer
        return httpx2.Response(answer)


REFUSED = ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    "failure",
    [
        REFUSED,
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        ssl.SSLCertVerificationError(1, "self-signed"),
    ],
)
def test_connection_that_cannot_succeed_is_reported_at_once_with_its_reason(failure: OSError) -> None:
    relay = Answers(failure)
    with pytest.raises(RemoteError, match=f"cannot be reached .{failure.strerror}.") as caught:
        relay.remote.call("GET", "/v1/me")
    assert (relay.calls, relay.pauses, caught.value.exit_code) == (1, [], 3)


def test_port_where_nothing_listens_is_called_once() -> None:
    pauses: list[float] = []
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        remote = Remote(f"http://127.0.0.1:{bound.getsockname()[1]}", "key", sleep=pauses.append)
        with pytest.raises(RemoteError, match="Connection refused"):
            remote.call("GET", "/v1/me")
    assert pauses == []


@pytest.mark.parametrize(
    "answers",
    [(503, 503, 200), (TimeoutError(110, "Connection timed out"), 200), (socket.gaierror(socket.EAI_AGAIN, ""), 200)],
)
def test_slow_or_starting_relay_is_called_again(answers: Sequence[int | OSError]) -> None:
    relay = Answers(*answers)
    relay.remote.call("GET", "/v1/me")
    assert relay.calls == len(answers)


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("900", 10.0), ("Sun, 29 Nov 2026 12:00:00 GMT", 1.0), ("", 1.0)]
)
def test_busy_relay_is_called_again_after_what_it_asks_for(header: str, seconds: float) -> None:
    answers, pauses = [httpx2.Response(200), httpx2.Response(503, headers={"Retry-After": header})], list[float]()
    remote = Remote("http://127.0.0.1:7071", "key", httpx2.MockTransport(lambda _: answers.pop()), sleep=pauses.append)
    remote.call("GET", "/v1/me")
    assert pauses == [seconds]


def test_relay_that_restarts_during_a_command_is_called_again() -> None:
    relay = Answers(200, REFUSED, REFUSED, 200)
    relay.remote.call("GET", "/v1/me")
    relay.remote.call("GET", "/v1/me")
    assert relay.calls == 4


def test_mail_of_a_program_waits_for_a_relay_that_starts() -> None:
    relay = Answers(REFUSED, 202)
    post(relay.remote, b"Subject: x\r\n\r\n", sender=None, recipients=(), key="k")
    assert relay.calls == 2


def test_url_without_scheme_is_a_wrong_command_line() -> None:
    with pytest.raises(RemoteError, match="is not a URL") as caught:
        find_remote("relay.example", "key")
    assert caught.value.exit_code == 2
