"""Stored templates: operators write them, every client may look at them and send with them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from relay.acceptance.draft import Limits
from relay.api import mail_html
from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.api.messages.rendering import fill_in, split_name
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading.body import read_object
from relay.api.reading.fields import read_choice_name, read_open_object
from relay.clients.templates import MAX_BYTES, PARTS, Template, Variable
from relay.core.errors import NotFound, Refusal
from relay.mime.reader import Reading

_LIMITS = Limits()
_MAX_VARIABLES = 200
_MAX_IN_ADDRESS = 4_000
"""Characters of a preview's variables in an address: hosts take 8 KiB of address in all."""


async def index(call: Call) -> Response:
    """GET /v1/templates: every template with its newest version."""
    found = await call.services.templates.index()
    return json_response(
        {"value": [{"name": name, "version": version, "created_at": at} for name, version, at in found]}
    )


async def show(call: Call) -> Response:
    """GET /v1/templates/{name}: the newest version, or `name@3`."""
    return json_response(_told(await _template(call)))


async def versions(call: Call) -> Response:
    """GET /v1/templates/{name}/versions: the newest first."""
    try:
        found = await call.services.templates.versions(call.values["name"])
    except NotFound as error:
        raise _not_found() from error
    return json_response({"value": [{"version": each.version, "created_at": each.created_at} for each in found]})


async def put(call: Call) -> Response:
    """PUT /v1/templates/{name}: make the next version; 201 for the first, else 200."""
    from relay.api.shapes.admin_requests import TemplateRequest

    value = read_object(call.request, TemplateRequest, most_bytes=2 * MAX_BYTES)
    faults = Problems(_LIMITS.max_problems)
    read_choice_name(call.values["name"], "name", faults, _LIMITS)
    made = _made(call, value, faults)
    faults.raise_any()
    kept = await call.services.templates.put(made)
    return json_response(_told(kept), 201 if kept.version == 1 else 200)


async def delete(call: Call) -> Response:
    """DELETE /v1/templates/{name}: take it out of use with all its versions; 204 also when it was not there."""
    with suppress(NotFound):
        await call.services.templates.delete(call.values["name"])
    return Response(status=204)


async def preview(call: Call) -> Response:
    """POST /v1/templates/{name}/preview: what a message would get; nothing is sent."""
    from relay.api.shapes.admin_requests import PreviewRequest

    value = read_object(call.request, PreviewRequest, is_optional=True)
    faults = Problems(_LIMITS.max_problems)
    variables = read_open_object(value.get("variables"), "variables", _LIMITS.max_variables_bytes, faults, _LIMITS)
    faults.raise_any()
    name, version = _asked(call.values["name"])
    try:
        ready = await call.services.templates.ready(name, version or value.get("version"))
    except NotFound as error:
        raise _not_found() from error
    wanted = [part for part in PARTS if getattr(ready.template, part) is not None]
    parts = fill_in(ready, variables, wanted, _LIMITS)
    told = {"name": name, "version": ready.template.version, **parts}
    return json_response({**told, "html_url": _html_url(call, told, variables)} if parts.get("html") else told)


async def html(call: Call) -> Response:
    """GET /v1/templates/{name}/html: a preview's html as a page in which nothing can act, for who has its `html_url`."""
    await mail_html.holder(call, "variables")
    try:
        ready = await call.services.templates.ready(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error
    variables = msgspec.json.decode(call.request.query["variables"], type=dict[str, Any])
    return mail_html.page(Reading(headers=(), text=None, html=ready.render("html", variables), files=()))


def _html_url(call: Call, told: Mapping[str, Any], variables: Mapping[str, Any]) -> str | None:
    """Where the preview's html is shown as a page; None when its variables are too long for an address."""
    text = msgspec.json.encode(variables).decode()
    if len(quote(text)) > _MAX_IN_ADDRESS:
        return None
    return mail_html.link(call, f"/v1/templates/{told['name']}@{told['version']}/html", variables=text)


async def _template(call: Call) -> Template:
    try:
        return await call.services.templates.get(*_asked(call.values["name"]))
    except NotFound as error:
        raise _not_found() from error


def _asked(text: str) -> tuple[str, int | None]:
    faults = Problems(1)
    read_choice_name(text, "name", faults, _LIMITS, may_have_version=True)
    if faults:
        raise _not_found()
    return split_name(text)


def _not_found() -> Refusal:
    return Refusal(404, "template_not_found", "There is no such template, or no such version of it.")


def _made(call: Call, value: Mapping[str, Any], faults: Problems) -> Template:
    sources = {part: value.get(part) for part in PARTS}
    if not (sources["text"] or sources["html"]):
        faults.add("no_content", "text", "Give text, html or both.")
    read = _compiled(sources, faults)
    template = Template(
        name=call.values["name"],
        version=0,
        created_at=call.services.clock(),
        description=value.get("description") or "",
        variables=_variables(value.get("variables") or {}, read, faults),
        subject=sources["subject"],
        text=sources["text"],
        html=sources["html"],
    )
    size = len(msgspec.json.encode(template))
    if size > MAX_BYTES:
        faults.add("too_large", WHOLE, f"The template has {size} bytes as JSON; {MAX_BYTES} are possible.")
    return template


def _compiled(sources: Mapping[str, str | None], faults: Problems) -> Sequence[str]:
    """The variables that the sources read; what is no template is noted."""
    from relay.clients.template_sandbox import NoTemplate, Part

    read: set[str] = set()
    for part, source in sources.items():
        if source is not None and len(source) <= MAX_BYTES:
            try:
                read |= Part(source, is_html=part == "html").names
            except NoTemplate as error:
                faults.add("invalid_template", part, str(error))
    return sorted(read)


def _variables(declared: Mapping[str, Any], read: Sequence[str], faults: Problems) -> dict[str, Variable]:
    for name, each in declared.items():
        if not name.isidentifier():
            faults.add("invalid_value", member("variables", name), "A variable is named by letters, digits and _.")
        if each.get("required") and "default" in each:
            text = "A variable that is required has no use for a default; leave one of them out."
            faults.add("not_applicable", f"{member('variables', name)}.default", text)
    found = {
        name: Variable(
            is_required=each.get("required", "default" not in each) is not False and "default" not in each,
            default=each.get("default"),
            description=each.get("description") or "",
        )
        for name, each in declared.items()
    }
    found |= {name: Variable() for name in read if name not in found}
    if len(found) > _MAX_VARIABLES:
        faults.add("too_many", "variables", f"There are {len(found)} variables; {_MAX_VARIABLES} are possible.")
    return found


def _told(template: Template) -> dict[str, Any]:
    told = {
        "name": template.name,
        "version": template.version,
        "created_at": template.created_at,
        "description": template.description or None,
        **{part: getattr(template, part) for part in PARTS},
    }
    variables = {name: _told_variable(each) for name, each in template.variables.items()}
    return {key: value for key, value in told.items() if value is not None} | {"variables": variables}


def _told_variable(variable: Variable) -> dict[str, Any]:
    told: dict[str, Any] = {"required": variable.is_required}
    if not variable.is_required:
        told["default"] = variable.default
    if variable.description:
        told["description"] = variable.description
    return told
