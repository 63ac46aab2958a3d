"""Upload files, whole or in parts, for use in messages."""

from relay.acceptance.draft import Limits
from relay.api.http import Response, json_response
from relay.api.problems import WHOLE, Problems
from relay.api.reading.attachments import check_file_name, guess_type, read_media_type
from relay.api.reading.body import check_body
from relay.api.services import Call
from relay.api.shapes.attachments import UploadView
from relay.api.shapes.base import given
from relay.api.text_checks import whole_number
from relay.clients import uploads
from relay.clients.uploads import Incomplete, TooLarge, Upload, WrongSize
from relay.core.errors import Changed, NotFound, Refusal

_LIMITS = Limits()
_NO_TYPES = ("", "application/x-www-form-urlencoded")
"""Types that say nothing about the file: curl sends the second with every `--data-binary`."""


async def create(call: Call) -> Response:
    """Handle POST /v1/attachments: store the body as a file, or with `parts=true` start an upload in parts."""
    check_body(call.request)
    name, type_, in_parts = _asked(call)
    if in_parts:
        upload = await call.services.uploads.begin(call.client.id, name, type_)
    elif not call.request.body:
        raise Refusal(400, "empty_body", "The request has no body; send the file, or parts=true to upload in parts.")
    else:
        try:
            upload = await call.services.uploads.store(call.client.id, name, type_, call.request.body)
        except TooLarge as error:
            raise _too_large() from error
    headers = {"Location": f"{call.base_url}/v1/attachments/{upload.id}"}
    return json_response(_view(upload), 201, headers)


async def put_part(call: Call) -> Response:
    """Handle PUT /v1/attachments/{id}/parts/{number}: the same number again replaces the part."""
    check_body(call.request)
    problems = Problems()
    number = whole_number(call.values["number"]) or 0
    if not 1 <= number <= uploads.MAX_PARTS:
        problems.add("out_of_range", "number", f"Parts are numbered from 1 to {uploads.MAX_PARTS}.")
    if not call.request.body:
        problems.add("required", WHOLE, "The request has no body; send the bytes of the part.")
    if len(call.request.body) > uploads.MAX_PART_BYTES:
        problems.add("too_large", WHOLE, f"A part has at most {uploads.MAX_PART_BYTES} bytes.")
    problems.raise_any()
    upload = await _upload(call)
    if upload.is_complete:
        raise Refusal(409, "attachment_complete", "This upload is complete; its parts can no longer change.")
    await call.services.uploads.put_part(upload, number, call.request.body)
    return Response(status=204)


async def complete(call: Call) -> Response:
    """Handle POST /v1/attachments/{id}/complete: join the parts."""
    size = _size(call)
    upload = await _upload(call)
    try:
        whole = await call.services.uploads.complete(upload, size)
    except TooLarge as error:
        raise _too_large() from error
    except WrongSize as error:
        text = f"The parts have {error.size} bytes together, and not {size}. Send what is missing, and complete again."
        raise Refusal(409, "attachment_incomplete", text) from error
    except Incomplete as error:
        text = f"There are {error.parts} parts, and part {error.missing} is missing. Upload it, and complete the upload again."
        raise Refusal(409, "attachment_incomplete", text) from error
    except Changed as error:
        raise Refusal(
            409,
            "attachment_complete",
            "Another request is completing this upload. Check it after Retry-After.",
            headers={"Retry-After": "1"},
        ) from error
    return json_response(_view(whole))


async def show(call: Call) -> Response:
    """Handle GET /v1/attachments/{id}."""
    return json_response(_view(await _upload(call)))


async def delete(call: Call) -> Response:
    """Handle DELETE /v1/attachments/{id}: 204 even if there is none."""
    try:
        upload = await _upload(call)
    except Refusal:
        return Response(status=204)
    try:
        if upload.is_used:
            raise Changed("a message has named it")
        await call.services.uploads.delete(upload)
    except Changed as error:
        text = "A message has named this file. Relay deletes it when no message needs it any more."
        raise Refusal(409, "attachment_in_use", text) from error
    return Response(status=204)


def _asked(call: Call) -> tuple[str, str, bool]:
    """Return the file's name, its type, and whether it comes in parts. Raises `Refusal` with every problem."""
    query = call.request.query
    problems = Problems()
    name = query.get("name", "")
    if not name:
        problems.add("required", "name", "Give the file's name in the address: /v1/attachments?name=invoice.pdf.")
    else:
        check_file_name(name, "name", problems, _LIMITS)
    given = query.get("type") or call.request.headers.get("content-type", "")
    type_ = guess_type(name) if given.lower() in _NO_TYPES else read_media_type(given, "type", problems)
    parts = query.get("parts", "false").lower()
    if parts not in ("true", "false"):
        problems.add("invalid_choice", "parts", "The value must be true or false.")
    if parts == "true" and call.request.body:
        problems.add("not_applicable", "parts", "With parts=true the body must be empty; send each part separately.")
    problems.raise_any()
    return name, type_, parts == "true"


def _size(call: Call) -> int | None:
    given = call.request.query.get("size")
    if given is None:
        return None
    size = whole_number(given)
    if size is None:
        problems = Problems()
        problems.add("invalid_value", "size", "The size is a whole number of bytes.")
        problems.raise_any()
    return size


async def _upload(call: Call) -> Upload:
    try:
        return await call.services.uploads.get(call.client.id, call.values["id"])
    except NotFound as error:
        text = "This client has no upload with this id, or it has expired."
        raise Refusal(404, "attachment_not_found", text) from error


def _too_large() -> Refusal:
    return Refusal(413, "message_too_large", f"The file is too large (limit {uploads.MAX_BYTES} bytes).")


def _view(upload: Upload) -> UploadView:
    return UploadView(
        id=upload.id,
        name=upload.name,
        type=upload.type,
        is_complete=upload.is_complete,
        created_at=upload.created_at,
        expires_at=upload.keep_until,
        size=given(upload.size if upload.is_complete else None),
        max_part_bytes=given(None if upload.is_complete else uploads.MAX_PART_BYTES),
    )
