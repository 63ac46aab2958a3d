"""Find the copies of an attempt in its mailbox, drafts and sent mail, by the header with the attempt id.

Exchange keeps header fields as named properties of the set PS_INTERNET_HEADERS, by which messages can be filtered
(learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get, MS-OXPROPS section 1.3.2).
"""

from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec

from relay.core.outcomes import Deferred, Outcome, Sent, Unknown
from relay.providers.graph.body import RELAY_ATTEMPT
from relay.providers.graph.mailbox import Mailbox, message_path
from relay.providers.http_exchange import HttpResponse

_HEADERS = "{00020386-0000-0000-C000-000000000046}"
_PROPERTY = f"String {_HEADERS} Name {RELAY_ATTEMPT}"
_WANTED = "id,isDraft,parentFolderId"


class Copy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message in the mailbox. If it is not a draft, it was sent, or came back to its sender."""

    id: str
    is_draft: bool
    parent_folder_id: str = ""


class _Page(msgspec.Struct, frozen=True):
    value: tuple[Copy, ...]


class LookupFailed(msgspec.Struct, frozen=True, kw_only=True):
    """The mailbox could not be searched. `reply` says why."""

    reply: str


async def verify(mailbox: Mailbox, attempt_id: str, draft: str | None) -> Outcome:
    """Find out the outcome of an attempt whose response was lost.

    A copy that is not a draft proves that it was sent. A draft in Drafts proves the opposite once it is deleted, because then
    nothing can send it. A draft in another folder may be in transit. No copy proves nothing: Sent Items fills with a delay,
    and saving to it may be off.
    """
    found = await _known(mailbox, draft) if draft else ()
    if not isinstance(found, LookupFailed) and not found:
        found = await find(mailbox, attempt_id)
    if isinstance(found, LookupFailed):
        return Unknown(code="response_lost", reply=found.reply, provider_id=draft)
    sent = next((copy for copy in found if not copy.is_draft), None)
    if sent is not None:
        return Sent(provider_id=sent.id, reply="a copy is in the mailbox")
    if not found:
        return Unknown(code="response_lost", reply="no copy is in the mailbox", provider_id=draft)
    drafts = await _drafts_folder(mailbox)
    if any(copy.parent_folder_id != drafts for copy in found):
        return Unknown(code="response_lost", reply="a draft is outside Drafts", provider_id=draft)
    if all([await _delete(mailbox, copy) for copy in found]):
        return Deferred(code="provider_unavailable", reply="it was still a draft")
    return Unknown(code="response_lost", reply="a draft could not be deleted", provider_id=draft)


async def discard(mailbox: Mailbox, attempt_id: str) -> None:
    """Delete the drafts of an attempt that are found. Failures are ignored, since leftover drafts are harmless."""
    found = await find(mailbox, attempt_id)
    for copy in () if isinstance(found, LookupFailed) else found:
        if copy.is_draft:
            await _delete(mailbox, copy)


async def find(mailbox: Mailbox, attempt_id: str) -> Sequence[Copy] | LookupFailed:
    """Find the copies of an attempt in all folders. Needs Mail.ReadWrite."""
    test = f"singleValueExtendedProperties/Any(ep: ep/id eq '{_PROPERTY}' and ep/value eq '{attempt_id}')"
    query = urlencode({"$filter": test, "$select": _WANTED}, quote_via=quote, safe="$,")
    result = await mailbox.request("GET", f"/messages?{query}")
    if not isinstance(result, HttpResponse) or result.status != 200:
        return _unanswered(result)
    try:
        return msgspec.json.decode(result.body, type=_Page).value
    except msgspec.MsgspecError:
        return _unanswered(result)


async def _known(mailbox: Mailbox, draft: str) -> Sequence[Copy] | LookupFailed:
    """Find the draft by its id, in any folder. Empty if it no longer exists."""
    result = await mailbox.request("GET", f"{message_path(draft)}?$select={_WANTED}")
    if isinstance(result, HttpResponse) and result.status == 404:
        return ()
    if not isinstance(result, HttpResponse) or result.status != 200:
        return _unanswered(result)
    try:
        return (msgspec.json.decode(result.body, type=Copy),)
    except msgspec.MsgspecError:
        return _unanswered(result)


async def _drafts_folder(mailbox: Mailbox) -> str | None:
    """Return the id of the Drafts folder. None if the request fails; no message is in folder None."""
    result = await mailbox.request("GET", "/mailFolders/drafts?$select=id")
    decoded = result.decoded() if isinstance(result, HttpResponse) and result.status == 200 else None
    return decoded.get("id") if isinstance(decoded, dict) else None


async def _delete(mailbox: Mailbox, copy: Copy) -> bool:
    result = await mailbox.request("DELETE", message_path(copy.id))
    return isinstance(result, HttpResponse) and result.status == 204


def _unanswered(result: object) -> LookupFailed:
    return LookupFailed(reply=str(getattr(result, "reply", "") or getattr(result, "reason", "")))
