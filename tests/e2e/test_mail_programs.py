"""The sendmail command, the SMTP server and the pickup folder against a running relay."""

import asyncio
import contextlib
import os
import re
import smtplib
import sys
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import pytest_asyncio

from devhost.children import Child
from standins.tls import Authority
from tests.e2e.running import ROOT, RunningRelay, running_relay
from tests.e2e.smtp_kills import PARKED, Between, Process, balanced, connect, repeat, speak
from tests.serving import serving
from tests.unit.submission.kit import plain

pytestmark = pytest.mark.asyncio(loop_scope="module")
_LISTENING = re.compile(r"Listening on 127\.0\.0\.1:(?P<port>\d+)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def relay() -> AsyncIterator[RunningRelay]:
    """A relay that captures mail, with a client that may send only from example.com."""
    async with running_relay({}) as running:
        body = {"name": "cron", "policy": {"senders": ["*@example.com"]}}
        status, made, _ = await running.call("POST", "/v1/clients", json=body)
        assert status == 201, made
        running.key, operator = str(made["key"]), running.key
        yield running
        running.key = operator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(relay: RunningRelay) -> AsyncIterator[int]:
    """Start an SMTP server for this machine. Yields its port."""
    server = await start_smtp(relay.url, relay.key)
    [line] = await server.until_ready(timeout_seconds=60)
    yield int(line["port"])
    await server.stop(grace_seconds=10)


async def start_smtp(url: str, key: str, *options: str, ports: int = 1) -> Child:
    """Start `relay smtp` on a free port of loopback; wait for it, and for the ports of options, with `until_ready`."""
    return await Child.start(
        name="the SMTP server",
        argv=(sys.executable, "-m", "relay.cli", "smtp", "--listen", "127.0.0.1:0", *options),
        ready=_LISTENING,
        times=ports,
        env={**os.environ, "RELAY_URL": url, "RELAY_KEY": key, "PYTHONUNBUFFERED": "1"},
        cwd=ROOT,
    )


async def sendmail(relay: RunningRelay, mail: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run the command with a message on stdin. Returns exit code and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", "sendmail", *arguments),
        cwd=ROOT,
        env={**os.environ, "RELAY_URL": relay.url, "RELAY_KEY": relay.key, **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(mail.encode())
    assert output == b"", "sendmail is silent, or cron would mail its output"
    return process.returncode or 0, errors.decode()


async def arrived(relay: RunningRelay, tag: str) -> dict[str, object]:
    """Return the mail captured for `delivered+tag@relay.test`."""
    status, mail, _ = await relay.call("GET", f"/v1/inbox/wait?to=delivered%2B{tag}@relay.test&timeout=20")
    assert status == 200, mail
    assert isinstance(mail, dict)
    return mail


async def test_mail_of_cron_arrives(relay: RunningRelay) -> None:
    mail = 'From: "(Cron Daemon)" <root>\nTo: delivered+cron@relay.test\nBcc: delivered+b@relay.test\nSubject: Cron\n\nok\n'
    ran = await sendmail(relay, mail, "-FCronDaemon", "-i", "-odi", "-oem", "-t", RELAY_MAIL_DOMAIN="example.com")
    assert ran == (0, "")
    caught = await arrived(relay, "cron")
    assert (caught["subject"], str(caught["text"]).strip()) == ("Cron", "ok")
    assert set(map(str.lower, await recipients_of(relay, caught))) == {
        "delivered+cron@relay.test",
        "delivered+b@relay.test",
    }


async def recipients_of(relay: RunningRelay, caught: dict[str, object]) -> list[str]:
    _, history, _ = await relay.call("GET", f"/v1/messages/{caught['message']}")
    return [row["email"] for row in history["recipients"]]


async def test_sendmail_exits_as_in_sysexits(relay: RunningRelay) -> None:
    fine = "From: a@example.com\nSubject: x\n\nHi\n"
    ran = await asyncio.gather(
        sendmail(relay, fine),
        sendmail(relay, f"Subject: again\n{fine}", "delivered@relay.test"),
        sendmail(relay, fine, "nobody"),
        sendmail(relay, fine, "delivered@relay.test", RELAY_URL="http://127.0.0.1:9"),
        sendmail(relay, fine.replace("example.com", "example.net"), "delivered@relay.test"),
    )
    assert [code for code, _ in ran] == [64, 65, 67, 75, 77]
    assert all(errors.startswith("sendmail: ") for _, errors in ran)


@pytest.mark.parametrize("language", ["sh", "python"])
async def test_documented_examples_work(relay: RunningRelay, language: str) -> None:
    page = (ROOT / "docs/api/raw-mime.md").read_text(encoding="utf-8")
    [example] = re.findall(rf"^```{language}\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    process = await asyncio.create_subprocess_exec(
        *(("sh", "-c", example) if language == "sh" else (sys.executable, "-c", example)),
        env={**os.environ, "RELAY_URL": relay.url, "RELAY_KEY": relay.key},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output
    caught = await arrived(relay, "curl" if language == "sh" else "python")
    assert str(caught["message"]) in output.decode()
    hidden = {"sh": "delivered+archive@relay.test", "python": "delivered+copy@relay.test"}[language]
    assert hidden in await recipients_of(relay, caught)


async def test_smtp_server_accepts_mail_of_smtplib(relay: RunningRelay, port: int) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "delivered+smtp@relay.test", "By SMTP: grüße"
    message["Bcc"] = "delivered+hidden@relay.test"
    message.set_content("Grüße\n.\n..dots\n", cte="8bit")

    def send() -> tuple[dict[str, str], object]:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            client.ehlo()
            return client.esmtp_features, client.send_message(message)

    features, refused = await asyncio.to_thread(send)
    assert refused == {}
    assert int(features["size"]) > 30_000_000
    assert {"8bitmime", "smtputf8"} <= features.keys()
    caught = await arrived(relay, "smtp")
    assert str(caught["text"]).replace("\r\n", "\n") == "Grüße\n.\n..dots\n"
    assert caught["subject"] == "By SMTP: grüße"
    assert "delivered+hidden@relay.test" in await recipients_of(relay, caught)


async def test_smtplib_signs_in_over_tls(relay: RunningRelay, tmp_path: Path) -> None:
    authority, certificate = Authority(), tmp_path / "server.pem"
    certificate.write_bytes(authority.server_pem())
    trusted = authority.client_context()
    server = await start_smtp(relay.url, "", "--listen-tls", "127.0.0.1:0", "--certificate", str(certificate), ports=2)

    def send(port: str, has_tls: bool, key: str, subject: str) -> None:
        with (
            smtplib.SMTP_SSL("localhost", int(port), timeout=30, context=trusted)
            if has_tls
            else smtplib.SMTP("localhost", int(port), timeout=30)
        ) as client:
            if not has_tls:
                client.starttls(context=trusted)
            client.login("cron", key)
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = (
                "a@example.com",
                f"delivered+{subject}@relay.test",
                subject,
            )
            client.send_message(message)

    try:
        lines = await server.until_ready(timeout_seconds=60)
        for line, subject in zip(lines, ("starttls", "tls"), strict=True):
            with pytest.raises(smtplib.SMTPAuthenticationError):
                await asyncio.to_thread(send, line["port"], subject == "tls", f"{relay.key[:-1]}!", subject)
            await asyncio.to_thread(send, line["port"], subject == "tls", relay.key, subject)
            assert (await arrived(relay, subject))["subject"] == subject
    finally:
        await server.stop(grace_seconds=10)


async def test_smtp_server_accepts_an_automatic_reply(relay: RunningRelay, port: int) -> None:
    mail = "From: a@example.com\r\nTo: delivered+auto@relay.test\r\nAuto-Submitted: auto-replied\r\n\r\nAway.\r\n"

    def send() -> object:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            return client.sendmail("", ["delivered+auto@relay.test"], mail)

    assert await asyncio.to_thread(send) == {}
    assert (await arrived(relay, "auto"))["from"] == "<>"


async def test_smtp_server_replies_with_the_refusal(relay: RunningRelay, port: int) -> None:
    def send() -> tuple[int, bytes | str]:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            try:
                client.sendmail("a@example.net", ["delivered@relay.test"], "From: a@example.net\r\n\r\nHi\r\n")
            except smtplib.SMTPSenderRefused as error:
                return error.smtp_code, error.smtp_error
        raise AssertionError("the relay's policy does not allow this sender")

    code, reason = await asyncio.to_thread(send)
    assert code == 550
    assert "policy: senders" in str(reason)


async def test_smtp_server_replies_451_while_the_relay_is_unreachable() -> None:
    server = await start_smtp("http://127.0.0.1:9", "relay_00000000_x")
    [line] = await server.until_ready(timeout_seconds=60)

    def send() -> int:
        with smtplib.SMTP("127.0.0.1", int(line["port"]), timeout=30) as client:
            try:
                client.sendmail("a@example.com", ["delivered@relay.test"], "From: a@example.com\r\n\r\nHi\r\n")
            except smtplib.SMTPDataError as error:
                return int(error.smtp_code)
        raise AssertionError("nobody was there to accept this")

    try:
        assert await asyncio.to_thread(send) == 451
    finally:
        await server.stop(grace_seconds=10)


async def start_pickup(relay: RunningRelay, folder: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "relay.cli", "pickup", str(folder), "--settle-seconds", "0.1", *options),
        cwd=ROOT,
        env={**os.environ, "RELAY_URL": relay.url, "RELAY_KEY": relay.key, "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )


def files_in(folder: Path, pattern: str) -> list[str]:
    """Return the content of the files in a folder and its subfolders."""
    return [path.read_text(encoding="utf-8") for path in folder.rglob(pattern)]


async def test_pickup_sends_new_files_until_it_is_stopped(relay: RunningRelay, tmp_path: Path) -> None:
    pickup = await start_pickup(relay, tmp_path)
    assert pickup.stdout is not None
    assert await pickup.stdout.readline() == b"Watching the folder\n"
    head = "X-Sender: a@example.com\r\nX-Receiver: delivered+pickup@relay.test\r\n"
    mail = f"{head}From: a@example.com\r\nSubject: Picked up\r\n\r\n..dots\r\n"
    (tmp_path / "a.eml").write_bytes(mail.encode())
    caught = await arrived(relay, "pickup")
    assert (caught["subject"], str(caught["text"]).strip()) == ("Picked up", ".dots")
    pickup.terminate()
    output, _ = await pickup.communicate()
    assert (pickup.returncode, output.count(b"accepted as msg_")) == (0, 1)
    assert files_in(tmp_path, "*.eml") == []


async def test_pickup_once_exits_with_the_result(relay: RunningRelay, tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(b"From: a@example.net\r\nTo: delivered@relay.test\r\n\r\nHi\r\n")
    pickup = await start_pickup(relay, tmp_path, "--once")
    output, _ = await pickup.communicate()
    assert pickup.returncode == 4, output
    assert b"moved to Badmail" in output
    [reason] = files_in(tmp_path, "*.txt")
    assert "policy: senders" in reason


async def test_killed_smtp_server_has_lost_nothing_and_doubled_nothing(relay: RunningRelay) -> None:
    """Two servers behind a balancer; one dies with a client at each step, and the clients send again."""
    between, login = Between(relay.url), plain("cron", relay.key)
    async with serving(between.handle) as url:
        servers = [Process(url) for _ in range(2)]
        ports = [await server.port() for server in servers]
        clients = {step: await connect(ports[0]) for step in PARKED}
        replies = await asyncio.gather(*(speak(client, step, login, step) for step, client in clients.items()))
        await asyncio.gather(*(event.wait() for event in between.arrived.values()))
        await servers[0].kill()
        for step, client in clients.items():
            with contextlib.suppress(ConnectionError):
                assert step == "accepted" or "250 2.0.0 Accepted" not in (await client.reader.read()).decode()
            client.writer.close()
        between.is_over.set()
        async with balanced(ports) as port:
            again = await asyncio.gather(*(repeat(port, step, login) for step in PARKED))
        await servers[1].kill()
    accepted = dict(zip(PARKED, again, strict=True))
    assert {step: len(ids) for step, ids in between.ids.items()} == dict.fromkeys(PARKED, 1)
    assert {step: reply.split()[-1] for step, reply in accepted.items()} == {
        step: name for step, [name] in between.ids.items()
    }
    assert replies[-1] == accepted["accepted"]
    for reply in again:
        status, _, _ = await relay.call("GET", f"/v1/messages/{reply.split()[-1]}")
        assert status == 200
