"""What a message says: its content as a mail, its source, its attachments, its html; to its client and to operators."""

from typing import Any
from urllib.parse import quote

from relay.api import mail_html
from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.api.text_checks import whole_number
from relay.clients.registry import Client
from relay.core.errors import Refusal
from relay.delivery.parcel import as_sent, parcel_of
from relay.mime import build, reader
from relay.mime.links import links_in

RETRY_AFTER_SECONDS = 2
_SAFE_TYPE = "application/octet-stream"


async def show(call: Call) -> Response:
    """GET /v1/messages/{id}/content: headers, text, html, and what is attached (its bytes: `…/attachments/{number}`)."""
    name = call.values["id"]
    reading = reader.read(await _mime(call, call.client))
    body: dict[str, Any] = {
        "id": name,
        "headers": [{"name": field, "value": value} for field, value in reading.headers],
        "text": reading.text,
        "html": reading.html,
        "html_url": None if reading.html is None else mail_html.link(call, f"/v1/messages/{name}/html"),
        "links": [] if reading.html is None else links_in(reading.html),
        "attachments": [
            {
                "name": file.name,
                "type": file.type,
                "disposition": file.disposition,
                "content_id": file.content_id,
                "size": len(file.content),
            }
            for file in reading.files
        ],
    }
    return json_response(body)


async def source(call: Call) -> Response:
    """GET /v1/messages/{id}/source: the message as RFC 5322 text, as Relay writes it; SendGrid and ACS write their own."""
    headers = {"Content-Type": "message/rfc822", "Content-Disposition": "attachment; filename=mail.eml"}
    return Response(headers=headers, body=await _mime(call, call.client))


async def attachment(call: Call) -> Response:
    """GET /v1/messages/{id}/attachments/{number}: the bytes of one, counted from 0 as `…/content` lists them.

    Always to be saved and never shown: what it is, only its sender says.
    """
    files = reader.read(await _mime(call, call.client)).files
    number = whole_number(call.values["number"])
    if number is None or number >= len(files):
        raise Refusal(404, "not_found", f"The message has {len(files)} attachments, counted from 0.")
    file = files[number]
    name = quote(file.name or f"attachment-{number}", safe="")
    headers = {"Content-Type": _SAFE_TYPE, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return Response(headers=headers, body=file.content)


async def html(call: Call) -> Response:
    """GET /v1/messages/{id}/html: the html as a page in which nothing can act, for who has the `html_url` of it."""
    return mail_html.page(reader.read(await _mime(call, await mail_html.holder(call))))


async def _mime(call: Call, client: Client) -> bytes:
    """The message's bytes, if this client may see it. Raises `Refusal` (404, 410)."""
    story = await call.services.status_reader.story(client, call.values["id"])
    if story.record is None or story.submission is None or story.status is None:
        raise Refusal(
            404,
            "content_not_found",
            "The message is on the queue still, and its content with it. Repeat the request after Retry-After.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )
    if story.status.erased is not None:
        raise Refusal(410, "message_erased", "The message was erased: its content is gone for good.")
    index = story.name.index
    message = as_sent(story.record, index, await call.services.content.whole(story.submission))
    if message is None:
        raise Refusal(404, "content_not_found", "The content of this message is gone.")
    return build.build(parcel_of(story.record, story.record.entry(), index, story.status.parts[0], message))
