"""Handle POST /v3/mail/send: accept SendGrid's request as a whole or not at all, for the routes that policy and rules choose."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from relay.acceptance.acceptance import Accepted, LaneGroup
from relay.acceptance.draft import Limits
from relay.acceptance.policy import Verdict
from relay.api.http import Response
from relay.api.messages.repetition import Repeatable, accept_once, earlier, repeatable
from relay.api.messages.send import decide, recipients_of
from relay.api.problems import WHOLE, Problems
from relay.api.sendgrid.body import body_size, read_body, unpacked
from relay.api.sendgrid.mail import Mail, count_messages, read_mail
from relay.api.sendgrid.personalizations import PersonalizedDraft
from relay.api.sendgrid.templates import find_template, render
from relay.api.services import Call
from relay.clients import idempotency
from relay.core.errors import Problem, Refusal
from relay.delivery.send_groups import is_group
from relay.platform.concurrency import run_sized
from relay.providers.sendgrid.options import demands

_CHUNK = 20
"""Decide this many messages before yielding to other requests."""
_RECIPIENT = re.compile(r"(to|cc|bcc)\[(\d+)\]")
_HINTS = {
    "template_id": " Relay does not have this template; relay templates import --from-sendgrid copies it.",
    "asm": " Every route carries the group to a single recipient once a topic of the client has it as `sendgrid_group_id`.",
}
_FILE = re.compile(r"attachments\[(\d+)\]\.(name|type)")


async def send(call: Call) -> Response:
    """Handle POST /v3/mail/send: 202 with an empty body once every message is stored; 200 in sandbox mode, which only checks."""
    repeatable = await _repeatable(call)
    if repeatable is not None and (replay := await earlier(call, repeatable)) is not None:
        return _accepted(call, replay.response.decode(), {"Idempotency-Replayed": "true"})
    now = call.services.clock()
    mail = await _read(call, now)
    verdicts = await _decide(call, mail.drafts, now)
    if mail.is_sandbox:
        return Response(status=200)
    return _accepted(call, await _accept(call, repeatable, mail, verdicts))


async def _repeatable(call: Call) -> Repeatable | None:
    def fingerprint() -> str:
        # The same body compressed again has other bytes: gzip writes the time.
        body = unpacked(call.request, _limits(call).max_body_bytes)
        return idempotency.fingerprint(call.request.path, call.request.content_type, body)

    size = body_size(call.request, _limits(call).max_body_bytes)
    return await repeatable(call.request, fingerprint, size=size)


def _limits(call: Call) -> Limits:
    return Limits(max_message_bytes=call.services.settings.max_message_bytes)


async def _read(call: Call, now: datetime) -> Mail:
    limits = _limits(call)
    problems = Problems()
    size = body_size(call.request, limits.max_body_bytes)
    value = await run_sized(partial(read_body, call.request, limits.max_body_bytes, problems), size)
    await call.services.quotas.take_messages(call.client, count_messages(value))
    compiled = await find_template(call, value)
    mail = await read_mail(value, now, problems, limits, size=size, is_rendered=compiled is not None)
    if mail.batch_id is not None and not is_group(mail.batch_id, call.client.mac_key):
        problems.add("invalid_value", "batch_id", "Not a valid batch_id. Create one with POST /v3/mail/batch.")
    problems.raise_any()
    if compiled is None:
        return mail
    return msgspec.structs.replace(mail, drafts=tuple(await render(compiled, mail.drafts, limits)))


async def _decide(call: Call, drafts: Sequence[PersonalizedDraft], now: datetime) -> list[Verdict]:
    """Apply the policy to each message. Raises one `Refusal` with every reason against any of them."""
    if any("asm" in each.draft.message.options.get("sendgrid", {}) for each in drafts):
        from relay.api.sendgrid.topics import with_topics

        drafts = await with_topics(call, drafts)
    recipients = await recipients_of(call, [each.draft for each in drafts])
    verdicts: list[Verdict] = []
    refusals: list[Refusal] = []
    problems: dict[Problem, None] = {}
    for number, personalized in enumerate(drafts):
        if number % _CHUNK == 0:
            await asyncio.sleep(0)
        try:
            verdicts.append(decide(call, personalized.draft, recipients, now))
        except Refusal as refusal:
            refusals.append(refusal)
            problems |= dict.fromkeys(_problems(personalized, refusal))
    if not refusals:
        return verdicts
    worst = max(refusals, key=lambda refusal: (refusal.status == 403, refusal.status))
    raise Refusal(worst.status, worst.code, worst.message, problems=list(problems), headers=worst.headers)


def _problems(personalized: PersonalizedDraft, refusal: Refusal) -> list[Problem]:
    """Place each problem of a refusal at its field of the request."""
    if not refusal.problems:
        return [Problem(code=refusal.code, target=refusal.target or WHOLE, message=refusal.message)]
    found: list[Problem] = []
    for problem in refusal.problems:
        fields = [_field(personalized, problem.target)]
        if problem.code == "not_carriable":
            options = demands(personalized.draft.message.options.get("sendgrid", {}))
            fields = [name for name in options if f"options.sendgrid.{name}" in problem.message] or fields
        found += [
            Problem(code=problem.code, target=field, message=problem.message + _HINTS.get(field, ""))
            for field in fields
        ]
    return found


def _field(personalized: PersonalizedDraft, target: str) -> str:
    if target == "from":
        return f"{personalized.field}.from" if "from" in personalized.own else "from"
    if recipient := _RECIPIENT.fullmatch(target):
        return f"{personalized.field}.{recipient[1]}.{recipient[2]}.email"
    if file := _FILE.fullmatch(target):
        return f"attachments.{file[1]}.{'filename' if file[2] == 'name' else 'type'}"
    if target == "attachments":
        return target
    return personalized.field


async def _accept(call: Call, repeatable: Repeatable | None, mail: Mail, verdicts: Sequence[Verdict]) -> str:
    """Store every message, and return the first one's id. Raises `Refusal`: then no message is known to be accepted."""
    lane = verdicts[0].lane
    submissions = [verdict.submission for verdict in verdicts]
    if len(submissions) == 1 and mail.batch_id is None and repeatable is None:
        return (await call.services.acceptance.accept(call.client, lane, submissions[0])).id
    if len(submissions) > 1:
        submissions = await call.services.content.share_attachments(submissions, call.services.new_batch)
    if mail.batch_id is not None:
        submissions = [msgspec.structs.replace(submission, group=mail.batch_id) for submission in submissions]
    groups = [LaneGroup(lane=lane, submissions=submissions)]

    async def join(accepted: Sequence[Accepted]) -> None:
        if mail.batch_id is not None:
            await call.services.send_groups.join(mail.batch_id, [each.id for each in accepted])

    if repeatable is None:
        made = await call.services.acceptance.accept_together(
            call.client, groups, call.services.new_batch(), reserve=lambda prepared: join(prepared.accepted)
        )
    else:
        made = await accept_once(
            call, repeatable, groups, response=lambda accepted: accepted[0].id.encode(), before=join
        )
    return made[0].id


def _accepted(call: Call, name: str, more: Mapping[str, str] | None = None) -> Response:
    where = f"{call.base_url}/v1/messages/{name}"
    return Response(status=202, headers={"X-Message-Id": name, "Operation-Location": where, **(more or {})})
