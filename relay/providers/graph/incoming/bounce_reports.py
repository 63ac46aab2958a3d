"""Read the non-delivery reports in a mailbox, by which Exchange Online reports bounces, and the answers to Relay's mail.

A delta query over the Inbox (learn.microsoft.com/graph/delta-query-messages) returns what arrived since the last page, and a
link to continue. Graph expires old links (410). The query then restarts, and reports that were read before are recognized by
their keys. Needs the permission Mail.Read for the mailbox.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from relay.core.outcomes import Deferred, RouteFault
from relay.platform.log import log_event
from relay.providers.bearer import ExchangeResult
from relay.providers.contract import BounceReport, BounceReports, ReceivedAnswer
from relay.providers.graph.incoming import received_answers
from relay.providers.graph.incoming.report_origin import is_by_exchange
from relay.providers.graph.mailbox import Mailbox
from relay.providers.http_exchange import HttpResponse, LostResponse

_BEGIN = "/mailFolders/inbox/messages/delta?$select=id,from,subject,receivedDateTime"
_REPORTERS = re.compile(r"^(mailer-daemon|postmaster|microsoftexchange[0-9a-f]+|mail-daemon|bounces?)@", re.IGNORECASE)
"""Senders of reports: RFC 5321 section 4.5.5 (postmaster), Postfix and Gmail, Exchange Online."""


_OF_MAILBOX = frozenset((401, 403, 408, 429, 503, 509))
"""Statuses that do not depend on the message: access, throttling, maintenance."""


async def read(
    mailbox: Mailbox, cursor: str, answers_since: datetime | None = None
) -> BounceReports | RouteFault | Deferred:
    """Read one page. Downloads only messages from report senders, and answers to Relay's mail since a time, if given."""
    result = await mailbox.follow(cursor) if cursor else await mailbox.request("GET", _BEGIN)
    if result is None or (isinstance(result, HttpResponse) and result.status == 410):
        result = await mailbox.request("GET", _BEGIN)
    page = _page(result)
    if page is None:
        return _failure(mailbox, result)
    found: list[BounceReport | ReceivedAnswer] = []
    failed: list[HttpResponse] = []
    for item in filter(_is_message, _items(page)):
        mail = await _download(mailbox, item, answers_since)
        if isinstance(mail, BounceReport | ReceivedAnswer):
            found.append(mail)
        elif isinstance(mail, HttpResponse) and (400 <= mail.status < 600) and mail.status not in _OF_MAILBOX:
            failed.append(mail)
        elif mail is not None:
            return _failure(mailbox, mail)
    if failed and not found and any(mime.status >= 500 for mime in failed):
        return _failure(mailbox, failed[-1])
    # If other messages can be read, the message is at fault, and must not keep all later reports from being read.
    for mime in failed:
        log_event("report_skipped", level=logging.WARNING, status=mime.status)
    following, last = page.get("@odata.nextLink"), page.get("@odata.deltaLink")
    return BounceReports(
        found=tuple(each for each in found if isinstance(each, BounceReport)),
        cursor=str(following or last or ""),
        is_more=bool(following),
        answers=tuple(each for each in found if isinstance(each, ReceivedAnswer)),
    )


async def _download(
    mailbox: Mailbox, item: Mapping[str, Any], answers_since: datetime | None
) -> BounceReport | ReceivedAnswer | ExchangeResult | None:
    """Download a message if it is a report or an answer; None if it is not. Returns the response of a failed request."""
    if _is_by_reporter(item):
        mime = await mailbox.download(str(item["id"]))
        if isinstance(mime, HttpResponse) and mime.status == 200:
            return BounceReport(raw=mime.body, is_by_provider=is_by_exchange(mime.body))
        return mime
    if answers_since is None or (received_answers.received_at(item) or answers_since) < answers_since:
        return None
    return await received_answers.download(mailbox, item)


def _items(page: Mapping[str, Any]) -> Sequence[Any]:
    items = page.get("value")
    return items if isinstance(items, list) else ()


def _page(result: ExchangeResult) -> Mapping[str, Any] | None:
    found = result.decoded() if isinstance(result, HttpResponse) and result.status == 200 else None
    return found if isinstance(found, dict) else None


def _is_message(item: Any) -> bool:
    """Return whether an item of a page is a message that still exists. A removed one has only its id."""
    return isinstance(item, dict) and "@removed" not in item and bool(item.get("id"))


def _is_by_reporter(item: Mapping[str, Any]) -> bool:
    """Return whether a message in a page may be a report."""
    sender = item.get("from")
    named = sender.get("emailAddress") if isinstance(sender, dict) else None
    address = named.get("address") if isinstance(named, dict) else None
    # A report may have no sender, so such a message must be read.
    return not address or _REPORTERS.match(str(address)) is not None


def _failure(mailbox: Mailbox, result: ExchangeResult) -> RouteFault | Deferred:
    if isinstance(result, RouteFault | Deferred):
        return result
    if isinstance(result, LostResponse):
        return Deferred(code="unreachable", reply=result.reason)
    outcome = mailbox.outcome(result)
    if isinstance(outcome, RouteFault | Deferred):
        return outcome
    return Deferred(code="provider_unavailable", reply=outcome.reply)
