"""Responses about a client's resources: uploads, templates, suppressions and webhooks."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import says
from relay.api.shapes.common import MessageName, NextLink, Time, Uri
from relay.events.webhooks.subscriptions import Format


class UploadView(Struct, frozen=True, kw_only=True):
    """An uploaded file."""

    id: Annotated[str, says("The upload's id, for attachments of messages.")]
    name: Annotated[str, says("The file name.")]
    type: Annotated[str, says("The media type.")]
    is_complete: Annotated[bool, says("Whether messages may name the upload.")]
    created_at: Annotated[Time, says("When the upload was created.")]
    expires_at: Annotated[Time, says("When Relay deletes the upload, unless a message uses it.")]
    size: Annotated[int, says("The size in bytes, once complete.")] | UnsetType = UNSET
    max_part_bytes: Annotated[int, says("The size limit of a part, until complete.")] | UnsetType = UNSET


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


class SuppressionView(Struct, frozen=True, kw_only=True):
    """An address that Relay does not send to."""

    email: Annotated[str, says("The address.")]
    reason: Annotated[str, says("Why the address is suppressed, such as bounced.")]
    for_all: Annotated[bool, says("Whether it applies to every client.")]
    at: Annotated[Time, says("When the address was suppressed.")]
    expires_at: Annotated[Time, says("When the suppression ends.")] | UnsetType = UNSET
    source: Annotated[str, says("The provider or route that reported it.")] | UnsetType = UNSET
    note: Annotated[str, says("A note for people.")] | UnsetType = UNSET


class SuppressionPageView(Struct, frozen=True, kw_only=True):
    """A page of suppressions."""

    value: Annotated[Sequence[SuppressionView], says("The suppressions.")]
    next_link: NextLink | UnsetType = UNSET


class SuppressionListView(Struct, frozen=True, kw_only=True):
    """The suppressions of one address."""

    value: Annotated[Sequence[SuppressionView], says("The suppressions.")]


class SuppressionsImportedView(Struct, frozen=True, kw_only=True):
    """The result of an import."""

    imported: Annotated[int, says("The number of addresses that were imported.")]


class TopicView(Struct, frozen=True, kw_only=True):
    """A topic that recipients can unsubscribe from."""

    name: Annotated[str, says("The topic's name.")]
    created_at: Annotated[Time, says("When the topic was created.")]
    titles: Annotated[Mapping[str, str], says("What the preference page calls it, by language.")]
    descriptions: Annotated[Mapping[str, str], says("A sentence for the preference page, by language.")]
    sendgrid_group_id: Annotated[int, says("SendGrid's unsubscribe group that means the same.")] | UnsetType = UNSET


class TopicListView(Struct, frozen=True, kw_only=True):
    """The topics of a client."""

    value: Annotated[Sequence[TopicView], says("The topics.")]


class SuppressionsSynchronizedView(Struct, frozen=True, kw_only=True):
    """The result of copying a provider's lists."""

    imported: Annotated[int, says("The number of addresses that were imported.")]
    removed: Annotated[
        int, says("The number of addresses that were removed because the provider no longer lists them.")
    ]
    is_complete: Annotated[bool, says("Whether the provider's lists were read to their end.")]


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook."""

    id: Annotated[str, says("The webhook's id.")]
    url: Annotated[str, says("The URL that events are posted to.")]
    events: Annotated[Sequence[str], says("The kinds of events that are posted; empty means all.")]
    format: Annotated[Format, says("The format of an event's body.")]
    note: Annotated[str, says("A note for people.")] | UnsetType = UNSET
    created_at: Annotated[Time, says("When the webhook was created.")]
    is_enabled: Annotated[bool, says("Whether events are posted.")]
    disabled_reason: Annotated[str, says("Why the webhook was disabled.")] | UnsetType = UNSET
    disabled_at: Annotated[Time, says("When the webhook was disabled.")] | UnsetType = UNSET
    failing_since: Annotated[Time, says("Since when every post has failed.")] | UnsetType = UNSET
    old_secret_until: (
        Annotated[Time, says("Until when posts are also signed with the previous secret.")] | UnsetType
    ) = UNSET
    secret: Annotated[str, says("The signing secret. Shown only when it was made.")] | UnsetType = UNSET


class WebhookListView(Struct, frozen=True, kw_only=True):
    """All webhooks of the caller."""

    value: Annotated[Sequence[WebhookView], says("The webhooks.")]


class WebhookDeliveryView(Struct, frozen=True, kw_only=True):
    """One attempt to post an event."""

    id: Annotated[str, says("The event's id.")]
    at: Annotated[Time, says("When the event was posted.")]
    attempt: Annotated[int, says("The number of the attempt.")]
    outcome: Annotated[
        str, says("The outcome: succeeded, failed (Relay retries), exhausted (last retry failed) or gone (410).")
    ]
    status: Annotated[int, says("The HTTP status of the receiver.")] | UnsetType = UNSET
    error: Annotated[str, says("Why no response arrived.")] | UnsetType = UNSET
    seconds: Annotated[float, says("How long the receiver took, in seconds.")]
    message: Annotated[MessageName, says("The id of the message.")] | UnsetType = UNSET


class WebhookDeliveryPageView(Struct, frozen=True, kw_only=True):
    """A page of attempts to post events, newest first."""

    value: Annotated[Sequence[WebhookDeliveryView], says("The attempts.")]
    next_link: NextLink | UnsetType = UNSET
