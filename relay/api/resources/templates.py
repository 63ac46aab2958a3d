"""Store, show and preview templates. Operators write them; every client may read them and send with them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from relay.acceptance.draft import Limits
from relay.api import mail_html
from relay.api.http import Response, json_response
from relay.api.messages.rendering import fill_in, split_name
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading.body import read_request
from relay.api.reading.fields import read_choice_name, read_open_object
from relay.api.services import Call
from relay.api.shapes.admin_requests import PreviewRequest, TemplateRequest, VariableFields
from relay.api.shapes.common import given
from relay.api.shapes.resources import (
    PreviewView,
    TemplateListView,
    TemplateSummaryView,
    TemplateVariableView,
    TemplateVersionListView,
    TemplateVersionView,
    TemplateView,
)
from relay.clients.templates import MAX_BYTES, PARTS, Template, Variable
from relay.core.errors import NotFound, Refusal
from relay.mime.reader import Reading
from relay.rendering.work import WorkBudget

_LIMITS = Limits()
_MAX_VARIABLES = 200
_MAX_IN_ADDRESS = 4_000
"""Characters of a preview's variables in a URL: hosts accept URLs of 8 KiB."""


async def index(call: Call) -> Response:
    """Handle GET /v1/templates."""
    found = await call.services.templates.index()
    value = [TemplateSummaryView(name=name, version=version, created_at=at) for name, version, at in found]
    return json_response(TemplateListView(value=value))


async def show(call: Call) -> Response:
    """Handle GET /v1/templates/{name}, also `name@3`."""
    return json_response(_view(await _template(call)))


async def versions(call: Call) -> Response:
    """Handle GET /v1/templates/{name}/versions."""
    try:
        found = await call.services.templates.versions(call.values["name"])
    except NotFound as error:
        raise _not_found() from error
    value = [TemplateVersionView(version=each.version, created_at=each.created_at) for each in found]
    return json_response(TemplateVersionListView(value=value))


async def put(call: Call) -> Response:
    """Handle PUT /v1/templates/{name}: 201 for the first version, 200 for later ones."""
    value = read_request(call.request, TemplateRequest, max_bytes=2 * MAX_BYTES)
    problems = Problems(_LIMITS.max_problems)
    read_choice_name(call.values["name"], "name", problems, _LIMITS)
    made = _made(call, value, problems)
    problems.raise_any()
    kept = await call.services.templates.put(made)
    return json_response(_view(kept), 201 if kept.version == 1 else 200)


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/templates/{name}."""
    with suppress(NotFound):
        await call.services.templates.delete(call.values["name"])
    return Response(status=204)


async def preview(call: Call) -> Response:
    """Handle POST /v1/templates/{name}/preview."""
    value = read_request(call.request, PreviewRequest, is_optional=True)
    problems = Problems(_LIMITS.max_problems)
    variables = read_open_object(value.variables, "variables", _LIMITS.max_variables_bytes, problems, _LIMITS)
    problems.raise_any()
    name, version = _asked(call.values["name"])
    try:
        ready = await call.services.templates.ready(name, version or value.version)
    except NotFound as error:
        raise _not_found() from error
    wanted = [part for part in PARTS if getattr(ready.template, part) is not None]
    parts = await fill_in(ready, variables, wanted, _LIMITS, WorkBudget())
    number = ready.template.version
    url = _html_url(call, f"{name}@{number}", variables) if parts.get("html") else UNSET
    view = PreviewView(
        name=name,
        version=number,
        subject=parts.get("subject", UNSET),
        text=parts.get("text", UNSET),
        html=parts.get("html", UNSET),
        html_url=url,
    )
    return json_response(view)


async def html(call: Call) -> Response:
    """Handle GET /v1/templates/{name}/html, for holders of a preview's signed URL."""
    await mail_html.holder(call, "variables")
    try:
        ready = await call.services.templates.ready(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error
    variables = msgspec.json.decode(call.request.query["variables"], type=dict[str, Any])
    parts = await fill_in(ready, variables, ["html"], _LIMITS, WorkBudget())
    return mail_html.page(Reading(headers=(), text=None, html=parts["html"], files=()))


def _html_url(call: Call, template: str, variables: Mapping[str, Any]) -> str | None:
    """Sign the URL that shows a preview's HTML as a page; None when its variables are too long for a URL."""
    text = msgspec.json.encode(variables).decode()
    if len(quote(text)) > _MAX_IN_ADDRESS:
        return None
    return mail_html.link(call, f"/v1/templates/{template}/html", variables=text)


async def _template(call: Call) -> Template:
    try:
        return await call.services.templates.get(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error


def _asked(text: str) -> tuple[str, int | None]:
    problems = Problems(1)
    read_choice_name(text, "name", problems, _LIMITS, may_have_version=True)
    if problems:
        raise _not_found()
    return split_name(text)


def _not_found() -> Refusal:
    return Refusal(404, "template_not_found", "No template has this name, or it has no such version.")


def _made(call: Call, value: TemplateRequest, problems: Problems) -> Template:
    sources = {part: getattr(value, part) for part in PARTS}
    if not (sources["text"] or sources["html"]):
        problems.add("no_content", "text", "Give text, html or both.")
    read = _compiled(sources, problems)
    template = Template(
        name=call.values["name"],
        version=0,
        created_at=call.services.clock(),
        description=value.description or "",
        variables=_variables(value.variables or {}, read, problems),
        subject=sources["subject"],
        text=sources["text"],
        html=sources["html"],
    )
    size = len(msgspec.json.encode(template))
    if size > MAX_BYTES:
        problems.add("too_large", WHOLE, f"The template is too large: {size} bytes as JSON (limit {MAX_BYTES}).")
    return template


def _compiled(sources: Mapping[str, str | None], problems: Problems) -> Sequence[str]:
    """Return the variables that the sources read, and collect what is wrong with the sources."""
    from relay.clients.template_sandbox import Part
    from relay.rendering.errors import NoTemplate

    read: set[str] = set()
    for part, source in sources.items():
        if source is not None and len(source) <= MAX_BYTES:
            try:
                read |= Part(source, is_html=part == "html").names
            except NoTemplate as error:
                problems.add("invalid_template", part, str(error))
    return sorted(read)


def _variables(declared: Mapping[str, VariableFields], read: Sequence[str], problems: Problems) -> dict[str, Variable]:
    for name, each in declared.items():
        if not name.isidentifier():
            problems.add(
                "invalid_value", member("variables", name), "A variable's name has letters, digits and _ only."
            )
        if each.required and each.default is not UNSET:
            text = "A required variable cannot have a default; leave one of them out."
            problems.add("not_applicable", f"{member('variables', name)}.default", text)
    found = {
        name: Variable(
            is_required=each.required is not False and each.default is UNSET,
            default=None if each.default is UNSET else each.default,
            description=each.description or "",
        )
        for name, each in declared.items()
    }
    found |= {name: Variable() for name in read if name not in found}
    if len(found) > _MAX_VARIABLES:
        problems.add("too_many", "variables", f"Too many variables: {len(found)} (limit {_MAX_VARIABLES}).")
    return found


def _view(template: Template) -> TemplateView:
    return TemplateView(
        name=template.name,
        version=template.version,
        created_at=template.created_at,
        description=given(template.description or None),
        subject=given(template.subject),
        text=given(template.text),
        html=given(template.html),
        variables={name: _variable_view(each) for name, each in template.variables.items()},
    )


def _variable_view(variable: Variable) -> TemplateVariableView:
    return TemplateVariableView(
        required=variable.is_required,
        default=UNSET if variable.is_required else variable.default,
        description=given(variable.description or None),
    )
