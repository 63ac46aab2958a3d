"""A first look at a request that costs nearly nothing: whether names and JSON types are those of `relay.api.shapes.requests`.

Pydantic, which tells what is wrong with all of a request, takes 75 ms to import with its models: a fifth of a cold start,
and a request that is right need not pay it. What does not fit here goes to `relay.api.reading.shape`, which decides. The two are
held to the same answers by a test.
"""

from typing import Any, Literal

import msgspec


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown names are errors, as everywhere in the API."""


class _Address(_Strict, frozen=True):
    email: str
    name: str | None = None


class _LogicAppsFile(_Strict, frozen=True):
    content: str = msgspec.field(name="$content")
    content_type: str | None = msgspec.field(name="$content-type", default=None)


class _Attachment(_Strict, frozen=True):
    name: str | None = None
    content: str | _LogicAppsFile | None = None
    id: str | None = None
    type: str | None = None
    disposition: Literal["attachment", "inline"] | None = None
    content_id: str | None = None


type _Mailbox = str | _Address
type _Mailboxes = str | _Address | list[_Mailbox]


class _Message(_Strict, frozen=True):
    from_: _Mailbox = msgspec.field(name="from")
    to: _Mailboxes | None = None
    cc: _Mailboxes | None = None
    bcc: _Mailboxes | None = None
    reply_to: _Mailboxes | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] | None = None
    attachments: list[_Attachment] | None = None
    tags: list[str] | None = None
    metadata: dict[str, str] | None = None
    lane: str | None = None
    expires_in_seconds: int | None = None
    delivery: Literal["at_least_once", "at_most_once"] | None = None
    send_at: str | int | None = None
    route: str | None = None
    return_path: str | None = None
    options: dict[str, dict[str, Any]] | None = None
    template: str | None = None
    variables: dict[str, Any] | None = None
    dry_run: bool | None = None


def fits_message(value: object) -> bool:
    """Whether this JSON value has the shape of `relay.api.shapes.requests.MessageRequest`."""
    try:
        msgspec.convert(value, _Message, strict=True)
    except msgspec.ValidationError:
        return False
    return True
