"""Measure a message with a file of 2 MB, as JSON and as raw MIME: the CPU to accept it, and to deliver it too."""

import base64
import random
import time
from collections.abc import AsyncIterator, Mapping
from email.message import EmailMessage
from email.policy import SMTP

import msgspec

from bench import load
from bench.end_to_end import arrive
from bench.results import Figure
from bench.systems import MESSAGE, Running, running

BYTES = 2_000_000
CONNECTIONS = 4
MESSAGES = 10 * CONNECTIONS
WARM_UP = CONNECTIONS
_NAME = "bare"


async def two_megabytes(runs: int) -> AsyncIterator[Figure]:
    """Measure CPU milliseconds of the host per message: accepted, end to end, and of a loop that only moves the bytes."""
    file = random.Random(1).randbytes(BYTES)  # noqa: S311 - not a secret
    bodies = {"application/json": _json(file), "message/rfc822": _mime(file)}
    for delivers, name in ((False, "accepted"), (True, "end to end")):
        cpu: dict[str, list[float]] = {content_type: [] for content_type in bodies}
        # The kinds take turns, so that a temporary slowdown of the machine affects both.
        async with running("relay", delivers=delivers) as target:
            for content_type, body in bodies.items():
                await _send(target, content_type, body, WARM_UP, delivers=delivers)
            for _ in range(runs):
                for content_type, body in bodies.items():
                    before = target.usage()
                    await _send(target, content_type, body, MESSAGES, delivers=delivers)
                    cpu[content_type].append(target.spent(before, MESSAGES)["host"])
        for content_type, values in cpu.items():
            yield Figure(name=f"2 MB/{name} {_SHORT[content_type]} host CPU", unit="ms a message", runs=values)
    yield Figure(
        name="2 MB/bare host CPU",
        unit="ms a message",
        runs=[await _bare(bodies["application/json"]) for _ in range(runs)],
    )


_SHORT: Mapping[str, str] = {"application/json": "JSON", "message/rfc822": "raw"}


def _json(file: bytes) -> bytes:
    attachment = {"name": "file.bin", "content": base64.b64encode(file).decode()}
    return msgspec.json.encode({**MESSAGE, "attachments": [attachment]})


def _mime(file: bytes) -> bytes:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.net", "Your order"
    mail.set_content("Thank you for your order.\n" * 32)
    mail.add_attachment(file, maintype="application", subtype="octet-stream", filename="file.bin")
    return mail.as_bytes()


async def _send(target: Running, content_type: str, body: bytes, messages: int, *, delivers: bool) -> None:
    there = await target.arrived()
    done = await load.post(
        f"{target.url}/v1/messages",
        body,
        headers=target.headers,
        content_type=content_type,
        connections=CONNECTIONS,
        requests=messages,
    )
    if done.good != messages:
        raise RuntimeError(f"{messages - done.good} of {messages} requests were not accepted")
    if delivers:
        await arrive(target, there + messages)


async def _bare(body: bytes) -> float:
    """Return CPU milliseconds of the necessary calls for a request's bytes: write a blob, read it, post it to the provider."""
    async with running("relay", delivers=False) as target, target.storage() as storage:
        await storage.blobs.create(_NAME)
        begun = time.process_time()
        for number in range(MESSAGES):
            await storage.blobs.put(_NAME, f"{number}", body)
            content = await storage.blobs.get(_NAME, f"{number}")
            async with target.session.post(f"{target.sink_url}/v3/mail/send", data=content) as response:
                await response.read()
        return 1000 * (time.process_time() - begun) / MESSAGES
