"""Responses that show a mail: a message's content, and mail in the inbox."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType, field

from relay.api.shapes.base import MessageName, NextLink, Time, Uri, says


class HeaderView(Struct, frozen=True, kw_only=True):
    """A header field."""

    name: Annotated[str, says("The field's name.")]
    value: Annotated[str, says("The field's value, decoded.")]


class LinkView(Struct, frozen=True, kw_only=True):
    """A link of an HTML body."""

    text: Annotated[str, says("The link's text.")]
    href: Annotated[str, says("The link's target, as written.")]


class FileView(Struct, frozen=True, kw_only=True):
    """An attachment or inline image, without its bytes."""

    name: Annotated[str | None, says("The file name.")]
    type: Annotated[str, says("The media type.")]
    disposition: Annotated[str | None, says("The disposition: attachment or inline.")]
    content_id: Annotated[str | None, says("The content id, in angle brackets.")]
    size: Annotated[int, says("The size in bytes.")]


class WholeFileView(Struct, frozen=True, kw_only=True):
    """An attachment or inline image with its bytes."""

    name: Annotated[str | None, says("The file name.")]
    type: Annotated[str, says("The media type.")]
    disposition: Annotated[str | None, says("The disposition: attachment or inline.")]
    content_id: Annotated[str | None, says("The content id, in angle brackets.")]
    content: Annotated[bytes, says("The bytes, in base64.")]


class ContentView(Struct, frozen=True, kw_only=True):
    """A message's content, as a mail."""

    id: Annotated[MessageName, says("The message's id.")]
    headers: Annotated[Sequence[HeaderView], says("The header fields, in their order.")]
    text: Annotated[str | None, says("The plain text.")]
    html: Annotated[str | None, says("The HTML.")]
    html_url: Annotated[Uri | None, says("A signed URL that shows the HTML with scripts blocked.")]
    links: Annotated[Sequence[LinkView], says("The links of the HTML.")]
    attachments: Annotated[Sequence[FileView], says("The attachments and inline images.")]


class InboxMailSummaryView(Struct, frozen=True, kw_only=True):
    """A mail in the inbox, in a list."""

    name: Annotated[str, says("The mail's name.")]
    message: Annotated[MessageName, says("The id of the message.")]
    caught_at: Annotated[Time, says("When the route captured the mail.")]
    from_: Annotated[str, says("The sender.")] = field(name="from")
    to: Annotated[Sequence[str], says("The envelope's recipients.")]
    subject: Annotated[str, says("The subject.")]
    size: Annotated[int, says("The size in bytes.")]


class InboxPageView(Struct, frozen=True, kw_only=True):
    """A page of mails, newest first."""

    value: Annotated[Sequence[InboxMailSummaryView], says("The mails.")]
    next_link: NextLink | UnsetType = UNSET


class InboxMailView(InboxMailSummaryView, frozen=True, kw_only=True):
    """A mail in the inbox with its content."""

    headers: Annotated[Sequence[HeaderView], says("The header fields, in their order.")]
    text: Annotated[str | None, says("The plain text.")]
    html: Annotated[str | None, says("The HTML.")]
    html_url: Annotated[Uri | None, says("A signed URL that shows the HTML with scripts blocked.")]
    links: Annotated[Sequence[LinkView], says("The links of the HTML.")]
    attachments: Annotated[Sequence[WholeFileView], says("The attachments and inline images.")]


class InboxEmptiedView(Struct, frozen=True, kw_only=True):
    """The result of deleting mail from the inbox."""

    deleted: Annotated[int, says("The number of mails that were deleted.")]
