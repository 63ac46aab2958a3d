"""Japanese mail by every entrance and every route: names, charsets, addresses of carriers, file names, full-width input."""

import asyncio
import base64
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from relay.cli.app import app
from relay.cli.mail.pickup import Pickup, Result
from relay.cli.mail.pickup_folder import PickupFolder
from relay.cli.remote import Remote
from relay.submission.server import SubmissionServer
from relay.submission.settings import LOOPBACK, Endpoint, Settings
from standins.everything import Everything
from standins.inbox import Inbox, Mail
from tests.e2e.running import RunningRelay, running_relay

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE_SECONDS = 60
PROVIDERS = ("sendgrid", "graph", "acs", "smtp")
RAW_ROUTES = ("graph", "smtp")
"""The others' APIs take no finished message: they get its content."""

NAME = "株式会社東日本総合技術研究開発機構営業本部第一営業部"
SUBJECT = "【重要】第3四半期のご請求書①㈱髙﨑商事ｶﾌﾞｼｷ様〜御確認のお願い"
TEXT = "髙﨑様\n\n①請求書をお送りします。㈱ｻﾝﾌﾟﾙ\nABC１２３\n"
FILE = "請求書 2026年11月分.pdf"
CARRIERS = ("aaa..bb@docomo.ne.jp", ".start@ezweb.ne.jp", "end.@docomo.ne.jp")
FULL_WIDTH = "ｙａｍａｄａ＠ｅｘａｍｐｌｅ．ｊｐ"

ESCAPED = b"\x1b$B-!-j\x1b(B"
"""① and ㈱ in ISO-2022-JP, as Windows writes them (row 13); Python's codec refuses to."""
HALF_WIDTH = b"\x1b(I6^\x1b(B"
"""Half-width katakana (ｶﾞ) in ISO-2022-JP, as Windows-50221 has them."""
TEXTS = {
    "iso-2022-jp": ("請求①㈱ｶﾞ", "請求".encode("iso-2022-jp") + ESCAPED + HALF_WIDTH),
    "shift_jis": ("請求①髙ｶﾞ", "請求①髙ｶﾞ".encode("cp932")),
    "euc-jp": ("請求①ｶﾞ", "請求".encode("euc-jp") + b"\xad\xa1" + "ｶﾞ".encode("euc-jp")),
}


class Place:
    """A relay as separate processes, and a stand-in for each provider. The sender's domain selects the route."""

    def __init__(self, relay: RunningRelay, standins: Everything) -> None:
        self.relay = relay
        self.standins = standins
        self.remote = Remote(relay.url, relay.key)

    def inbox(self, provider: str) -> Inbox:
        standin = getattr(self.standins, provider)
        assert isinstance(standin.inbox, Inbox)
        return standin.inbox

    async def history(self, name: str) -> Any:
        """Return the message's status once it is final."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                _, history, headers = await self.relay.call("GET", f"/v1/messages/{name}")
                if "Retry-After" not in headers:
                    return history
                await asyncio.sleep(0.1)

    async def captured(self, subject: str) -> Any:
        """Return the mail with this subject from the relay's own inbox."""
        status, mail, _ = await self.relay.call("GET", "/v1/inbox/wait", params={"subject": subject, "timeout": "20"})
        assert status == 200, mail
        return mail

    async def at_provider(self, provider: str, name: str) -> Mail:
        """Return the mail that the provider got of this message."""
        history = await self.history(name)
        assert history["state"] == "sent", str(history)
        [mail] = self.inbox(provider).of(name)
        return mail


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    rules = [{"when": {"sender_domains": [f"{name}.example"]}, "routes": [name]} for name in PROVIDERS]
    routing = {"RELAY_ROUTING": msgspec.json.encode([*rules, {"routes": ["capture"]}]).decode()}
    async with (
        Everything(tmp_path_factory.mktemp("standins")) as standins,
        running_relay(standins.settings() | routing) as relay,
    ):
        place = Place(relay, standins)
        yield place
        place.remote.close()


def carriers_of(provider: str) -> tuple[str, ...]:
    """Return the addresses of carriers that the provider takes; the stand-in of ACS refuses quoted local parts."""
    return () if provider == "acs" else CARRIERS


def request_of(provider: str) -> dict[str, Any]:
    pdf = base64.b64encode(b"%PDF-1.7").decode()
    return {
        "from": {"email": f"info@{provider}.example", "name": NAME},
        "to": [{"email": "ada@example.org", "name": NAME[::-1]}, *carriers_of(provider)],
        "subject": SUBJECT,
        "text": TEXT,
        "attachments": [{"name": FILE, "type": "application/pdf", "content": pdf}],
    }


def check_at_provider(mail: Mail, provider: str) -> None:
    # The API of ACS has no name of the sender.
    assert (mail.subject, mail.sender.name) == (SUBJECT, "" if provider == "acs" else NAME)
    assert (mail.text or "").replace("\r\n", "\n").strip() == TEXT.strip()
    assert [(file.name, file.content) for file in mail.attachments] == [(FILE, b"%PDF-1.7")]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_json_arrives_at_every_provider(place: Place, provider: str) -> None:
    status, accepted, _ = await place.relay.call("POST", "/v1/messages", json=request_of(provider))
    assert status == 202, accepted
    mail = await place.at_provider(provider, accepted["id"])
    check_at_provider(mail, provider)
    assert sorted(plain(each) for each in mail.envelope) == sorted(("ada@example.org", *carriers_of(provider)))
    assert NAME[::-1] in [each.name for each in mail.to]
    history = await place.history(accepted["id"])
    assert (history["subject"], [plain(row["email"]) for row in history["recipients"]]) == (
        SUBJECT, ["ada@example.org", *carriers_of(provider)],
    )  # fmt: skip


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_sendgrids_api_arrives_at_every_provider(place: Place, provider: str) -> None:
    file = {"content": base64.b64encode(b"%PDF-1.7").decode(), "type": "application/pdf", "filename": FILE}
    to = [{"email": "ada@example.org", "name": NAME[::-1]}, *({"email": each} for each in carriers_of(provider))]
    request = {
        "personalizations": [{"to": to}],
        "from": {"email": f"info@{provider}.example", "name": NAME},
        "subject": SUBJECT,
        "content": [{"type": "text/plain", "value": TEXT}],
        "attachments": [file],
    }
    status, body, headers = await place.relay.call("POST", "/v3/mail/send", json=request)
    assert status == 202, body
    check_at_provider(await place.at_provider(provider, headers["X-Message-Id"]), provider)


async def test_inbox_and_record_show_the_text(place: Place) -> None:
    status, accepted, _ = await place.relay.call("POST", "/v1/messages", json=request_of("capture"))
    assert status == 202, accepted
    mail = await place.captured(SUBJECT)
    assert (mail["text"].replace("\r\n", "\n").strip(), mail["attachments"][0]["name"]) == (TEXT.strip(), FILE)
    assert [plain(each) for each in mail["to"]] == ["ada@example.org", *CARRIERS]
    shown = {header["name"]: header["value"] for header in mail["headers"]}
    assert shown["From"] == f"{NAME} <info@capture.example>"
    _, listed, _ = await place.relay.call("GET", "/v1/messages", params={"recipient": CARRIERS[0]})
    assert accepted["id"] in [message["id"] for message in listed["value"]]


async def test_full_width_address_becomes_ascii(place: Place) -> None:
    request = request_of("capture") | {"to": [FULL_WIDTH], "subject": "全角"}
    status, accepted, _ = await place.relay.call("POST", "/v1/messages", json=request)
    assert status == 202, accepted
    [recipient] = (await place.history(accepted["id"]))["recipients"]
    assert recipient["email"] == "yamada@example.jp"
    assert (await place.captured("全角"))["to"] == ["yamada@example.jp"]


def legacy_mail(charset: str, provider: str, subject: str) -> bytes:
    """Return a mail as Japanese programs write it: encoded words and body in the charset."""
    content = TEXTS[charset][1]
    word = f"=?{charset}?B?{base64.b64encode(content).decode()}?="
    head = (
        f"From: {word} <info@{provider}.example>\r\nTo: ada@example.org\r\nSubject: {subject} {word}\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
    return head.encode() + b"\r\n" + content + b"\r\n"


@pytest.mark.parametrize("provider", [*PROVIDERS, "capture"])
@pytest.mark.parametrize("charset", TEXTS)
async def test_raw_mail_keeps_its_text_and_its_bytes_where_they_are_sent(
    place: Place, provider: str, charset: str
) -> None:
    text, content = TEXTS[charset]
    status, accepted, _ = await place.relay.call(
        "POST",
        "/v1/messages",
        data=legacy_mail(charset, provider, f"Raw {charset}"),
        headers={"Content-Type": "message/rfc822"},
    )
    assert status == 202, accepted
    assert (await place.history(accepted["id"]))["subject"] == f"Raw {charset} {text}"
    if provider == "capture":
        mail = await place.captured(f"Raw {charset}")
        assert (mail["subject"], mail["text"].strip()) == (f"Raw {charset} {text}", text)
        return
    mail = await place.at_provider(provider, accepted["id"])
    if provider not in RAW_ROUTES:
        assert (mail.subject, (mail.text or "").strip()) == (f"Raw {charset} {text}", text)
        return
    raw = mail.raw
    assert raw is not None
    assert f"?B?{base64.b64encode(content).decode()}?=" in raw.decode("latin-1")
    assert content in raw


async def check_entrance(place: Place, subject: str, charset: str) -> None:
    text = TEXTS[charset][0]
    mail = await place.captured(subject)
    assert (mail["subject"], mail["text"].strip()) == (f"{subject} {text}", text)
    assert plain(mail["to"][0]) == CARRIERS[0]
    history = await place.history(mail["message"])
    assert (history["subject"], plain(history["recipients"][0]["email"])) == (f"{subject} {text}", CARRIERS[0])


async def test_sendmail_keeps_the_charset(place: Place) -> None:
    charset = "iso-2022-jp"
    environment = {"RELAY_URL": place.relay.url, "RELAY_KEY": place.relay.key}
    content = legacy_mail(charset, "capture", f"Sendmail {charset}").replace(b"\r\n", b"\n")
    command = ["sendmail", "-i", CARRIERS[0]]
    ran = await asyncio.to_thread(CliRunner().invoke, app, command, input=content, env=environment)
    assert (ran.exit_code, ran.output) == (0, "")
    await check_entrance(place, f"Sendmail {charset}", charset)


async def test_bridge_keeps_every_charset(place: Place) -> None:
    listen = (Endpoint(host="127.0.0.1", port=0),)
    settings = Settings(url=place.relay.url, key=place.relay.key, listen=listen, networks=LOOPBACK)
    server = SubmissionServer(settings, report=lambda _: None)

    def send() -> None:
        with smtplib.SMTP(*server.addresses[0], timeout=30) as client:
            for charset in TEXTS:
                mail = legacy_mail(charset, "capture", f"SMTP {charset}")
                client.sendmail("info@capture.example", [CARRIERS[0]], mail, mail_options=["BODY=8BITMIME"])

    async with server:
        await asyncio.to_thread(send)
    for charset in TEXTS:
        await check_entrance(place, f"SMTP {charset}", charset)


async def test_pickup_keeps_every_charset(place: Place, tmp_path: Path) -> None:
    files = PickupFolder(tmp_path, settle_seconds=0)
    files.create()
    for charset in TEXTS:
        envelope = f"X-Sender: info@capture.example\r\nX-Receiver: {CARRIERS[0]}\r\n".encode()
        (tmp_path / f"請求書 {charset}.eml").write_bytes(
            envelope + legacy_mail(charset, "capture", f"Pickup {charset}")
        )
    results = await Pickup(files, place.remote, report=lambda _: None).step(asyncio.Event())
    assert results == [Result.ACCEPTED] * len(TEXTS)
    for charset in TEXTS:
        await check_entrance(place, f"Pickup {charset}", charset)


def plain(address: str) -> str:
    """Return an address without the quotes of its local part."""
    return address.replace('"', "")
