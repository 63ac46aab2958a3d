"""Store, show and preview templates. Operators write them; every client may read them and send with them."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import UNSET

from relay.acceptance.draft import Limits
from relay.api import mail_html
from relay.api.http import Response, json_response
from relay.api.messages.rendering import fill_in, split_name
from relay.api.problems import Problems
from relay.api.reading.body import read_request
from relay.api.reading.fields import read_choice_name, read_locale, read_open_object
from relay.api.resources.template_reading import read_template
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.templates import (
    PreviewRequest,
    PreviewView,
    TemplateListView,
    TemplateRequest,
    TemplateSummaryView,
    TemplateVariableView,
    TemplateVersionListView,
    TemplateVersionView,
    TemplateView,
    TranslationView,
)
from relay.clients.templates.model import MAX_BYTES, Template, Translation, Variable
from relay.core.errors import NotFound, Refusal
from relay.mime.reader import Reading
from relay.rendering.work import WorkBudget

_LIMITS = Limits()
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
    problems = Problems()
    read_choice_name(call.values["name"], "name", problems, _LIMITS)
    made = read_template(call.values["name"], value, call.services.clock(), problems)
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
    problems = Problems()
    variables = read_open_object(value.variables, "variables", _LIMITS.max_variables_bytes, problems, _LIMITS)
    locale = read_locale(value.locale, "locale", problems, _LIMITS)
    problems.raise_any()
    name, version = _asked(call.values["name"])
    try:
        compiled = await call.services.templates.compiled(name, version or value.version)
    except NotFound as error:
        raise _not_found() from error
    if value.variables is None:
        variables = compiled.template.test_data
    wanted = compiled.parts(locale)
    parts = await fill_in(compiled, variables, wanted, _LIMITS, WorkBudget(), locale=locale)
    number = compiled.template.version
    url = _html_url(call, f"{name}@{number}", variables, locale) if parts.get("html") else UNSET
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
    await mail_html.holder(call, "variables", "locale")
    try:
        compiled = await call.services.templates.compiled(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error
    variables = msgspec.json.decode(call.request.query["variables"], type=dict[str, Any])
    locale = call.request.query.get("locale", "")
    parts = await fill_in(compiled, variables, ["html"], _LIMITS, WorkBudget(), locale=locale)
    return mail_html.page(Reading(headers=(), text=None, html=parts["html"], files=()))


def _html_url(call: Call, template: str, variables: Mapping[str, Any], locale: str) -> str | None:
    """Sign the URL that shows a preview's HTML as a page; None when its variables are too long for a URL."""
    text = msgspec.json.encode(variables).decode()
    if len(quote(text)) > _MAX_IN_ADDRESS:
        return None
    return mail_html.link(call, f"/v1/templates/{template}/html", variables=text, locale=locale)


async def _template(call: Call) -> Template:
    try:
        return await call.services.templates.get(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error


def _asked(text: str) -> tuple[str, int | None]:
    problems = Problems()
    read_choice_name(text, "name", problems, _LIMITS, may_have_version=True)
    if problems:
        raise _not_found()
    return split_name(text)


def _not_found() -> Refusal:
    return Refusal(404, "template_not_found", "No template has this name, or it has no such version.")


def _view(template: Template) -> TemplateView:
    return TemplateView(
        name=template.name,
        version=template.version,
        created_at=template.created_at,
        kind=template.kind,
        description=given(template.description or None),
        locale=given(template.locale or None),
        subject=given(template.subject),
        text=given(template.text),
        html=given(template.html),
        translations=given({tag: _translation_view(each) for tag, each in template.translations.items()} or None),
        variables={name: _variable_view(each) for name, each in template.variables.items()},
        test_data=given(template.test_data or None),
    )


def _translation_view(translation: Translation) -> TranslationView:
    return TranslationView(
        subject=given(translation.subject), text=given(translation.text), html=given(translation.html)
    )


def _variable_view(variable: Variable) -> TemplateVariableView:
    return TemplateVariableView(
        required=variable.is_required,
        default=UNSET if variable.is_required else variable.default,
        description=given(variable.description or None),
    )
