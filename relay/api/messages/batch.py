"""Many messages in one call: each has its own result, and what is accepted is durable in one write for each lane."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.acceptance.policy import Verdict
from relay.api.app import Call
from relay.api.errors import error_body
from relay.api.http import Response, json_response
from relay.api.messages import idempotency as repetition
from relay.api.messages.completion import Completion
from relay.api.messages.idempotency import Repeatable
from relay.api.messages.send import decide, explanation, told_accepted
from relay.api.reading.batch import parse_batch
from relay.api.reading.body import check_length
from relay.clients import idempotency
from relay.clients.idempotency import Replay, Reserved
from relay.core import ids
from relay.core.errors import Refusal

_AT_A_TIME = 20
"""Messages that are decided about before others of the process get their turn."""

type _Results = dict[int, dict[str, Any]]


async def send(call: Call) -> Response:
    """POST /v1/messages/batch: 202 when any message was accepted; a result for each, in order."""
    check_length(call.request)
    # Whole seconds, so that a repetition under the same Idempotency-Key makes entries of the same length.
    now = call.services.clock().replace(microsecond=0)
    limits = Limits(max_message_bytes=call.services.settings.max_message_bytes)
    content_type = call.request.headers.get("content-type", "")
    drafts = parse_batch(call.request.body, content_type=content_type, now=now, limits=limits)
    completion = Completion(call, limits)
    results, verdicts = await _decide(call, completion, drafts, now)
    _check_total(verdicts, limits)
    if not verdicts:
        return _unaccepted(results, drafts)
    await completion.keep([verdict.submission for verdict in verdicts.values()])
    asked = repetition.repeatable(call.request, lambda: _fingerprint(call))
    if asked is None:
        await _accept(call, verdicts, call.services.new_batch(), results)
        return _answer(results)
    return await _send_once(call, asked, verdicts, results)


async def _decide(
    call: Call, completion: Completion, drafts: Sequence[Draft | Refusal], now: datetime
) -> tuple[_Results, Mapping[int, Verdict]]:
    """The results that are known already (refusals, dry runs), and what may be accepted."""
    results: _Results = {}
    verdicts: dict[int, Verdict] = {}
    known = await call.services.suppressions.known_to(call.client.name)
    for number, draft in enumerate(drafts):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        try:
            if isinstance(draft, Refusal):
                raise draft
            verdict = decide(call, await completion.complete(draft), known, now)
        except Refusal as refusal:
            results[number] = _refused(call, number, refusal)
            continue
        if draft.dry_run:
            results[number] = {"index": number, "status": 200, **explanation(verdict)}
        else:
            verdicts[number] = verdict
    return results, verdicts


def _check_total(verdicts: Mapping[int, Verdict], limits: Limits) -> None:
    total = sum(verdict.submission.size for verdict in verdicts.values())
    if total > limits.max_batch_bytes:
        text = f"The messages have {total} bytes together; {limits.max_batch_bytes} are possible. Send several batches."
        raise Refusal(413, "message_too_large", text, target="messages")


def _fingerprint(call: Call) -> str:
    return idempotency.fingerprint(call.request.path, call.request.content_type, call.request.body)


async def _send_once(call: Call, asked: Repeatable, verdicts: Mapping[int, Verdict], results: _Results) -> Response:
    place = await repetition.begin(call, asked)
    if isinstance(place, Replay):
        return Response(status=202, headers=_headers({"Idempotency-Replayed": "true"}), body=place.body)
    try:
        is_whole = await _accept(call, verdicts, place.batch, results)
    except Refusal:
        await call.services.idempotency.release(place)
        raise
    answer = _answer(results)
    await _keep(call, place, answer if is_whole else None)
    return answer


async def _keep(call: Call, place: Reserved, answer: Response | None) -> None:
    """Keep the answer; or leave the key open, so that a repetition makes the same messages durable again, or the rest."""
    if answer is not None and len(answer.body) <= idempotency.MAX_ANSWER:
        await call.services.idempotency.finish(place, answer.body)
    else:
        await call.services.idempotency.release(place)


async def _accept(call: Call, verdicts: Mapping[int, Verdict], batch: str, results: _Results) -> bool:
    """Make each lane's messages durable with one write; whether all were. Raises `Refusal` when none was."""
    refusals: list[Refusal] = []
    lanes = sorted({verdict.lane for verdict in verdicts.values()})
    for place, lane in enumerate(lanes):
        numbers = [number for number, verdict in verdicts.items() if verdict.lane == lane]
        submissions = [verdicts[number].submission for number in numbers]
        name = batch if place == 0 else ids.derived_batch(batch, 0, -place)
        try:
            accepted = await call.services.acceptance.accept_together(call.client, lane, submissions, name)
        except Refusal as refusal:
            refusals.append(refusal)
            results.update({number: _refused(call, number, refusal) for number in numbers})
            continue
        for number, each in zip(numbers, accepted, strict=True):
            results[number] = {"index": number, "status": 202, **told_accepted(each)}
    if len(refusals) == len(lanes):
        raise refusals[0]
    return not refusals


def _refused(call: Call, number: int, refusal: Refusal) -> dict[str, Any]:
    error = error_body(refusal, call.request_id)["error"]
    error["details"] = [{**detail, "target": _placed(detail["target"], number)} for detail in error["details"]]
    return {"index": number, "status": refusal.status, "error": error}


def _placed(target: str, number: int) -> str:
    """A target within the whole request: what policy says of a message stands in that message."""
    if target.startswith(("messages[", "defaults")):
        return target
    return f"messages[{number}]" if target == "$" else f"messages[{number}].{target}"


def _unaccepted(results: _Results, drafts: Sequence[Draft | Refusal]) -> Response:
    """The answer when nothing was to be accepted: 200 for dry runs, else the results with 400."""
    if any(result["status"] == 200 for result in results.values()):
        return json_response(_body(results))
    text = f"None of the {len(drafts)} messages was accepted; `value` says of each why."
    refusal = Refusal(400, "no_message_accepted", text)
    request_id = next(iter(results.values()))["error"]["request_id"]
    body = {**error_body(refusal, request_id), **_body(results)}
    return json_response(body, 400, {"x-ms-error-code": refusal.code})


def _answer(results: _Results) -> Response:
    return Response(status=202, headers=_headers({}), body=msgspec.json.encode(_body(results)))


def _headers(more: Mapping[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", **more}


def _body(results: _Results) -> dict[str, Any]:
    accepted = sum(result["status"] == 202 for result in results.values())
    refused = sum(result["status"] >= 400 for result in results.values())
    return {"accepted": accepted, "refused": refused, "value": [results[number] for number in sorted(results)]}
