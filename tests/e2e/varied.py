"""Generates varied messages from a seed."""

import base64
from collections.abc import Iterator
from random import Random
from typing import Any

_TEXTS = (
    "Plain words, a line that is long enough to be folded somewhere on its way and a full stop.",
    "日本語の件名とお知らせ。改行や長い行も、そのまま届くべきです。",
    "رسالة باللغة العربية مع نص طويل بما يكفي",
    "Emoji 🎉🚀👩‍👩‍👧‍👦 and combining e\u0301 marks",
    "Ångström, naïve façade, Straße, Çelik, ελληνικά, русский",
    "<b>not html</b> & \"quotes\" 'apostrophes' = % \\ $ {{braces}}",
)
_NAMES = ("Ada Lovelace", "山田太郎", "O'Neil, Pat (Sales)", 'Quo"ted', "a@b at sign", "")


def varied_messages(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Generate `count` requests for POST /v1/messages, each with a different subject."""
    random = Random(seed)
    for number in range(count):
        yield _message(random, number)


def _message(random: Random, number: int) -> dict[str, Any]:
    text = random.choice(_TEXTS)
    message: dict[str, Any] = {
        "from": {"email": "shop@example.com", "name": random.choice(_NAMES)},
        "to": [_person(random, f"to{number}-{n}") for n in range(_how_many(random, number))],
        "subject": f"{random.choice(_TEXTS)} #{number}",
        "text": f"{text}\n\n{text * random.randint(1, 40)}\n",
        "tags": random.sample(["invoice", "eu", "welcome mail", "a.b/c"], k=random.randint(0, 3)),
        "metadata": {"order": str(number)},
    }
    if random.random() < 0.5:
        message["html"] = f"<p>{text}</p>" * random.randint(1, 40)
    if random.random() < 0.3:
        message["cc"] = [_person(random, f"cc{number}")]
        message["bcc"] = [f"bcc{number}@example.org"]
    if random.random() < 0.3:
        message["reply_to"] = [_person(random, f"reply{number}")]
    if random.random() < 0.3:
        message["headers"] = {"X-Order": str(number), "X-Long": "long header value " * random.randint(1, 50) + "end"}
    message["attachments"] = list(_attachments(random, number))
    return message


def _how_many(random: Random, number: int) -> int:
    return 400 if number % 100 == 50 else random.randint(1, 4)


def _person(random: Random, local: str) -> dict[str, str]:
    return {"email": f"{local}@example.net", "name": random.choice(_NAMES).replace(",", "").replace(";", "")}


def _attachments(random: Random, number: int) -> Iterator[dict[str, str]]:
    if number % 60 == 30:
        yield _file(random, f"big-{number}.bin", random.randint(2, 6) * 1_000_000)
    for n in range(random.choice((0, 0, 0, 1, 2))):
        yield _file(random, f"счёт 請求書 {number}-{n}.pdf", random.randint(1, 60_000))


def _file(random: Random, name: str, size: int) -> dict[str, str]:
    return {
        "name": name,
        "type": "application/octet-stream",
        "content": base64.b64encode(random.randbytes(size)).decode(),
    }
