"""Finished mail by providers that take none, over real HTTP: sendmail, SMTP, and failover from Graph."""

import asyncio
import smtplib
from collections.abc import AsyncIterator

import msgspec
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from relay.cli.app import app
from relay.submission.server import SubmissionServer
from relay.submission.settings import LOOPBACK, Endpoint, Settings
from standins.everything import Everything
from standins.inbox import Mail
from tests.e2e.running import RunningRelay, running_relay
from tests.send_requests import FINISHED, SIGNED

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60
ROUTES = {"sendgrid": ["sendgrid"], "acs": ["acs"], "both": ["graph", "sendgrid"]}
"""The routes for mail of each sender's domain."""


class Place:
    """A relay as separate processes, and a stand-in for each provider."""

    def __init__(self, relay: RunningRelay, standins: Everything) -> None:
        self.relay = relay
        self.standins = standins

    async def sent(self, name: str) -> dict[str, object]:
        """Return the message's status once it is final."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                _, history, headers = await self.relay.call("GET", f"/v1/messages/{name}")
                if "Retry-After" not in headers:
                    assert history["state"] == "sent", str(history)
                    return dict(history)
                await asyncio.sleep(0.1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    rules = [{"when": {"sender_domains": [f"{name}.example"]}, "routes": routes} for name, routes in ROUTES.items()]
    routing = {"RELAY_ROUTING": msgspec.json.encode([*rules, {"routes": ["capture"]}]).decode()}
    async with (
        Everything(tmp_path_factory.mktemp("standins")) as standins,
        running_relay(standins.settings() | routing) as relay,
    ):
        yield Place(relay, standins)


def mail_from(domain: str, mail: bytes = FINISHED) -> bytes:
    return mail.replace(b"app@example.com", f"app@{domain}.example".encode())


def check(mails: list[Mail], message_id: str) -> None:
    [mail] = mails
    assert (mail.subject, mail.text, mail.html) == ("件名", "本文", "<p>本文</p>")
    assert [(file.name, file.content) for file in mail.attachments] == [("請.pdf", b"%PDF")]
    assert (mail.headers["X-Order"], mail.headers["Message-ID"]) == ("4711", message_id)
    assert mail.raw is None


async def test_finished_mail_fails_over_from_graph_to_sendgrid(place: Place) -> None:
    error = {"error": {"code": "ErrorAccessDenied", "message": "Access is denied."}}
    place.standins.graph.script.respond(403, error)
    status, accepted, _ = await place.relay.call(
        "POST", "/v1/messages", data=mail_from("both"), headers={"Content-Type": "message/rfc822"}
    )
    assert status == 202, accepted
    history = await place.sent(accepted["id"])
    assert isinstance(attempts := history["attempts"], list)
    assert [(each["route"], each["outcome"]) for each in attempts] == [("graph", "route_fault"), ("sendgrid", "sent")]
    mails = place.standins.sendgrid.inbox.of(accepted["id"])
    check(mails, "<own@example.com>")
    assert mails[0].envelope == ("ada@example.org", "eve@example.org")


async def test_sendmail_leaves_by_acs(place: Place) -> None:
    environment = {"RELAY_URL": place.relay.url, "RELAY_KEY": place.relay.key}
    content = mail_from("acs").replace(b"\r\n", b"\n")
    ran = await asyncio.to_thread(
        CliRunner().invoke, app, ["sendmail", "-i", "ada@example.org"], input=content, env=environment
    )
    assert (ran.exit_code, ran.output) == (0, "")
    async with asyncio.timeout(PATIENCE_SECONDS):
        [mail] = await place.standins.acs.inbox.wait_for(1)
    check([mail], f"<{mail.relay_id}@acs.example>")
    assert mail.envelope == ("ada@example.org",)


async def test_mail_by_smtp_leaves_by_sendgrid_and_names_losses(place: Place) -> None:
    listen = (Endpoint(host="127.0.0.1", port=0),)
    settings = Settings(url=place.relay.url, key=place.relay.key, listen=listen, networks=LOOPBACK)
    server = SubmissionServer(settings, report=lambda _: None)

    def send() -> str:
        with smtplib.SMTP(*server.addresses[0], timeout=30) as client:
            client.sendmail("app@sendgrid.example", ["ada@example.org"], mail_from("sendgrid"), ["BODY=8BITMIME"])
            with pytest.raises(smtplib.SMTPDataError) as refused:
                client.sendmail("app@sendgrid.example", ["ada@example.org"], mail_from("sendgrid", SIGNED))
            return f"{refused.value.smtp_code} {refused.value.smtp_error!r}"

    before = place.standins.sendgrid.inbox.accepted
    async with server:
        refusal = await asyncio.to_thread(send)
    assert refusal.startswith("554 ")
    assert "DKIM signature, header X-A (2 times)" in refusal
    async with asyncio.timeout(PATIENCE_SECONDS):
        mails = await place.standins.sendgrid.inbox.wait_for(before + 1)
    check(mails[before:], "<own@example.com>")
