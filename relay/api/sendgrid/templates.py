"""Render the template that a SendGrid mail names, if Relay has it under this id. Then any route can carry the mail.

A `template_id` that Relay does not have stays an option, which only SendGrid can carry.
"""

import re
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from relay.acceptance.draft import Limits
from relay.api.messages.rendering import fill_in, split_name
from relay.api.problems import Problems
from relay.api.sendgrid.personalizations import PersonalizedDraft
from relay.api.services import Call
from relay.clients.templates.compiled import CompiledTemplate
from relay.core.errors import Problem, Refusal
from relay.mime.size import estimate_size
from relay.rendering.work import WorkBudget

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}(?:@[1-9][0-9]{0,6})?")
_VARIABLES = re.compile(r"variables(?=[.\[]|$)")


async def find_template(call: Call, value: Any) -> CompiledTemplate | None:
    """Return Relay's template with the id that a request names."""
    name = value.get("template_id") if isinstance(value, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return None
    return await call.services.templates.find(*split_name(name))


async def render(
    compiled: CompiledTemplate, drafts: Sequence[PersonalizedDraft], limits: Limits
) -> list[PersonalizedDraft]:
    """Return the drafts with subject, text and HTML of the template. Raises one `Refusal` with every problem."""
    budget = WorkBudget(len(drafts))
    done: list[PersonalizedDraft] = []
    refusals: list[Refusal] = []
    problems = Problems()
    size = 0
    for personalized in drafts:
        try:
            done.append(await _rendered(compiled, personalized, limits, budget))
        except Refusal as refusal:
            refusals.append(refusal)
            for problem in refusal.problems:
                problems.add(problem.code, _field(personalized, problem), problem.message)
            continue
        size += done[-1].size
        if size > limits.max_batch_bytes:
            text = (
                f"The messages are too large together: more than {limits.max_batch_bytes} bytes. Send several requests."
            )
            raise Refusal(413, "message_too_large", text, target="personalizations")
    if refusals:
        raise Refusal(refusals[0].status, refusals[0].code, refusals[0].message, problems=problems.found)
    return done


async def _rendered(
    compiled: CompiledTemplate, personalized: PersonalizedDraft, limits: Limits, budget: WorkBudget
) -> PersonalizedDraft:
    draft = personalized.draft
    wanted = sorted({*compiled.parts(draft.locale), "subject"})
    parts = await fill_in(
        compiled, draft.variables, wanted, limits, budget, locale=draft.locale, subject=draft.message.subject
    )
    text = parts.get("text") or None
    message = replace(
        draft.message,
        subject=parts["subject"] or "",
        text=text,
        html=parts.get("html") or None,
        # SendGrid makes a text too, when it stores a template without one.
        text_from_html=text is None,
    )
    size = estimate_size(message)
    if size > limits.max_message_bytes:
        reason = f"The message is too large: {size} bytes on the wire (limit {limits.max_message_bytes})."
        problem = Problem(code="message_too_large", target="template", message=reason)
        raise Refusal(413, "message_too_large", reason, problems=[problem])
    return replace(personalized, draft=replace(draft, message=message, size=None, variables={}), size=size)


def _field(personalized: PersonalizedDraft, problem: Problem) -> str:
    """Return the field of the request to which a problem of the rendering belongs."""
    if _VARIABLES.match(problem.target):
        return f"{personalized.field}.dynamic_template_{_VARIABLES.sub('data', problem.target, count=1)}"
    return "template_id"
