"""Responses that show a mail: a message's content, and mail in the inbox."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from relay.api.shapes.common import MessageName, NextLink, Time, Uri


class HeaderView(Struct, frozen=True, kw_only=True):
    """A header field."""

    name: Annotated[str, Meta(description="The field's name.")]
    value: Annotated[str, Meta(description="The field's value, decoded.")]


class LinkView(Struct, frozen=True, kw_only=True):
    """A link of an HTML body."""

    text: Annotated[str, Meta(description="The link's text.")]
    href: Annotated[str, Meta(description="The link's target, as written.")]


class FileView(Struct, frozen=True, kw_only=True):
    """An attachment or inline image, without its bytes."""

    name: Annotated[str | None, Meta(description="The file name.")]
    type: Annotated[str, Meta(description="The media type.")]
    disposition: Annotated[str | None, Meta(description="The disposition: attachment or inline.")]
    content_id: Annotated[str | None, Meta(description="The content id, in angle brackets.")]
    size: Annotated[int, Meta(description="The size in bytes.")]


class WholeFileView(Struct, frozen=True, kw_only=True):
    """An attachment or inline image with its bytes."""

    name: Annotated[str | None, Meta(description="The file name.")]
    type: Annotated[str, Meta(description="The media type.")]
    disposition: Annotated[str | None, Meta(description="The disposition: attachment or inline.")]
    content_id: Annotated[str | None, Meta(description="The content id, in angle brackets.")]
    content: Annotated[bytes, Meta(description="The bytes, in base64.")]


class ContentView(Struct, frozen=True, kw_only=True):
    """A message's content, as a mail."""

    id: Annotated[MessageName, Meta(description="The message's id.")]
    headers: Annotated[Sequence[HeaderView], Meta(description="The header fields, in their order.")]
    text: Annotated[str | None, Meta(description="The plain text.")]
    html: Annotated[str | None, Meta(description="The HTML.")]
    html_url: Annotated[Uri | None, Meta(description="A signed URL that shows the HTML with scripts blocked.")]
    links: Annotated[Sequence[LinkView], Meta(description="The links of the HTML.")]
    attachments: Annotated[Sequence[FileView], Meta(description="The attachments and inline images.")]


class InboxMailSummaryView(Struct, frozen=True, kw_only=True):
    """A mail in the inbox, in a list."""

    name: Annotated[str, Meta(description="The mail's name.")]
    message: Annotated[MessageName, Meta(description="The id of the message.")]
    caught_at: Annotated[Time, Meta(description="When the route captured the mail.")]
    from_: Annotated[str, Meta(description="The sender.")] = field(name="from")
    to: Annotated[Sequence[str], Meta(description="The envelope's recipients.")]
    subject: Annotated[str, Meta(description="The subject.")]
    size: Annotated[int, Meta(description="The size in bytes.")]


class InboxPageView(Struct, frozen=True, kw_only=True):
    """A page of mails, newest first."""

    value: Annotated[Sequence[InboxMailSummaryView], Meta(description="The mails.")]
    next_link: NextLink | UnsetType = UNSET


class InboxMailView(InboxMailSummaryView, frozen=True, kw_only=True):
    """A mail in the inbox with its content."""

    headers: Annotated[Sequence[HeaderView], Meta(description="The header fields, in their order.")]
    text: Annotated[str | None, Meta(description="The plain text.")]
    html: Annotated[str | None, Meta(description="The HTML.")]
    html_url: Annotated[Uri | None, Meta(description="A signed URL that shows the HTML with scripts blocked.")]
    links: Annotated[Sequence[LinkView], Meta(description="The links of the HTML.")]
    attachments: Annotated[Sequence[WholeFileView], Meta(description="The attachments and inline images.")]


class InboxEmptiedView(Struct, frozen=True, kw_only=True):
    """The result of deleting mail from the inbox."""

    deleted: Annotated[int, Meta(description="The number of mails that were deleted.")]
