"""How a request is known to be one that was made before: by its `Idempotency-Key`, or by what Logic Apps says of itself.

Logic Apps posts again when an answer was lost, by its default retry policy, and most who draw a workflow give no key. But
each action names its run, itself and its execution in headers, and these, with the body, make a key.
"""

import hashlib
from collections.abc import Callable

import msgspec

from relay.api.app import Call
from relay.api.http import Request
from relay.clients import idempotency
from relay.clients.idempotency import Replay, Reserved
from relay.core.errors import Refusal

WORKFLOW_HEADERS = ("x-ms-workflow-run-id", "x-ms-workflow-operation-name", "x-ms-action-tracking-id")
"""The run, the action's name in it, and the execution of the action (another one in each turn of a loop)."""


class Repeatable(msgspec.Struct, frozen=True, kw_only=True):
    """The key and fingerprint of a request that may come again. `is_derived`: the caller gave no key."""

    key: str
    fingerprint: str
    is_derived: bool = False


def repeatable(request: Request, fingerprint: Callable[[], str]) -> Repeatable | None:
    """How a repetition of this request would be known; None for one that has nothing to know it by. Raises `Refusal`."""
    given = request.headers.get("idempotency-key", "")
    if given:
        return Repeatable(key=checked_key(given), fingerprint=fingerprint())
    named = [request.headers.get(name, "") for name in WORKFLOW_HEADERS]
    if not all(named):
        return None
    print_of = fingerprint()
    told = msgspec.json.encode([*named, print_of])
    return Repeatable(key=f"workflow {hashlib.sha256(told).hexdigest()}", fingerprint=print_of, is_derived=True)


async def begin(call: Call, asked: Repeatable) -> Reserved | Replay:
    """Reserve the key, or find its answer. Raises `Refusal`.

    While the first request is under way a derived key gets 503 instead of 409: Logic Apps repeats that.
    """
    try:
        return await call.services.idempotency.begin(call.client.name, asked.key, asked.fingerprint)
    except Refusal as refusal:
        if not asked.is_derived or refusal.status != 409:
            raise
        text = "The same action of the same run is being served already. Repeat it after Retry-After."
        raise Refusal(503, refusal.code, text, headers=refusal.headers) from refusal


def checked_key(key: str) -> str:
    """An Idempotency-Key, with the quotes of a structured field taken off. Raises `Refusal`."""
    if len(key) >= 2 and key.startswith('"') and key.endswith('"'):
        key = key[1:-1]
    if not 0 < len(key) <= idempotency.MAX_KEY or not key.isascii() or not key.isprintable():
        raise Refusal(
            400,
            "invalid_idempotency_key",
            f"An Idempotency-Key is 1 to {idempotency.MAX_KEY} printable ASCII characters; a UUID serves well.",
            target="Idempotency-Key",
        )
    return key
