"""Find the answers to Relay's mail in a mailbox: read the ids that each message answers, and download only answers to Relay.

Exchange keeps In-Reply-To, References and the kind of item as properties of a message (MS-OXPROPS: PidTagInReplyToId 0x1042,
PidTagInternetReferences 0x1039, PidTagMessageClass 0x001A), which Graph returns when they are asked for
(learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get). Relay changes nothing in the mailbox.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from relay.core import ids
from relay.providers.bearer import ExchangeResult
from relay.providers.contract import MAX_ANSWER_BYTES, ReceivedAnswer
from relay.providers.graph.mailbox import Mailbox, message_path
from relay.providers.http_exchange import HttpResponse

_IN_REPLY_TO, _REFERENCES, _CLASS = 0x1042, 0x1039, 0x001A
_WANTED = " or ".join(f"id eq 'String 0x{number:04x}'" for number in (_IN_REPLY_TO, _REFERENCES, _CLASS))
_QUERY = "?$select=id&$expand=" + quote(f"singleValueExtendedProperties($filter={_WANTED})", safe="$()=',")


class _Property(msgspec.Struct, frozen=True):
    id: str
    value: str = ""


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    single_value_extended_properties: tuple[_Property, ...] = ()


def received_at(item: Mapping[str, Any]) -> datetime | None:
    """Return when a message in a page arrived; None if the page does not say."""
    try:
        found = msgspec.convert(item.get("receivedDateTime"), datetime)
    except msgspec.ValidationError:
        return None
    return found if found.tzinfo else None


async def download(mailbox: Mailbox, item: Mapping[str, Any]) -> ReceivedAnswer | ExchangeResult | None:
    """Download a message if it answers one of Relay's; None if it does not. Returns the response of a failed request."""
    message_id = str(item["id"])
    shown = await mailbox.request("GET", message_path(message_id) + _QUERY)
    if not isinstance(shown, HttpResponse) or shown.status != 200:
        return shown
    properties = _properties(shown)
    named = f"{properties.get(_IN_REPLY_TO, '')} {properties.get(_REFERENCES, '')}"
    if ids.IN_TEXT.search(named) is None:
        return None
    mime = await mailbox.download(message_id, MAX_ANSWER_BYTES)
    if not isinstance(mime, HttpResponse) or mime.status != 200:
        return mime
    return ReceivedAnswer(raw=mime.body, received_at=received_at(item), message_class=properties.get(_CLASS, ""))


def _properties(response: HttpResponse) -> Mapping[int, str]:
    """Return the values by number. Graph may write a number in another way than the query (`0x1a`)."""
    try:
        message = msgspec.convert(response.decoded(), _Message)
        return {int(each.id.rpartition(" ")[2], 16): each.value for each in message.single_value_extended_properties}
    except (msgspec.ValidationError, ValueError):
        return {}
