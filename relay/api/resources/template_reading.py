"""Read the next version of a template from a request, and collect its problems."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET

from relay.acceptance.draft import Limits
from relay.api.problems import WHOLE, Problems, member
from relay.api.reading.fields import read_locale, read_open_object
from relay.api.shapes.templates import TemplateRequest, TranslationFields, VariableFields
from relay.clients.templates.compiled import compile_part
from relay.clients.templates.model import MAX_BYTES, PARTS, Kind, Template, Translation, Variable
from relay.rendering.errors import NoTemplate

_LIMITS = Limits()
_MAX_VARIABLES = 200
_MAX_TRANSLATIONS = 100


def read_template(name: str, value: TemplateRequest, now: datetime, problems: Problems) -> Template:
    """Return a version. Use it only if `problems` stayed empty."""
    kind = value.kind or "jinja2"
    read = set(_variables_of(kind, value, "", problems))
    translations = _translations(value.translations or {}, problems)
    for tag, each in (value.translations or {}).items():
        read.update(_variables_of(kind, each, f"{member('translations', tag)}.", problems))
    template = Template(
        name=name,
        version=0,
        created_at=now,
        kind=kind,
        description=value.description or "",
        locale=read_locale(value.locale, "locale", problems, _LIMITS),
        variables=_variables(value.variables or {}, sorted(read), problems),
        subject=value.subject,
        text=value.text,
        html=value.html,
        translations=translations,
        test_data=read_open_object(value.test_data, "test_data", _LIMITS.max_variables_bytes, problems, _LIMITS),
    )
    size = len(msgspec.json.encode(template))
    if size > MAX_BYTES:
        problems.add("too_large", WHOLE, f"The template is too large: {size} bytes as JSON (limit {MAX_BYTES}).")
    return template


def _variables_of(
    kind: Kind, value: TemplateRequest | TranslationFields, where: str, problems: Problems
) -> Iterator[str]:
    """Yield the variables that the sources read, and collect the problems of the sources."""
    if not (value.text or value.html):
        problems.add("no_content", f"{where}text", "Give text, html or both.")
    for part in PARTS:
        source = getattr(value, part)
        if source is not None and len(source) <= MAX_BYTES:
            try:
                yield from compile_part(kind, source, is_html=part == "html").names
            except NoTemplate as error:
                problems.add("invalid_template", f"{where}{part}", str(error))


def _translations(given: Mapping[str, TranslationFields], problems: Problems) -> dict[str, Translation]:
    if len(given) > _MAX_TRANSLATIONS:
        text = f"Too many translations: {len(given)} (limit {_MAX_TRANSLATIONS})."
        problems.add("too_many", "translations", text)
    found: dict[str, Translation] = {}
    for tag, each in given.items():
        name = read_locale(tag, member("translations", tag), problems, _LIMITS)
        if name.lower() in {other.lower() for other in found}:
            problems.add("invalid_value", member("translations", tag), "This locale has a translation already.")
        found[name] = Translation(subject=each.subject, text=each.text, html=each.html)
    return found


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
