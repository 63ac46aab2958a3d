"""Show a message's content: as a mail, as source, its attachments, its HTML. For its client and operators."""

import asyncio
from functools import partial
from urllib.parse import quote

from relay.api import mail_html
from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.content import ContentView, FileView, HeaderView, LinkView
from relay.api.text_checks import whole_number
from relay.clients.registry import Client
from relay.core.errors import Refusal
from relay.delivery.send_request import as_sent, send_request_of
from relay.mime import build, reader
from relay.platform.concurrency import run_sized

RETRY_AFTER_SECONDS = 2
_SAFE_TYPE = "application/octet-stream"


async def show(call: Call) -> Response:
    """Handle GET /v1/messages/{id}/content."""
    name = call.values["id"]
    reading = await asyncio.to_thread(reader.read, await _mime(call, call.client))
    view = ContentView(
        id=name,
        headers=[HeaderView(name=field, value=value) for field, value in reading.headers],
        text=reading.text,
        html=reading.html,
        html_url=None if reading.html is None else mail_html.link(call, f"/v1/messages/{name}/html"),
        links=[LinkView(text=link.text, href=link.href) for link in reading.links],
        attachments=[_file(file) for file in reading.files],
    )
    return json_response(view)


async def source(call: Call) -> Response:
    """Handle GET /v1/messages/{id}/source."""
    headers = {"Content-Type": "message/rfc822", "Content-Disposition": "attachment; filename=mail.eml"}
    return Response(headers=headers, body=await _mime(call, call.client))


async def attachment(call: Call) -> Response:
    """Handle GET /v1/messages/{id}/attachments/{number}.

    Browsers must save the file and never show it, because its media type is only the sender's claim.
    """
    files = (await asyncio.to_thread(reader.read, await _mime(call, call.client))).files
    number = whole_number(call.values["number"])
    if number is None or number >= len(files):
        raise Refusal(404, "not_found", f"The message has {len(files)} attachments, counted from 0.")
    file = files[number]
    name = quote(file.name or f"attachment-{number}", safe="")
    headers = {"Content-Type": _SAFE_TYPE, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(headers=headers, body=file.content)


async def html(call: Call) -> Response:
    """Handle GET /v1/messages/{id}/html, for holders of its signed URL."""
    mime = await _mime(call, await mail_html.holder(call))
    return await asyncio.to_thread(lambda: mail_html.page(reader.read(mime)))


def _file(file: reader.File) -> FileView:
    return FileView(
        name=file.name,
        type=file.type,
        disposition=file.disposition,
        content_id=file.content_id,
        size=len(file.content),
    )


async def _mime(call: Call, client: Client) -> bytes:
    """Build the message's bytes, if this client may see it. Raises `Refusal` (404, 410)."""
    history = await call.services.status_reader.history(client, call.values["id"])
    history.check_readable()
    if history.record is None or history.submission is None or history.status is None:
        raise Refusal(
            404,
            "content_not_found",
            "The message is still queued, and its content with it. Repeat the request after Retry-After.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    if history.status.erased is not None:
        raise Refusal(410, "message_erased", "The message was erased: its content cannot be recovered.")
    index = history.name.index
    message = as_sent(history.record, index, await call.services.content.whole(history.submission))
    if message is None:
        raise Refusal(404, "content_not_found", "The content of this message was purged.")
    request = send_request_of(history.record, history.record.entry(), index, history.status.parts[0], message)
    return await run_sized(partial(build.build, request), message.building_size)
