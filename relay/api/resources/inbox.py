"""The local inbox over HTTP, made to serve other projects' tests as their mail catcher."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from relay.api import mail_html
from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.api.text_checks import whole_number
from relay.clients.registry import Client, Role
from relay.core.errors import NotFound, Refusal
from relay.mime import reader
from relay.mime.links import links_in
from relay.providers.capture.inbox import CapturedMail

MAX_PAGE = 100
MAX_WAIT_SECONDS = 60
POLL_SECONDS = 0.5


async def index(call: Call) -> Response:
    """GET /v1/inbox: the caller's mails, newest first; `to`, `from` and `subject` (parts of them) filter."""
    wanted = _filter(call)
    limit = _number(call, "limit", 50, 1, MAX_PAGE)
    mails, cursor = await call.services.inbox.page(limit=limit, cursor=call.request.query.get("cursor"))
    body: dict[str, Any] = {"value": [_summary(mail) for mail in mails if wanted(mail)]}
    if cursor is not None:
        query = {**call.request.query, "cursor": cursor}
        body["next_link"] = f"{call.base_url}/v1/inbox?" + "&".join(
            f"{key}={quote(text)}" for key, text in query.items()
        )
    return json_response(body)


async def wait(call: Call) -> Response:
    """GET /v1/inbox/wait: the newest mail that the filters admit, as soon as there is one; 404 after `timeout` seconds."""
    wanted = _filter(call)
    until = call.services.clock() + timedelta(seconds=_number(call, "timeout", 10, 0, MAX_WAIT_SECONDS))
    passed_over: set[str] = set()
    while True:
        async for mail in call.services.inbox.all(but=passed_over):
            if wanted(mail):
                return json_response(await _whole(call, mail))
            passed_over.add(mail.name)
        if call.services.clock() >= until:
            raise Refusal(404, "mail_not_found", "No such mail came in time. `timeout` (60 at most) waits longer.")
        await call.services.sleep(POLL_SECONDS)


async def show(call: Call) -> Response:
    """GET /v1/inbox/{name}: a mail with its headers, text, html and attachments (base64)."""
    return json_response(await _whole(call, await _mail(call)))


async def source(call: Call) -> Response:
    """GET /v1/inbox/{name}/source: the mail as RFC 5322 text."""
    mail = await _mail(call)
    headers = {"Content-Type": "message/rfc822", "Content-Disposition": "attachment; filename=mail.eml"}
    return Response(headers=headers, body=await call.services.inbox.mime(mail.name))


async def html(call: Call) -> Response:
    """GET /v1/inbox/{name}/html: the mail's html as a page in which nothing can act, for who has the `html_url` of it."""
    client = await mail_html.holder(call)
    mail = await call.services.inbox.get(call.values["name"])
    if not _may_see(client, mail):
        raise NotFound("another client's mail")
    return mail_html.page(reader.read(await call.services.inbox.mime(mail.name)))


async def delete(call: Call) -> Response:
    """DELETE /v1/inbox/{name}: gone, also if it was gone before."""
    try:
        await call.services.inbox.delete((await _mail(call)).name)
    except NotFound:
        return Response(status=204)
    return Response(status=204)


async def empty(call: Call) -> Response:
    """DELETE /v1/inbox: delete the caller's mails; the filters of the list apply."""
    wanted = _filter(call)
    names = [mail.name async for mail in call.services.inbox.all() if wanted(mail)]
    for name in names:
        await call.services.inbox.delete(name)
    return json_response({"deleted": len(names)})


def _may_see(client: Client, mail: CapturedMail) -> bool:
    return client.role is Role.OPERATOR or mail.belongs_to(client.mac_key)


def _filter(call: Call) -> Callable[[CapturedMail], bool]:
    query = call.request.query
    to, sender, subject = (query.get(name, "").casefold() for name in ("to", "from", "subject"))

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


async def _whole(call: Call, mail: CapturedMail) -> dict[str, Any]:
    reading = reader.read(await call.services.inbox.mime(mail.name))
    return {
        **_summary(mail),
        "headers": [{"name": name, "value": value} for name, value in reading.headers],
        "text": reading.text,
        "html": reading.html,
        "html_url": None if reading.html is None else mail_html.link(call, f"/v1/inbox/{mail.name}/html"),
        "links": [] if reading.html is None else links_in(reading.html),
        "attachments": reading.files,
    }


def _summary(mail: CapturedMail) -> dict[str, Any]:
    return {
        "name": mail.name,
        "message": mail.message,
        "caught_at": mail.caught_at,
        "from": mail.sender,
        "to": list(mail.recipients),
        "subject": mail.subject,
        "size": mail.size,
    }


def _number(call: Call, name: str, default: int, minimum: int, maximum: int) -> int:
    text = call.request.query.get(name, str(default))
    number = whole_number(text)
    if number is None or not minimum <= number <= maximum:
        raise Refusal(400, "invalid_request", f"{name} is a whole number from {minimum} to {maximum}.", target=name)
    return number
