"""Build the body of an error response, and list every error code. A test compares docs/errors.md with `CODES`."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from relay.core.errors import NewerVersion, NotFound, Refusal, StorageError, Unavailable, UnreadableEntry

HELP = "docs/errors.md#"
"""The address of an explanation; the code is appended."""

CODES = {
    # the caller and the address
    "unauthenticated": "The request has no valid key: it is missing, unknown, removed or expired.",
    "address_not_allowed": "The client may not call from this IP address.",
    "operators_only": "Clients may not do this: it needs an operator, or another role that the message names.",
    "role_not_allowed": "The role of the caller may not do this; the message names the roles that may.",
    "no_role": "The person who signed in with Microsoft Entra has no role in Relay.",
    "too_many_groups": "The person is in more groups than a token of Microsoft Entra lists, and has no app role of Relay.",
    "cross_site": "Cross-site request blocked (CSRF protection).",
    "not_found": "Nothing exists at this address, or it was purged.",
    "method_not_allowed": "This address does not support the method; `Allow` lists the methods it supports.",
    "message_not_found": "This client has no message with this id, or the message was purged.",
    "unreadable": "The stored data cannot be read: it is damaged, or a newer version of Relay wrote it.",
    "content_not_found": "The content is not available: the message is still queued, or its content was purged.",
    "message_erased": "The message was erased: its content cannot be read and it cannot be redriven.",
    "link_not_valid": "The link has expired, or its signature is not valid for this address.",
    "mail_not_found": "No matching mail arrived in the inbox before the timeout.",
    "attachment_not_found": "This client has no upload with this id, or the upload was deleted.",
    "template_not_found": "No template has this name, or it has no such version.",
    "not_configured": "Relay does not accept these events: the setting named in the message is empty.",
    "bad_signature": "The sender of the events could not be verified: the signature, timestamp or secret is wrong.",
    # the request as a whole
    "invalid_request": "One or more fields are invalid; `details` lists each of them.",
    "malformed_json": "The body is not valid JSON; the message gives the line and column.",
    "unsupported_media_type": "This address does not accept the request's Content-Type.",
    "no_message_accepted": "No message of the batch was accepted; each has its own error in `value`.",
    "empty_body": "The request has no body.",
    "length_required": "The body was sent in chunks without a Content-Length, so it did not reach Relay.",
    "message_too_large": "The message, or the request body, is larger than the limit.",
    # a field
    "required": "A required field is missing or empty.",
    "unknown_field": "The field does not exist; the message suggests the nearest name.",
    "duplicate_key": "A JSON object contains the same name twice.",
    "wrong_type": "The value has the wrong JSON type for this field.",
    "invalid_choice": "The value is not one of the allowed values.",
    "invalid_text": "The text contains a character that is not allowed there, such as a line break in a header.",
    "invalid_value": "The value does not have the form that the field requires.",
    "too_long": "The text exceeds the field's limit of characters or bytes.",
    "too_many": "There are more elements than the field allows.",
    "too_deep": "Objects or lists are nested too deeply.",
    "too_large": "The value exceeds the field's limit of bytes.",
    "out_of_range": "The number or time is outside the allowed range.",
    "not_applicable": "The field cannot be combined with the other fields.",
    "too_many_problems": "There are more problems than one response lists.",
    # addresses
    "invalid_address": "The text is not a valid email address; the message says why.",
    "no_recipients": "The message has no recipient in to, cc or bcc.",
    "too_many_recipients": "to, cc and bcc together have more recipients than one message may have.",
    "duplicate_recipient": "The same recipient is listed twice; the message says where.",
    # content
    "no_content": "The message has no text, html or template.",
    "invalid_header_name": "The name is not a valid header name (RFC 5322).",
    "forbidden_header": "A caller may not set this header; the message says why and what to use instead.",
    "duplicate_header": "The header is set twice; header names are case-insensitive.",
    "invalid_base64": "The content is not valid base64; the message says where it becomes invalid.",
    "invalid_file_name": "The attachment's name contains a path separator or another character that is not allowed.",
    "ambiguous_part": "Mail programs read a part of the message differently; the message names the part and the field.",
    "invalid_media_type": "The media type does not have the form type/subtype.",
    "invalid_content_id": "The content id contains characters that a `cid:` link cannot have, or is used twice.",
    "unknown_attachment": "This client has no complete upload with this id.",
    "invalid_template": "The text is not a valid template; the message says why and on which line.",
    "invalid_tag": "The tag contains characters that are not allowed, or is listed twice.",
    "invalid_time": "The time is neither ISO 8601 with an offset nor a Unix timestamp in whole seconds.",
    # names that do not exist in Relay, or that the client may not use
    "unknown_lane": "The lane does not exist.",
    "unknown_route": "The route does not exist.",
    "unknown_topic": "The client has no topic of this name.",
    "no_unsubscribe_link": "Messages cannot have unsubscribe links, because Relay's public address is not known or has no https.",
    "unknown_template": "No template has this name, or it has no such version.",
    "not_renderable": "The template cannot be rendered with the message's variables; `details` says why.",
    "missing_variable": "The template needs a variable that the message does not provide.",
    "rendering_failed": "Rendering the template with these variables failed; the message says why.",
    "forbidden": "The client's policy does not allow this message; `details` names each rule.",
    "sender_not_allowed": "The client may not use this address as From or return path.",
    "recipient_not_allowed": "The client may not send to this recipient.",
    "bypass_not_allowed": "The client may not ask a provider to send to suppressed addresses.",
    "lane_not_allowed": "The client may not use this lane.",
    "route_not_allowed": "The client may not ask for this route.",
    "attachment_not_allowed": "The client may not send attachments of this type.",
    "not_carriable": "No configured route can carry this message to all its recipients.",
    # changes that are no longer possible
    "not_cancellable": "No part of the message is waiting any more: it is being sent, or it has ended.",
    "not_scheduled": "Only a scheduled message can be rescheduled.",
    "not_scheduled_yet": "The message was just accepted and is still on the queue; retry after Retry-After.",
    "not_resendable": "No copy of this message was sent, or it was sent again since, by another route.",
    "not_dead": "Only a failed, expired or unknown message can be redriven.",
    "attachment_incomplete": "Parts of the upload are missing.",
    "attachment_complete": "The upload is complete, or is being completed by another request.",
    "attachment_in_use": "A message refers to the uploaded file, so it cannot be deleted.",
    # waiting for a message
    "not_sent": "The awaited message will not be sent, or not to all recipients; `details` names each recipient.",
    "not_delivered": "The awaited message bounced; `details` names each recipient.",
    # idempotency
    "invalid_idempotency_key": "The Idempotency-Key is not 1 to 255 printable ASCII characters.",
    "idempotency_key_unreadable": "What was recorded for this Idempotency-Key cannot be read.",
    "idempotency_key_reused": "The Idempotency-Key was already used with a different payload.",
    "idempotency_key_in_use": "A request with this Idempotency-Key is still in progress.",
    # clients
    "too_many_topics": "The client has as many topics as it may have; delete one before you add another.",
    "client_exists": "A client with this name already exists.",
    "too_many_keys": "The client already has two active keys with this role; remove one before you add another.",
    "own_client": "A client cannot delete itself.",
    # timers
    "step_running": "An operator runs a step of a timer already; the message says which.",
    # limits
    "too_many_requests": "The client exceeded the rate limit of its policy; retry after Retry-After.",
    "quota_exhausted": "The client's daily quota of recipients is exhausted; it resets at midnight UTC.",
    "too_many_failures": "Too many requests with a wrong key came from this IP address; retry after Retry-After.",
    # try again
    "busy": "This instance has reached its limit of waiting submissions; retry after Retry-After.",
    "provider_unavailable": "The call to the provider failed; retry after Retry-After, and check the route.",
    "storage_unavailable": "Storage did not confirm the write, so it may not have happened; retry after Retry-After.",
    "audit_unavailable": "The audit log could not be written, so nothing was changed; retry after Retry-After.",
    "newer_version": "A newer version of Relay wrote the message's record, which this version cannot read: upgrade again.",
    "internal_error": "Relay failed on this request because of a bug. The log has the stack trace under `request_id`.",
}
"""Every code that an error response or one of its details can have, with its meaning."""


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal for an exception of a handler."""
    match error:
        case Refusal():
            return error
        case NotFound():
            return Refusal(404, "not_found", CODES["not_found"])
        case StorageError():
            seconds = error.retry_after_seconds if isinstance(error, Unavailable) else None
            text = "Storage did not answer. Repeat the request after Retry-After."
            return Refusal(503, "storage_unavailable", text, headers={"Retry-After": str(max(1, round(seconds or 5)))})
        case NewerVersion():
            text = (
                "A newer version of Relay wrote this message's record, and the one that answers cannot read it. "
                "Nothing is lost: install the newer version again, and repeat the request."
            )
            return Refusal(503, "newer_version", text, headers={"Retry-After": "60"})
        case UnreadableEntry():
            text = (
                "What Relay has stored about this cannot be read: it is damaged, or a newer version of Relay wrote it. "
                "Nothing was changed; the log line `row_unreadable` names the row."
            )
            return Refusal(503, "unreadable", text, headers={"Retry-After": "300"})
        case _:
            text = "Relay failed on this request. The log has the reason under `request_id`."
            return Refusal(500, "internal_error", text)


class ErrorDetailView(Struct, frozen=True, kw_only=True):
    """One problem of a request."""

    code: Annotated[str, Meta(description="The problem's code, which docs/errors.md explains.")]
    message: Annotated[str, Meta(description="What is wrong and how to fix it.")]
    target: Annotated[str, Meta(description="The field with the problem, as a JSON path; $ is the whole request.")]


class ErrorBodyView(Struct, frozen=True, kw_only=True):
    """The reason of a refusal, in the format of Azure's services."""

    code: Annotated[str, Meta(description="The error's code, which docs/errors.md explains.")]
    message: Annotated[str, Meta(description="What is wrong and how to fix it.")]
    target: Annotated[str, Meta(description="The field with the problem, as a JSON path.")] | UnsetType = UNSET
    details: Annotated[Sequence[ErrorDetailView], Meta(description="Every problem that was found; may be empty.")]
    request_id: Annotated[str, Meta(description="The request's id, which the log contains.")]
    help: Annotated[str, Meta(description="Where the error is explained.")]


class ErrorView(Struct, frozen=True, kw_only=True):
    """A refused request."""

    error: Annotated[ErrorBodyView, Meta(description="Why the request was refused.")]


def error_view(refusal: Refusal, request_id: str) -> ErrorView:
    """Return the body of an error response. `details` is present even when it is empty."""
    details = [
        ErrorDetailView(code=problem.code, message=problem.message, target=problem.target)
        for problem in refusal.problems
    ]
    return ErrorView(
        error=ErrorBodyView(
            code=refusal.code,
            message=refusal.message,
            target=UNSET if refusal.target is None else refusal.target,
            details=details,
            request_id=request_id,
            help=HELP + refusal.code,
        )
    )
