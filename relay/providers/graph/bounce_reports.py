"""The non-delivery reports in a mailbox: Exchange Online tells of what bounced only there.

A round over the Inbox by delta query (learn.microsoft.com/graph/delta-query-messages): each page is what came since the
last, and a link to go on from. Graph forgets old links (410); the round then begins anew, and reports that were
read before are known by their keys. Needs the permission Mail.Read for the mailbox.
"""

import re
from collections.abc import Mapping
from typing import Any

from relay.core.outcomes import Deferred, RouteFault
from relay.providers.bearer import Reply
from relay.providers.contract import Reports
from relay.providers.graph.mailbox import Mailbox, message_path
from relay.providers.http_exchange import Answer, LostResponse

_BEGIN = "/mailFolders/inbox/messages/delta?$select=id,from,subject"
_REPORTERS = re.compile(r"^(mailer-daemon|postmaster|microsoftexchange[0-9a-f]+|mail-daemon|bounces?)@", re.IGNORECASE)
"""Local parts that reports come from: RFC 5321 section 4.5.5 (postmaster), Postfix and Gmail, Exchange Online."""


async def read(mailbox: Mailbox, cursor: str) -> Reports | RouteFault | Deferred:
    """One page. What is no report is not looked into."""
    reply = await mailbox.follow(cursor) if cursor else await mailbox.ask("GET", _BEGIN)
    if reply is None or (isinstance(reply, Answer) and reply.status == 410):
        reply = await mailbox.ask("GET", _BEGIN)
    page = _page(reply)
    if page is None:
        return _failure(mailbox, reply)
    found: list[bytes] = []
    for item in page.get("value", ()):
        if _is_by_reporter(item):
            mime = await mailbox.ask("GET", f"{message_path(str(item['id']))}/$value")
            if isinstance(mime, Answer) and mime.status == 200:
                found.append(mime.body)
            elif not (isinstance(mime, Answer) and mime.status == 404):
                # Deleted meanwhile is one thing; what could not be read must be read again.
                return _failure(mailbox, mime)
    following, last = page.get("@odata.nextLink"), page.get("@odata.deltaLink")
    return Reports(found=tuple(found), cursor=str(following or last or ""), is_more=bool(following))


def _page(reply: Reply) -> Mapping[str, Any] | None:
    found = reply.decoded() if isinstance(reply, Answer) and reply.status == 200 else None
    return found if isinstance(found, dict) else None


def _is_by_reporter(item: Any) -> bool:
    """Whether a message in a page may be a report. One that was removed has only its id."""
    if not isinstance(item, dict) or "@removed" in item or not item.get("id"):
        return False
    sender = item.get("from")
    address = sender.get("emailAddress", {}).get("address") if isinstance(sender, dict) else None
    # A report may come without any sender: then it has to be looked at.
    return not address or _REPORTERS.match(str(address)) is not None


def _failure(mailbox: Mailbox, reply: Reply) -> RouteFault | Deferred:
    if isinstance(reply, RouteFault | Deferred):
        return reply
    if isinstance(reply, LostResponse):
        return Deferred(code="unreachable", reply=reply.reason)
    outcome = mailbox.outcome(reply)
    if isinstance(outcome, RouteFault | Deferred):
        return outcome
    return Deferred(code="provider_unavailable", reply=outcome.reply)
