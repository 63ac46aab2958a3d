"""Compile a template, and fill in the translation for a message's locale."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from relay.clients.templates.model import PARTS, Kind, Template
from relay.rendering.locales import fallbacks

if TYPE_CHECKING:
    from relay.rendering.work import WorkBudget

DEFAULT_LOCALE = "en"
"""The locale whose formats a text without a locale gets."""


class Part(Protocol):
    """A compiled source. `names` are the variables without which it cannot be rendered."""

    names: frozenset[str]

    def render(self, variables: Mapping[str, Any], budget: "WorkBudget", locale: str) -> str:
        """Render it with the formats of a locale. Raises `Unrenderable`."""


def compile_part(kind: Kind, source: str, *, is_html: bool) -> Part:
    """Compile a source. Raises `NoTemplate`."""
    if kind == "handlebars":
        from relay.handlebars.template import Part as HandlebarsPart

        return HandlebarsPart(source)
    from relay.clients.templates.sandbox import Part as JinjaPart

    return JinjaPart(source, is_html=is_html)


class CompiledTemplate:
    """A template with its parts compiled, by locale and part. The template's own are those of no locale."""

    def __init__(self, template: Template) -> None:
        """Raises `NoTemplate`."""
        self.template = template
        self._parts: Mapping[str, Mapping[str, Part]] = {
            locale.lower(): {
                part: compile_part(template.kind, source, is_html=part == "html")
                for part in PARTS
                if (source := getattr(each, part)) is not None
            }
            for locale, each in (("", template), *template.translations.items())
        }

    def parts(self, locale: str) -> list[str]:
        """Return the parts that a message for this locale has."""
        own = self._parts[self._chosen(locale)]
        return [part for part in PARTS if part in own or (part == "subject" and part in self._parts[""])]

    def missing(self, variables: Mapping[str, Any]) -> list[str]:
        """Return the required variables that are missing."""
        declared = self.template.variables
        return [name for name, variable in declared.items() if variable.is_required and name not in variables]

    def render(self, part: str, variables: Mapping[str, Any], budget: "WorkBudget", locale: str = "") -> str | None:
        """Render one of `PARTS` for a locale; None if the template does not have it. Raises `Unrenderable`."""
        chosen = self._chosen(locale)
        found = self._parts[chosen].get(part) or (self._parts[""].get(part) if part == "subject" else None)
        if found is None:
            return None
        defaults = {name: each.default for name, each in self.template.variables.items() if not each.is_required}
        return found.render({**defaults, **variables}, budget, self._formats(locale, chosen))

    def _chosen(self, locale: str) -> str:
        """Return the locale of the translation for a locale, or for its language: `ja` for `ja-JP`, else none."""
        return next((tag for tag in fallbacks(locale.lower()) if tag in self._parts), "")

    def _formats(self, locale: str, chosen: str) -> str:
        """Return the locale whose formats a text gets: the requested one, if the text is in its language."""
        own = self.template.locale
        is_in_language = chosen or not (own or len(self._parts) > 1) or _language(own) == _language(locale)
        return (locale if is_in_language else own) or DEFAULT_LOCALE


def _language(locale: str) -> str:
    return locale.partition("-")[0].lower()
