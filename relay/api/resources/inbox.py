"""Serve the mail that the capture route stored, also to tests of other projects."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import msgspec

from relay.api import mail_html
from relay.api.cursors import next_url
from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.base import given
from relay.api.shapes.content import (
    HeaderView,
    InboxEmptiedView,
    InboxMailSummaryView,
    InboxMailView,
    InboxPageView,
    LinkView,
    WholeFileView,
)
from relay.api.text_checks import whole_number
from relay.clients.keys import Role
from relay.clients.registry import Client
from relay.core.errors import NotFound, Refusal
from relay.mime import reader
from relay.providers.capture.inbox import CapturedMail

MAX_PAGE = 100
MAX_WAIT_SECONDS = 60
POLL_SECONDS = 0.5
_FILTERS = ("to", "from", "subject")


async def index(call: Call) -> Response:
    """Handle GET /v1/inbox."""
    wanted = _filter(call)
    limit = _number(call, "limit", 50, 1, MAX_PAGE)
    mails, cursor = await call.services.inbox.page(limit=limit, cursor=call.request.query.get("cursor"))
    link = next_url(call, "/v1/inbox", cursor, (*_FILTERS, "limit"))
    value = [_summary(mail) for mail in mails if wanted(mail)]
    return json_response(InboxPageView(value=value, next_link=given(link)))


async def wait(call: Call) -> Response:
    """Handle GET /v1/inbox/wait."""
    wanted = _filter(call)
    until = call.services.clock() + timedelta(seconds=_number(call, "timeout", 10, 0, MAX_WAIT_SECONDS))
    skipped: set[str] = set()
    while True:
        async for mail in call.services.inbox.all(but=skipped):
            if wanted(mail):
                return json_response(await _whole(call, mail))
            skipped.add(mail.name)
        if call.services.clock() >= until:
            raise Refusal(
                404, "mail_not_found", "No matching mail arrived in time. Use a longer `timeout` (limit 60 seconds)."
            )
        await call.services.sleep(POLL_SECONDS)


async def show(call: Call) -> Response:
    """Handle GET /v1/inbox/{name}."""
    return json_response(await _whole(call, await _mail(call)))


async def source(call: Call) -> Response:
    """Handle GET /v1/inbox/{name}/source."""
    mail = await _mail(call)
    headers = {"Content-Type": "message/rfc822", "Content-Disposition": "attachment; filename=mail.eml"}
    return Response(headers=headers, body=await call.services.inbox.mime(mail.name))


async def html(call: Call) -> Response:
    """Handle GET /v1/inbox/{name}/html, for holders of its signed URL."""
    client = await mail_html.holder(call)
    mail = await call.services.inbox.get(call.values["name"])
    if not _may_see(client, mail):
        raise NotFound("another client's mail")
    mime = await call.services.inbox.mime(mail.name)
    return await asyncio.to_thread(lambda: mail_html.page(reader.read(mime)))


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/inbox/{name}."""
    try:
        await call.services.inbox.delete((await _mail(call)).name)
    except NotFound:
        return Response(status=204)
    return Response(status=204)


async def empty(call: Call) -> Response:
    """Handle DELETE /v1/inbox."""
    wanted = _filter(call)
    names = [mail.name async for mail in call.services.inbox.all() if wanted(mail)]
    for name in names:
        await call.services.inbox.delete(name)
    return json_response(InboxEmptiedView(deleted=len(names)))


def _may_see(client: Client, mail: CapturedMail) -> bool:
    return client.role is Role.OPERATOR or mail.belongs_to(client.mac_key)


def _filter(call: Call) -> Callable[[CapturedMail], bool]:
    query = call.request.query
    to, sender, subject = (query.get(name, "").casefold() for name in _FILTERS)

    def wanted(mail: CapturedMail) -> bool:
        return (
            _may_see(call.client, mail)
            and (not to or any(to in recipient.casefold() for recipient in mail.recipients))
            and sender in mail.sender.casefold()
            and subject in mail.subject.casefold()
        )

    return wanted


async def _mail(call: Call) -> CapturedMail:
    mail = await call.services.inbox.get(call.values["name"])
    if not _may_see(call.client, mail):
        raise NotFound("another client's mail")
    return mail


async def _whole(call: Call, mail: CapturedMail) -> InboxMailView:
    reading = await asyncio.to_thread(reader.read, await call.services.inbox.mime(mail.name))
    return InboxMailView(
        **msgspec.structs.asdict(_summary(mail)),
        headers=[HeaderView(name=name, value=value) for name, value in reading.headers],
        text=reading.text,
        html=reading.html,
        html_url=None if reading.html is None else mail_html.link(call, f"/v1/inbox/{mail.name}/html"),
        links=[LinkView(text=link.text, href=link.href) for link in reading.links],
        attachments=[msgspec.convert(file, WholeFileView, from_attributes=True) for file in reading.files],
    )


def _summary(mail: CapturedMail) -> InboxMailSummaryView:
    return InboxMailSummaryView(
        name=mail.name,
        message=mail.message,
        caught_at=mail.caught_at,
        from_=mail.sender,
        to=mail.recipients,
        subject=mail.subject,
        size=mail.size,
    )


def _number(call: Call, name: str, default: int, minimum: int, maximum: int) -> int:
    text = call.request.query.get(name, str(default))
    number = whole_number(text)
    if number is None or not minimum <= number <= maximum:
        raise Refusal(400, "invalid_request", f"{name} is a whole number from {minimum} to {maximum}.", target=name)
    return number
