"""Measure finished mail of 20 KB end to end: Relay gets it as raw MIME and sends it by SMTP, Postfix gets it by SMTP."""

import tempfile
import time
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.policy import SMTP

import msgspec

from bench import load, postfix
from bench.results import Figure
from bench.systems import Running, running

CONNECTIONS = 32
MESSAGES = 64 * CONNECTIONS
WARM_UP = 2 * CONNECTIONS
RELAY = {"relay": False, "relay in two processes": True}
"""Names in the figures, and whether the queue functions have a process of their own."""
_WORDS = "Thank you for your order, which leaves our warehouse today and reaches you tomorrow. "


async def raw_mime(runs: int) -> AsyncIterator[Figure]:
    """Measure messages per second until the receiving server has the last, and CPU milliseconds of the system's processes.

    Relay runs in one process, and with HTTP and the queue functions in a process each. The systems take turns, so that a
    temporary slowdown of the machine affects all.
    """
    content = message()
    rates: dict[str, list[float]] = {name: [] for name in (*RELAY, "postfix")}
    cpu: dict[str, list[float]] = {name: [] for name in rates}
    with tempfile.NamedTemporaryFile(suffix=".eml") as file:
        # `smtp-source` adds CRLF to each line.
        file.write(content.replace(b"\r\n", b"\n"))
        file.flush()
        for _ in range(runs):
            rate, spent = await postfix.relayed_per_second(MESSAGES, CONNECTIONS, ("-F", file.name))
            rates["postfix"].append(rate)
            cpu["postfix"].append(1000 * spent)
            for name, is_split in RELAY.items():
                rate, milliseconds = await _relayed(content, is_split=is_split)
                rates[name].append(rate)
                cpu[name].append(milliseconds)
    for system, values in rates.items():
        yield Figure(name=f"raw 20 KB/{system}", unit="/s", runs=values)
        yield Figure(name=f"raw 20 KB/{system} host CPU", unit="ms a message", runs=cpu[system])


def message() -> bytes:
    """Return a message as a mail library writes it: text, HTML and a small file; 20 KB with CRLF."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.net", "Your order"
    mail.set_content((_WORDS + "\n") * 30)
    mail.add_alternative(f"<html><body>{f'<p>{_WORDS}</p>\n' * 90}</body></html>", subtype="html")
    mail.add_attachment(bytes(range(256)) * 21, maintype="application", subtype="pdf", filename="invoice.pdf")
    return mail.as_bytes()


async def _relayed(content: bytes, *, is_split: bool) -> tuple[float, float]:
    """Relay messages through an SMTP route. Return messages per second, and CPU milliseconds of the host per message."""
    async with postfix.sink() as (port, count):
        route = {
            "provider": "smtp",
            "host": "127.0.0.1",
            "port": port,
            "tls": "none",
            "private": True,
            "connections": 32,
        }
        settings = {"RELAY_ROUTES": msgspec.json.encode({"smtp": route}).decode()}
        async with running("relay", is_split=is_split, settings=settings) as target:
            await _post(target, content, WARM_UP)
            await count.reaches(WARM_UP)
            before, begun = target.usage(), time.monotonic()
            await _post(target, content, MESSAGES)
            await count.reaches(WARM_UP + MESSAGES)
            took = time.monotonic() - begun
            return MESSAGES / took, target.spent(before, MESSAGES)["host"]


async def _post(target: Running, content: bytes, messages: int) -> None:
    done = await load.post(
        f"{target.url}/v1/messages",
        content,
        headers=target.headers,
        content_type="message/rfc822",
        connections=CONNECTIONS,
        requests=messages,
    )
    if done.good != messages:
        raise RuntimeError(f"{messages - done.good} of {messages} requests were not accepted")
