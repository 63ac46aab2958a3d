"""Recognize a repeated request: by its `Idempotency-Key`, or by the headers of Logic Apps.

By its default retry policy, Logic Apps repeats a request whose response was lost, and most workflows send no key. But each
action sends its run, its name and its execution in headers. Relay derives a key from these and the body.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from relay.acceptance.acceptance import Accepted, LaneGroup, Prepared
from relay.api.http import Request
from relay.api.services import Call
from relay.clients import idempotency
from relay.clients.idempotency import Plan, Replay, Reserved
from relay.core.errors import Refusal, StorageError
from relay.platform.concurrency import run_sized
from relay.platform.log import log_event

WORKFLOW_HEADERS = ("x-ms-workflow-run-id", "x-ms-workflow-operation-name", "x-ms-action-tracking-id")
"""The run, the action's name in it, and the execution of the action (a new one in each iteration of a loop)."""


class Repeatable(msgspec.Struct, frozen=True, kw_only=True):
    """The key and fingerprint of a request that may be repeated. `is_derived`: the caller sent no key."""

    key: str
    fingerprint: str
    is_derived: bool = False


async def repeatable(request: Request, fingerprint: Callable[[], str], *, size: int | None = None) -> Repeatable | None:
    """Return the key of a request that may be repeated; None if it has none. Raises `Refusal` for an invalid key.

    `size` is the size of the uncompressed body in bytes, or an upper bound; by default that of the body.
    """
    size = len(request.body) if size is None else size
    given = request.headers.get("idempotency-key")
    if given is not None:
        key = checked_key(given)
        return Repeatable(key=key, fingerprint=await run_sized(fingerprint, size))
    if not all(map(request.headers.get, WORKFLOW_HEADERS)):
        return None
    named = [request.headers[name] for name in WORKFLOW_HEADERS]
    print_of = await run_sized(fingerprint, size)
    named_print = msgspec.json.encode([*named, print_of])
    return Repeatable(key=f"workflow {hashlib.sha256(named_print).hexdigest()}", fingerprint=print_of, is_derived=True)


async def earlier(call: Call, repeatable: Repeatable) -> Replay | None:
    """Return the response of the key's first request; finish that request first if it was interrupted.

    Returns None if the key is new. Called before anything else is decided: a repeated request gets the first response, whatever
    has changed since. Raises `Refusal`. While the first request is in progress, a derived key gets 503 instead of 409, because
    Logic Apps retries after 503.
    """
    keys = call.services.idempotency
    try:
        found = await keys.find(call.client.id, repeatable.key, repeatable.fingerprint)
    except Refusal as refusal:
        if _is_in_use(refusal, repeatable):
            raise _repeat_later(refusal) from refusal
        raise
    if not isinstance(found, Reserved):
        return found
    try:
        await call.services.acceptance.put_again(found.plan.lane, found.plan.entry)
    except Refusal:
        await keys.release(found)
        raise
    await _finish(call, found)
    return Replay(response=found.plan.response, expires_at=found.plan.expires_at)


async def accept_once(
    call: Call,
    repeatable: Repeatable,
    groups: Sequence[LaneGroup],
    *,
    response: Callable[[Sequence[Accepted]], bytes],
    expires_at: datetime | None = None,
    before: Callable[[Sequence[Accepted]], Awaitable[None]] | None = None,
) -> list[Accepted]:
    """Accept a request under its key: store the entry and the response, put the entry, record that it was put.

    `before` is called when the messages have their ids and nothing is stored yet. Raises `Refusal`.
    """
    keys, reserved = call.services.idempotency, list[Reserved]()

    async def reserve(prepared: Prepared) -> None:
        plan = Plan(
            lane=prepared.lane, entry=prepared.entry, response=response(prepared.accepted), expires_at=expires_at
        )
        if before is not None:
            await before(prepared.accepted)
        reserved.append(await keys.reserve(call.client.id, repeatable.key, repeatable.fingerprint, plan))

    batch = call.services.new_batch()
    try:
        accepted = await call.services.acceptance.accept_together(call.client, groups, batch, reserve=reserve)
    except Refusal as refusal:
        for each in reserved:
            await keys.release(each)
        if _is_in_use(refusal, repeatable):
            raise _repeat_later(refusal) from refusal
        raise
    await _finish(call, reserved[0])
    return accepted


async def _finish(call: Call, reserved: Reserved) -> None:
    try:
        await call.services.idempotency.finish(reserved)
    except StorageError as error:
        # The message is stored. A repeated request puts the same entry again, which the journal recognizes.
        log_event("idempotency_not_finished", level=logging.WARNING, error=type(error).__name__)


def _is_in_use(refusal: Refusal, repeatable: Repeatable) -> bool:
    return repeatable.is_derived and refusal.code == "idempotency_key_in_use"


def _repeat_later(refusal: Refusal) -> Refusal:
    text = "The same action of the same run is in progress. Repeat it after Retry-After."
    return Refusal(503, refusal.code, text, headers=refusal.headers)


def checked_key(key: str) -> str:
    """Return an Idempotency-Key without the quotes of a structured field. Raises `Refusal`."""
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
