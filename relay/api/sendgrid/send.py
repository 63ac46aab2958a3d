"""POST /v3/mail/send: SendGrid's request, accepted whole or not at all, by whatever route the policy and the rules say."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from relay.acceptance.draft import Limits
from relay.acceptance.policy import Verdict
from relay.api.app import Call
from relay.api.http import Response
from relay.api.messages.idempotency import checked_key
from relay.api.messages.send import decide
from relay.api.problems import WHOLE, Problems
from relay.api.sendgrid.body import read_body
from relay.api.sendgrid.mail import Mail, PersonalizedDraft, read_mail
from relay.clients import idempotency
from relay.clients.idempotency import Replay
from relay.core import ids
from relay.core.errors import Problem, Refusal
from relay.delivery.send_groups import is_group
from relay.providers.contract import FEATURES
from relay.providers.sendgrid.options import demands

_AT_A_TIME = 20
"""Letters that are decided about before others of the process get their turn."""
_RECIPIENT = re.compile(r"(to|cc|bcc)\[(\d+)\]")
_FILE = re.compile(r"attachments\[(\d+)\]\.name")


async def send(call: Call) -> Response:
    """202 with an empty body once every message is durable; 200 in sandbox mode, which only checks."""
    now = _whole_seconds(call.services.clock())
    mail = await _read(call, now)
    verdicts = await _decide(call, mail.letters, now)
    if mail.is_sandbox:
        return Response(status=200)
    key = call.request.headers.get("idempotency-key", "")
    if key:
        return await _send_once(call, checked_key(key), mail, verdicts)
    return _accepted(call, await _accept(call, mail, verdicts))


def _whole_seconds(at: datetime) -> datetime:
    """Times in a submission then have one length, so that a repetition is cut into the same entries."""
    return at.replace(microsecond=0)


async def _read(call: Call, now: datetime) -> Mail:
    limits = Limits(max_message_bytes=call.services.settings.max_message_bytes)
    faults = Problems(limits.max_problems)
    value = read_body(call.request, limits.max_body_bytes, faults)
    mail = await read_mail(value, now, faults, limits)
    if mail.batch_id is not None and not is_group(mail.batch_id, call.client.mac_key):
        faults.add("invalid_value", "batch_id", "The batch_id is not valid; POST /v3/mail/batch makes one.")
    faults.raise_any()
    return mail


async def _decide(call: Call, letters: Sequence[PersonalizedDraft], now: datetime) -> list[Verdict]:
    """What the policy makes of each. Raises one `Refusal` with every reason against any of them."""
    known = await call.services.suppressions.known_to(call.client.name)
    verdicts: list[Verdict] = []
    refusals: list[Refusal] = []
    problems: dict[Problem, None] = {}
    for number, letter in enumerate(letters):
        if number % _AT_A_TIME == 0:
            await asyncio.sleep(0)
        try:
            verdicts.append(decide(call, letter.draft, known, now))
        except Refusal as refusal:
            refusals.append(refusal)
            problems |= dict.fromkeys(_problems(letter, refusal))
    if not refusals:
        return verdicts
    worst = max(refusals, key=lambda refusal: (refusal.status == 403, refusal.status))
    raise Refusal(worst.status, worst.code, worst.message, problems=list(problems), headers=worst.headers)


def _problems(letter: PersonalizedDraft, refusal: Refusal) -> list[Problem]:
    """A refusal's problems, each at the field of the request that it is about."""
    if not refusal.problems:
        return [Problem(code=refusal.code, target=refusal.target or WHOLE, message=refusal.message)]
    found: list[Problem] = []
    for problem in refusal.problems:
        fields = [_field(letter, problem.target)]
        if problem.code == "not_carriable" and FEATURES["templates"] in problem.message:
            fields = demands(letter.draft.message.options.get("sendgrid", {})) or fields
        found += [Problem(code=problem.code, target=field, message=problem.message) for field in fields]
    return found


def _field(letter: PersonalizedDraft, target: str) -> str:
    if target == "from":
        return f"{letter.field}.from" if "from" in letter.own else "from"
    if recipient := _RECIPIENT.fullmatch(target):
        return f"{letter.field}.{recipient[1]}.{recipient[2]}.email"
    if file := _FILE.fullmatch(target):
        return f"attachments.{file[1]}.filename"
    return letter.field


async def _accept(call: Call, mail: Mail, verdicts: Sequence[Verdict], batch: str | None = None) -> str:
    """Make every message durable; the first one's id. Raises `Refusal`: then none is."""
    lane = verdicts[0].lane
    submissions = [verdict.submission for verdict in verdicts]
    if len(submissions) == 1 and mail.batch_id is None and batch is None:
        return (await call.services.acceptance.accept(call.client, lane, submissions[0])).id
    if len(submissions) > 1:
        submissions = await call.services.content.share_attachments(submissions, call.services.new_batch)
    before = None
    if mail.batch_id is not None:
        submissions = [msgspec.structs.replace(submission, group=mail.batch_id) for submission in submissions]
        before = partial(call.services.send_groups.join, mail.batch_id)
    accepted = await call.services.acceptance.accept_together(
        call.client, lane, submissions, batch or call.services.new_batch(), before=before
    )
    return accepted[0].id


async def _send_once(call: Call, key: str, mail: Mail, verdicts: Sequence[Verdict]) -> Response:
    """Accept under an Idempotency-Key: a repetition gets the same answer, whatever died in between."""
    print_of = idempotency.fingerprint(call.request.path, call.request.content_type, call.request.body)
    place = await call.services.idempotency.begin(call.client.name, key, print_of)
    if isinstance(place, Replay):
        return _accepted(call, place.body.decode(), {"Idempotency-Replayed": "true"})
    first = _whole_seconds(ids.created_at(place.batch))
    try:
        if first < _whole_seconds(call.services.clock()):
            # A repetition: read as it was the first time, when its send_at may still have been ahead.
            mail = await _read(call, first)
            verdicts = await _decide(call, mail.letters, first)
        name = await _accept(call, mail, verdicts, place.batch)
    except Refusal:
        await call.services.idempotency.release(place)
        raise
    await call.services.idempotency.finish(place, name.encode())
    return _accepted(call, name)


def _accepted(call: Call, name: str, more: Mapping[str, str] | None = None) -> Response:
    where = f"{call.base_url}/v1/messages/{name}"
    return Response(status=202, headers={"X-Message-Id": name, "Operation-Location": where, **(more or {})})
