"""Templates: requests and responses."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from relay.api.shapes.base import Shape, Time, Uri, says
from relay.clients.templates.model import MAX_BYTES

_Version = Annotated[int, Meta(ge=1, le=99_999_998)]


class VariableFields(Shape, frozen=True, kw_only=True):
    """A variable that a template uses."""

    required: Annotated[
        bool | None, says("Whether each message must set it. The default is true unless there is a `default`.")
    ] = None
    default: Annotated[Any | UnsetType, says("The value for messages that do not set the variable.", "friend")] = UNSET
    description: Annotated[str | None, says("A note for people.", maxLength=500)] = None


class TranslationFields(Shape, frozen=True, kw_only=True):
    """The parts of a template in another language."""

    subject: Annotated[str | None, says("The subject. The default is the template's.", "ようこそ、{{ name }}様")] = None
    text: Annotated[str | None, says("The plain text. At least one of text and html is required.")] = None
    html: Annotated[str | None, says("The HTML.", "<p>{{ name }}様</p>")] = None


class TemplateRequest(Shape, frozen=True, kw_only=True):
    """The next version of a template, rendered for each message."""

    kind: Annotated[
        Literal["jinja2", "handlebars"] | None,
        says("The language of the sources; handlebars is that of SendGrid's dynamic templates. The default is jinja2."),
    ] = None
    locale: Annotated[str | None, says("The language of these parts, for formats of dates and numbers.", "en")] = None
    description: Annotated[str | None, says("A note for people.", "Sent to new customers.", maxLength=500)] = None
    subject: Annotated[str | None, says("The subject. A message's own subject replaces it.", "Welcome, {{ name }}")] = (
        None
    )
    text: Annotated[
        str | None, says("The plain text. At least one of text and html is required.", "Hello {{ name }}.")
    ] = None
    html: Annotated[
        str | None,
        says(
            f"The HTML. Values are escaped. The whole template may have at most {MAX_BYTES} bytes.",
            "<p>Hello {{ name }}.</p>",
        ),
    ] = None
    translations: Annotated[
        dict[str, TranslationFields] | None,
        says(
            "The parts in other languages, by locale. A message for `ja-JP` gets `ja-JP`, else `ja`, else the parts above."
        ),
    ] = None
    variables: Annotated[
        dict[str, VariableFields] | None,
        says(
            "The variables by name. A variable that a Jinja2 template uses and that is not listed here is required; in"
            " Handlebars it may be missing.",
            {"name": {"default": "friend"}},
        ),
    ] = None
    test_data: Annotated[dict[str, Any] | None, says("Variables for previews that give none.", {"name": "Ada"})] = None


class PreviewRequest(Shape, frozen=True, kw_only=True):
    """Values to preview a template with."""

    variables: Annotated[
        dict[str, Any] | None, says("The variables. The default is the template's test data.", {"name": "Ada"})
    ] = None
    locale: Annotated[str | None, says("The locale of a message.", "ja-JP")] = None
    version: Annotated[_Version | None, says("The version. The default is the newest.")] = None


class TemplateSummaryView(Struct, frozen=True, kw_only=True):
    """A template in a list."""

    name: Annotated[str, says("The template's name.")]
    version: Annotated[int, says("The newest version.")]
    created_at: Annotated[Time, says("When this version was created.")]


class TemplateListView(Struct, frozen=True, kw_only=True):
    """All templates."""

    value: Annotated[Sequence[TemplateSummaryView], says("The templates.")]


class TemplateVersionView(Struct, frozen=True, kw_only=True):
    """A version of a template."""

    version: Annotated[int, says("The version.")]
    created_at: Annotated[Time, says("When this version was created.")]


class TemplateVersionListView(Struct, frozen=True, kw_only=True):
    """The versions of a template, newest first."""

    value: Annotated[Sequence[TemplateVersionView], says("The versions.")]


class TemplateVariableView(Struct, frozen=True, kw_only=True):
    """A variable of a template."""

    required: Annotated[bool, says("Whether a message must give the variable.")]
    default: Annotated[Any, says("The value when a message gives none.")] | UnsetType = UNSET
    description: Annotated[str, says("A description of the variable.")] | UnsetType = UNSET


class TranslationView(Struct, frozen=True, kw_only=True):
    """The parts of a template in another language."""

    subject: Annotated[str, says("The source of the subject.")] | UnsetType = UNSET
    text: Annotated[str, says("The source of the plain text.")] | UnsetType = UNSET
    html: Annotated[str, says("The source of the HTML.")] | UnsetType = UNSET


class TemplateView(Struct, frozen=True, kw_only=True):
    """A version of a template with its sources."""

    name: Annotated[str, says("The template's name.")]
    version: Annotated[int, says("The version.")]
    created_at: Annotated[Time, says("When this version was created.")]
    kind: Annotated[Literal["jinja2", "handlebars"], says("The language of the sources.")]
    description: Annotated[str, says("A description of the template.")] | UnsetType = UNSET
    locale: Annotated[str, says("The language of these parts.")] | UnsetType = UNSET
    subject: Annotated[str, says("The source of the subject.")] | UnsetType = UNSET
    text: Annotated[str, says("The source of the plain text.")] | UnsetType = UNSET
    html: Annotated[str, says("The source of the HTML.")] | UnsetType = UNSET
    translations: Annotated[Mapping[str, TranslationView], says("The parts in other languages.")] | UnsetType = UNSET
    variables: Annotated[Mapping[str, TemplateVariableView], says("The variables, by name.")]
    test_data: Annotated[Mapping[str, Any], says("Variables for previews.")] | UnsetType = UNSET


class PreviewView(Struct, frozen=True, kw_only=True):
    """A template filled in with variables. Parts that the template does not have are left out."""

    name: Annotated[str, says("The template's name.")]
    version: Annotated[int, says("The version.")]
    subject: Annotated[str | None, says("The subject.")] | UnsetType = UNSET
    text: Annotated[str | None, says("The plain text.")] | UnsetType = UNSET
    html: Annotated[str | None, says("The HTML.")] | UnsetType = UNSET
    html_url: (
        Annotated[
            Uri | None,
            says(
                "A signed URL that shows the HTML with scripts blocked; null when the variables are too long for a URL."
            ),
        ]
        | UnsetType
    ) = UNSET
