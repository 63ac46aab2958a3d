"""Accept many messages in one call: each has its own result; one write makes them durable."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import asdict, replace

from relay.acceptance.acceptance import Accepted, LaneGroup
from relay.acceptance.draft import Draft, Limits
from relay.acceptance.policy import Verdict
from relay.api.errors import error_view
from relay.api.http import Response, json_response
from relay.api.messages import repetition
from relay.api.messages.completion import Completion
from relay.api.messages.explanation import explanation_view
from relay.api.messages.repetition import Repeatable
from relay.api.messages.send import accepted_view, decide, recipients_of
from relay.api.reading.batch import open_batch, too_large_together
from relay.api.reading.body import check_body
from relay.api.services import Call
from relay.api.shapes.messages import BatchErrorView, BatchItemView, BatchResultView
from relay.clients import idempotency
from relay.core.errors import Refusal

_AT_A_TIME = 20
"""Messages that are checked before the event loop runs other requests."""

type _Results = dict[int, BatchItemView]


async def send(call: Call) -> Response:
    """Handle POST /v1/messages/batch: 202 when any message was accepted."""
    check_body(call.request)
    repeatable = await repetition.repeatable(call.request, lambda: _fingerprint(call))
    if repeatable is not None and (replay := await repetition.earlier(call, repeatable)) is not None:
        return Response(status=202, headers=_headers({"Idempotency-Replayed": "true"}), body=replay.response)
    now = call.services.clock()
    limits = Limits(max_message_bytes=call.services.settings.max_message_bytes)
    content_type = call.request.headers.get("content-type", "")
    # Reading a thousand messages would block the event loop for too long.
    batch = await asyncio.to_thread(open_batch, call.request.body, content_type=content_type, limits=limits)
    await call.services.quotas.take_messages(call.client, len(batch.messages))
    drafts = await asyncio.to_thread(batch.read, now)
    completion = Completion(call, limits, len(drafts))
    results, verdicts = await _decide(call, completion, drafts, now, limits)
    if not verdicts:
        return _unaccepted(call, results, drafts)
    await completion.keep([verdict.submission for verdict in verdicts.values()])
    return await _accept(call, repeatable, verdicts, results)


async def _decide(
    call: Call, completion: Completion, drafts: Sequence[Draft | Refusal], now: datetime, limits: Limits
) -> tuple[_Results, Mapping[int, Verdict]]:
    """Return the results known so far (refusals, dry runs), and the verdicts of messages that may be accepted."""
    results: _Results = {}
    verdicts: dict[int, Verdict] = {}
    size = 0
    recipients = await recipients_of(call, [draft for draft in drafts if isinstance(draft, Draft)])
    for number, draft in enumerate(drafts):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(draft, Refusal):
                raise draft
            verdict = decide(call, await completion.complete(draft), recipients, now)
        except Refusal as refusal:
            results[number] = _refused(call, number, refusal)
            continue
        size += verdict.submission.size
        if size > limits.max_batch_bytes:
            raise too_large_together(limits)
        if draft.dry_run:
            results[number] = BatchItemView(index=number, status=200, **asdict(explanation_view(verdict)))
        else:
            verdicts[number] = verdict
    return results, verdicts


def _fingerprint(call: Call) -> str:
    return idempotency.fingerprint(call.request.path, call.request.content_type, call.request.body)


async def _accept(
    call: Call, repeatable: Repeatable | None, verdicts: Mapping[int, Verdict], results: _Results
) -> Response:
    """Store all messages with one write, or none. Raises `Refusal`: then no message is known to be accepted."""
    by_lane: dict[str, list[int]] = {}
    for number, verdict in verdicts.items():
        by_lane.setdefault(verdict.lane, []).append(number)
    numbers = [number for lane in by_lane.values() for number in lane]
    groups = [
        LaneGroup(lane=lane, submissions=[verdicts[number].submission for number in each])
        for lane, each in by_lane.items()
    ]

    def response(accepted: Sequence[Accepted]) -> bytes:
        made = {
            number: BatchItemView(index=number, status=202, **asdict(accepted_view(each)))
            for number, each in zip(numbers, accepted, strict=True)
        }
        return msgspec.json.encode(_view({**results, **made}))

    if repeatable is None:
        accepted = await call.services.acceptance.accept_together(call.client, groups, call.services.new_batch())
    else:
        accepted = await repetition.accept_once(call, repeatable, groups, response=response)
    return Response(status=202, headers=_headers({}), body=response(accepted))


def _refused(call: Call, number: int, refusal: Refusal) -> BatchItemView:
    error = error_view(refusal, call.request_id).error
    details = [replace(detail, target=_placed(detail.target, number)) for detail in error.details]
    return BatchItemView(index=number, status=refusal.status, error=replace(error, details=details))


def _placed(target: str, number: int) -> str:
    """Return a target within the whole request: the policy's problems have targets within their message."""
    if target.startswith(("messages[", "defaults")):
        return target
    return f"messages[{number}]" if target == "$" else f"messages[{number}].{target}"


def _unaccepted(call: Call, results: _Results, drafts: Sequence[Draft | Refusal]) -> Response:
    """Respond if no message could be accepted: 200 for dry runs, else the results with 400."""
    if any(result.status == 200 for result in results.values()):
        return json_response(_view(results))
    text = f"None of the {len(drafts)} messages was accepted; `value` has the reasons."
    refusal = Refusal(400, "no_message_accepted", text)
    body = BatchErrorView(**asdict(error_view(refusal, call.request_id)), **asdict(_view(results)))
    return json_response(body, 400, {"x-ms-error-code": refusal.code})


def _headers(more: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", **more}


def _view(results: _Results) -> BatchResultView:
    return BatchResultView(
        accepted=sum(result.status == 202 for result in results.values()),
        refused=sum(result.status >= 400 for result in results.values()),
        value=[results[number] for number in sorted(results)],
    )
