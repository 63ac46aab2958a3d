"""Fill in the template that a draft names at acceptance, so that Relay sends exactly what it accepted."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import Problems, member
from relay.api.reading import fields
from relay.api.services import Call
from relay.clients.templates.compiled import CompiledTemplate
from relay.clients.templates.model import PARTS
from relay.core.errors import NotFound, Problem, Refusal

if TYPE_CHECKING:
    from relay.rendering.work import WorkBudget


def split_name(text: str) -> tuple[str, int | None]:
    """Split `name@3` into name and version; the version of `name` is None."""
    name, _, version = text.partition("@")
    return name, int(version) if version else None


async def rendered(call: Call, draft: Draft, limits: Limits, budget: "WorkBudget") -> Draft:
    """Return the draft with the template's text, HTML and, unless the draft has its own, subject.

    `budget` is for the whole request. Raises `Refusal`: 400 if the template does not exist, 422 if it cannot be filled in.
    """
    if draft.template is None:
        return draft
    try:
        compiled = await call.services.templates.compiled(*split_name(draft.template))
    except NotFound as error:
        problem = Problem(
            code="unknown_template", target="template", message="No template has this name, or it has no such version."
        )
        text = problem.message
        raise Refusal(400, "invalid_request", text, target="template", problems=[problem]) from error
    wanted = [part for part in PARTS if part != "subject" or not draft.message.subject]
    parts = await fill_in(compiled, draft.variables, wanted, limits, budget, locale=draft.locale)
    message = msgspec.structs.replace(
        draft.message,
        subject=draft.message.subject or parts["subject"] or "",
        text=parts["text"] or None,
        html=parts["html"] or None,
    )
    return msgspec.structs.replace(draft, message=message, size=None, template=None, variables={})


async def fill_in(
    compiled: CompiledTemplate,
    variables: Mapping[str, Any],
    wanted: Sequence[str],
    limits: Limits,
    budget: "WorkBudget",
    *,
    locale: str = "",
    subject: str = "",
) -> dict[str, str | None]:
    """Render the `wanted` parts (of `PARTS`), by name; `subject` is used if the template's is empty.

    Raises `Refusal` (422) with every problem.
    """
    # Rendering could block the event loop for too long.
    return await asyncio.to_thread(
        _fill_in, compiled, variables, wanted, limits, budget, locale=locale, subject=subject
    )


def _fill_in(
    compiled: CompiledTemplate,
    variables: Mapping[str, Any],
    wanted: Sequence[str],
    limits: Limits,
    budget: "WorkBudget",
    *,
    locale: str,
    subject: str,
) -> dict[str, str | None]:
    from relay.rendering.errors import Unrenderable

    problems = Problems()
    for name in compiled.missing(variables):
        problems.add("missing_variable", member("variables", name), "The template needs this variable.")
    _raise_any(problems)
    parts: dict[str, str | None] = {}
    for part in wanted:
        try:
            parts[part] = compiled.render(part, variables, budget, locale)
        except Unrenderable as error:
            problems.add("rendering_failed", "template", f"The template's {part} cannot be filled in. {error}")
    _raise_any(problems)
    if "subject" in wanted:
        # Line breaks come from the layout of a template, and would end the header.
        own = " ".join((parts["subject"] or "").split()) or subject
        parts["subject"] = fields.read_subject(own, problems, limits, is_required=True)
    if not any(parts.get(part) for part in ("text", "html")):
        problems.add("no_content", "template", "Text and html are empty with these variables.")
    _raise_any(problems)
    return parts


def _raise_any(problems: Problems) -> None:
    if problems:
        text = "The template cannot be filled in with these variables; `details` says why."
        raise Refusal(422, "not_renderable", text, problems=problems.found)
