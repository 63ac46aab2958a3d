"""Accept a message."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec
from msgspec import UNSET

from relay.acceptance import policy
from relay.acceptance.acceptance import Accepted, LaneGroup
from relay.acceptance.draft import Draft, Limits
from relay.acceptance.policy import LinkedMessage, Verdict
from relay.api.http import Response, json_response
from relay.api.messages import repetition, waiting
from relay.api.messages.completion import Completion
from relay.api.messages.repetition import Repeatable
from relay.api.reading.body import check_body
from relay.api.reading.message import parse_message
from relay.api.services import Call
from relay.api.shapes.acceptance import AcceptedView, SuppressedView
from relay.clients import idempotency
from relay.clients.idempotency import Replay
from relay.clients.suppressions.cache import KnownSuppressions
from relay.core.model import Message
from relay.platform.concurrency import run_sized
from relay.routes import capabilities

RETRY_AFTER_SECONDS = 1
RAW = "message/rfc822"
"""The media type of a finished message."""


class Recipients(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs for decisions about recipients. `linked` returns the function that adds a draft's link, or raises `Refusal`."""

    known: KnownSuppressions
    linked: Callable[[Draft], Callable[[Message], LinkedMessage]] | None = None


class _Named(msgspec.Struct, frozen=True):
    """The id in a stored response."""

    id: str


async def send(call: Call) -> Response:
    """Handle POST /v1/messages: 202 once the message is stored durably."""
    check_body(call.request)
    waiting.wish_of(call.request)  # refuse an unknown goal before anything is done
    await call.services.quotas.take_messages(call.client, 1)
    repeatable = await repetition.repeatable(call.request, lambda: _fingerprint(call))
    if repeatable is not None and (replay := await repetition.earlier(call, repeatable)) is not None:
        return _replayed(call, replay)
    limits = Limits(max_message_bytes=call.services.settings.max_message_bytes)
    draft = await _draft(call, limits)
    completion = Completion(call, limits)
    draft = await completion.complete(draft)
    verdict = decide(call, draft, await recipients_of(call, [draft]))
    if draft.dry_run:
        from relay.api.messages.explanation import explanation_view

        return json_response(explanation_view(verdict))
    await completion.keep([verdict.submission])
    if repeatable is None:
        accepted = await call.services.acceptance.accept(call.client, verdict.lane, verdict.submission)
        return _accepted(call, _body_of(accepted), accepted.id, verdict.submission.expires_at)
    return await _send_once(call, repeatable, verdict)


async def _draft(call: Call, limits: Limits) -> Draft:
    if call.request.content_type == RAW:
        from relay.api.reading.raw.message import parse_raw

        rebuilds = any(capabilities.sends_content(route) for route in call.services.settings.routes.values())
        read = partial(parse_raw, call.request, now=call.services.clock(), limits=limits, rebuilds=rebuilds)
    else:
        read = partial(
            parse_message,
            call.request.body,
            content_type=call.request.headers.get("content-type", ""),
            now=call.services.clock(),
            limits=limits,
        )
    return await run_sized(read, len(call.request.body))


def _fingerprint(call: Call) -> str:
    if call.request.content_type == RAW:
        from relay.api.reading.raw import message as raw_message

        return raw_message.fingerprint(call.request)
    return idempotency.fingerprint(call.request.path, call.request.content_type, call.request.body)


async def recipients_of(call: Call, drafts: Sequence[Draft]) -> Recipients:
    """Read the suppressions that apply to these messages, and the topics if any message is about one."""
    if all(draft.topic is None for draft in drafts):
        return Recipients(known=await call.services.suppressions.known_to(call.client.id))
    from relay.unsubscribe.links import address_of_links
    from relay.unsubscribe.topic_mail import topic_mail

    names = [draft.topic for draft in drafts if draft.topic is not None]
    address = address_of_links(call.services.settings.public_url, call.base_url)
    topics = await topic_mail(call.services.topics, call.client, address, names)
    return Recipients(
        known=await call.services.suppressions.known_to(call.client.id, topics.names), linked=topics.linked
    )


def decide(call: Call, draft: Draft, recipients: Recipients, now: datetime | None = None) -> Verdict:
    """Apply the client's policy, the suppressions and the topics to a draft. Raises `Refusal`."""
    linked = None
    if draft.topic is not None and recipients.linked is not None:
        linked = recipients.linked(draft)
    return policy.decide(
        client=call.client,
        draft=draft,
        settings=call.services.settings,
        now=now or call.services.clock(),
        traceparent=call.request.headers.get("traceparent"),
        suppressed=partial(recipients.known.among, topic=draft.topic),
        linked=linked,
    )


async def _send_once(call: Call, repeatable: Repeatable, verdict: Verdict) -> Response:
    """Accept under a key: a repeated request gets the same response, even if a process died in between."""
    expires_at = verdict.submission.expires_at
    [accepted] = await repetition.accept_once(
        call,
        repeatable,
        [LaneGroup(lane=verdict.lane, submissions=[verdict.submission])],
        response=lambda accepted: _body_of(accepted[0]),
        expires_at=expires_at,
    )
    return _accepted(call, _body_of(accepted), accepted.id, expires_at)


def _replayed(call: Call, replay: Replay) -> Response:
    name = msgspec.json.decode(replay.response, type=_Named).id
    expires_at = replay.expires_at or call.services.clock()
    return _accepted(call, replay.response, name, expires_at, {"Idempotency-Replayed": "true"})


def _body_of(accepted: Accepted) -> bytes:
    return msgspec.json.encode(accepted_view(accepted))


def accepted_view(accepted: Accepted) -> AcceptedView:
    """Show a message that was accepted."""
    suppressed = SuppressedView.of(accepted.suppressed, accepted.recipients)
    return AcceptedView(id=accepted.id, state=accepted.state, suppressed=suppressed or UNSET)


def _accepted(
    call: Call, body: bytes, name: str, expires_at: datetime, more: Mapping[str, str] | None = None
) -> Response:
    headers = {
        "Content-Type": "application/json",
        "Operation-Location": f"{call.base_url}/v1/messages/{name}",
        "Retry-After": str(RETRY_AFTER_SECONDS),
        **waiting.offered(call, name, expires_at),
        **(more or {}),
    }
    return Response(status=202, headers=headers, body=body)
