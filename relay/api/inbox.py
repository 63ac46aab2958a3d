"""The local inbox over HTTP, made to serve other projects' tests as their mail catcher."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import MIMEPart
from email.policy import default as mail_policy
from typing import Any
from urllib.parse import quote

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.clients import Client, Role
from relay.errors import NotFound, Refusal
from relay.inbox import Caught

MAX_PAGE = 100
MAX_WAIT_SECONDS = 60
POLL_SECONDS = 0.5


async def index(call: Call) -> Response:
    """GET /v1/inbox: the caller's mails, newest first; `to`, `from` and `subject` (parts of them) filter."""
    wanted = _filter(call)
    most = _number(call, "limit", 50, 1, MAX_PAGE)
    mails, cursor = await call.relay.inbox.page(most=most, cursor=call.request.query.get("cursor"))
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
    until = call.relay.clock() + timedelta(seconds=_number(call, "timeout", 10, 0, MAX_WAIT_SECONDS))
    passed_over: set[str] = set()
    while True:
        async for mail in call.relay.inbox.all(but=passed_over):
            if wanted(mail):
                return json_response(await _whole(call, mail))
            passed_over.add(mail.name)
        if call.relay.clock() >= until:
            raise Refusal(404, "mail_not_found", "No such mail came in time. `timeout` (60 at most) waits longer.")
        await call.relay.sleep(POLL_SECONDS)


async def show(call: Call) -> Response:
    """GET /v1/inbox/{name}: a mail with its headers, text, html and attachments (base64)."""
    return json_response(await _whole(call, await _mail(call)))


async def source(call: Call) -> Response:
    """GET /v1/inbox/{name}/source: the mail as RFC 5322 text."""
    mail = await _mail(call)
    headers = {"Content-Type": "message/rfc822", "Content-Disposition": "attachment; filename=mail.eml"}
    return Response(headers=headers, body=await call.relay.inbox.mime(mail.name))


async def delete(call: Call) -> Response:
    """DELETE /v1/inbox/{name}: gone, also if it was gone before."""
    try:
        await call.relay.inbox.delete((await _mail(call)).name)
    except NotFound:
        return Response(status=204)
    return Response(status=204)


async def empty(call: Call) -> Response:
    """DELETE /v1/inbox: delete the caller's mails; the filters of the list apply."""
    wanted = _filter(call)
    names = [mail.name async for mail in call.relay.inbox.all() if wanted(mail)]
    for name in names:
        await call.relay.inbox.delete(name)
    return json_response({"deleted": len(names)})


def _may_see(client: Client, mail: Caught) -> bool:
    return client.role is Role.OPERATOR or mail.belongs_to(client.mac_key)


def _filter(call: Call) -> Callable[[Caught], bool]:
    query = call.request.query
    to, sender, subject = (query.get(name, "").casefold() for name in ("to", "from", "subject"))

    def wanted(mail: Caught) -> bool:
        return (
            _may_see(call.client, mail)
            and (not to or any(to in recipient.casefold() for recipient in mail.recipients))
            and sender in mail.sender.casefold()
            and subject in mail.subject.casefold()
        )

    return wanted


async def _mail(call: Call) -> Caught:
    mail = await call.relay.inbox.get(call.values["name"])
    if not _may_see(call.client, mail):
        raise NotFound("another client's mail")
    return mail


async def _whole(call: Call, mail: Caught) -> dict[str, Any]:
    parsed = message_from_bytes(await call.relay.inbox.mime(mail.name), policy=mail_policy)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    return {
        **_summary(mail),
        "headers": [{"name": _shown(name), "value": _shown(str(value))} for name, value in parsed.items()],
        "text": None if text is None else _text(text),
        "html": None if html is None else _text(html),
        "attachments": [_file(part) for part in _leaves(parsed) if part is not text and part is not html],
    }


def _leaves(part: MIMEPart) -> Iterator[MIMEPart]:
    """The parts that have a content of their own; a message within the message is one of them."""
    if part.get_content_maintype() != "multipart":
        yield part
        return
    for inner in part.iter_parts():
        yield from _leaves(inner)


def _text(part: MIMEPart) -> str:
    """A part's text; what its charset does not explain becomes U+FFFD."""
    content = _content(part)
    try:
        return content.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return content.decode("latin-1")


def _content(part: MIMEPart) -> bytes:
    if part.is_multipart():  # message/rfc822: what it holds is a message again
        return b"".join(inner.as_bytes() for inner in part.iter_parts())
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""


def _shown(text: str) -> str:
    """Text that JSON can carry: bytes that were no ASCII in a header become `?`."""
    return text.encode("utf-8", "replace").decode()


def _file(part: MIMEPart) -> dict[str, Any]:
    name, content_id = part.get_filename(), part.get("Content-ID")
    return {
        "name": None if name is None else _shown(name),
        "type": part.get_content_type(),
        "disposition": part.get_content_disposition(),
        "content_id": None if content_id is None else _shown(str(content_id)),
        "content": _content(part),
    }


def _summary(mail: Caught) -> dict[str, Any]:
    return {
        "name": mail.name,
        "message": mail.message,
        "caught_at": mail.caught_at,
        "from": mail.sender,
        "to": list(mail.recipients),
        "subject": mail.subject,
        "size": mail.size,
    }


def _number(call: Call, name: str, default: int, least: int, most: int) -> int:
    text = call.request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise Refusal(400, "invalid_request", f"{name} is a whole number from {least} to {most}.", target=name)
    return int(text)
