"""Suppressions and topics: requests and responses."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType

from relay.api.shapes.base import Lifetime, NextLink, Shape, Time, says

Reason = Literal["bounced", "complained", "unsubscribed", "manual", "provider"]


class SuppressionFields(Shape, frozen=True, kw_only=True):
    """An address to which Relay must not send."""

    email: Annotated[str, says("The address.", "ada@example.org")]
    reason: Annotated[Reason | None, says("The reason. The default is `manual`.", "unsubscribed")] = None
    expires_in_seconds: Annotated[
        Lifetime | None, says("How long the suppression lasts. The default depends on the reason.", 2_592_000)
    ] = None
    note: Annotated[
        str | None, says("A note for people, such as who requested it.", "asked by telephone", maxLength=500)
    ] = None


_Client = Annotated[str | None, says("Operators only: the client whose list to use.", "shop")]
_ForAll = Annotated[bool | None, says("Operators only: use the list that applies to all clients.")]


class SuppressionRequest(SuppressionFields, frozen=True, kw_only=True):
    """An address to add to a suppression list: the caller's own, or the one that an operator chooses."""

    client: _Client = None
    for_all: _ForAll = None


class SuppressionImport(Shape, frozen=True, kw_only=True):
    """Many addresses to add to one suppression list."""

    value: Annotated[
        list[SuppressionFields],
        says("The addresses.", [{"email": "ada@example.org", "reason": "unsubscribed"}], minItems=1, maxItems=10_000),
    ]
    client: _Client = None
    for_all: _ForAll = None


class TopicRequest(Shape, frozen=True, kw_only=True):
    """A topic that recipients can unsubscribe from."""

    titles: Annotated[
        dict[str, str] | None,
        says(
            "The title on the preference page, by language. Without a title the page shows the name.",
            {"en": "News", "ja": "お知らせ"},
        ),
    ] = None
    descriptions: Annotated[
        dict[str, str] | None,
        says("A sentence for the preference page, by language.", {"en": "What is new in our shop, once a month."}),
    ] = None
    sendgrid_group_id: Annotated[
        int | None,
        says("SendGrid's unsubscribe group for this topic: `asm.group_id` in requests and events.", 12, minimum=1),
    ] = None


class TopicSuppressionRequest(SuppressionFields, frozen=True, kw_only=True):
    """An address that gets no mail about a topic."""


class TopicSuppressionImport(Shape, frozen=True, kw_only=True):
    """Many addresses that get no mail about a topic."""

    value: Annotated[
        list[SuppressionFields],
        says("The addresses.", [{"email": "ada@example.org", "reason": "unsubscribed"}], minItems=1, maxItems=10_000),
    ]


class SyncRequest(Shape, frozen=True, kw_only=True):
    """The route whose provider's suppression lists to import."""

    route: Annotated[str, says("A route whose provider keeps suppression lists: SendGrid.", "sendgrid")]


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


class SuppressionsSynchronizedView(Struct, frozen=True, kw_only=True):
    """The result of copying a provider's lists."""

    imported: Annotated[int, says("The number of addresses that were imported.")]
    removed: Annotated[
        int, says("The number of addresses that were removed because the provider no longer lists them.")
    ]
    is_complete: Annotated[bool, says("Whether the provider's lists were read to their end.")]


class TopicView(Struct, frozen=True, kw_only=True):
    """A topic that recipients can unsubscribe from."""

    name: Annotated[str, says("The topic's name.")]
    created_at: Annotated[Time, says("When the topic was created.")]
    titles: Annotated[Mapping[str, str], says("The title on the preference page, by language.")]
    descriptions: Annotated[Mapping[str, str], says("A sentence for the preference page, by language.")]
    sendgrid_group_id: Annotated[int, says("SendGrid's unsubscribe group for this topic.")] | UnsetType = UNSET


class TopicListView(Struct, frozen=True, kw_only=True):
    """The topics of a client."""

    value: Annotated[Sequence[TopicView], says("The topics.")]
