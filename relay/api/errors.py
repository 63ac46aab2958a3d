"""The body of a refused request, and every error code. docs/errors.md is tested against `CODES`."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from relay.core.errors import Refusal

HELP = "docs/errors.md#"
"""Where each code is explained; the code follows."""

CODES = {
    # who calls what
    "unauthenticated": "The request has no key, or one that is not known, was removed or has expired.",
    "address_not_allowed": "The client may not call from this IP address.",
    "operators_only": "Only an operator's key opens this address.",
    "cross_site": "A page of another site made the browser send this; nothing was done.",
    "not_found": "There is nothing at this address, or it was purged.",
    "method_not_allowed": "The address does not take this method; `Allow` lists those it takes.",
    "message_not_found": "There is no message of this id for this client, or it was purged.",
    "content_not_found": "The content is not available: the message is still queued, or its content was purged.",
    "message_erased": "The message was erased: its content cannot be read and it cannot be redriven.",
    "link_not_valid": "The link's signature is too old, or does not belong to this address.",
    "mail_not_found": "No such mail came into the inbox in time.",
    "attachment_not_found": "There is no upload of this id for this client, or it was forgotten.",
    "template_not_found": "There is no template of this name, or no such version of it.",
    "not_configured": "The relay does not take such events: the setting that the message names is empty.",
    "bad_signature": "Events are taken only from those who prove who they are: signature, timestamp or secret is wrong.",
    # the request as a whole
    "invalid_request": "One or more fields are wrong; `details` names each of them.",
    "malformed_json": "The body is not JSON; the message says at which line and column.",
    "unsupported_media_type": "The Content-Type is not one that this address reads.",
    "no_message_accepted": "No message of the batch was accepted; each has its own error in `value`.",
    "empty_body": "The request has no body.",
    "length_required": "The body came in chunks, without a Content-Length, and so did not reach the relay.",
    "message_too_large": "The message, or the body that carries it, has more bytes than may be sent.",
    # a field
    "required": "A field that must be there is missing or empty.",
    "unknown_field": "There is no such field; the message names the nearest that exists.",
    "duplicate_key": "The same name occurs twice in one JSON object.",
    "wrong_type": "The value is of another JSON type than the field.",
    "invalid_choice": "The value is none of those that are possible.",
    "invalid_text": "The text has a character that is not allowed there, such as a line break in a header.",
    "invalid_value": "The value does not have the form that the field needs.",
    "too_long": "The text has more characters or bytes than the field takes.",
    "too_many": "There are more elements than the field takes.",
    "too_deep": "Objects or lists are nested too deeply.",
    "too_large": "The value takes more bytes than the field may have.",
    "out_of_range": "The number or time is outside of what is possible.",
    "not_applicable": "The field has no meaning together with the others.",
    "too_many_problems": "There are more problems than one answer tells.",
    # addresses
    "invalid_address": "The text is not an email address; the message says why.",
    "no_recipients": "The message has no recipient in to, cc or bcc.",
    "too_many_recipients": "to, cc and bcc together name more recipients than one message may have.",
    "duplicate_recipient": "The same recipient is named twice; the message says where else.",
    # content
    "no_content": "There is no text, no html and no template.",
    "invalid_header_name": "The name cannot be a header's name (RFC 5322).",
    "forbidden_header": "A caller may not set this header; the message says why and what to use instead.",
    "duplicate_header": "The header is there twice; names of headers differ by more than upper and lower case.",
    "invalid_base64": "The content is not base64; the message says where it stops being so.",
    "invalid_file_name": "The attachment's name has path separators or characters that file names do not have.",
    "invalid_media_type": "The type is not of the form type/subtype.",
    "invalid_content_id": "The content id has characters that a `cid:` link cannot have, or is there twice.",
    "unknown_attachment": "There is no complete upload of this id for this client.",
    "invalid_template": "The text is not a template; the message says why and in which line.",
    "invalid_tag": "The tag has characters that tags do not have, or is there twice.",
    "invalid_time": "The time is neither ISO 8601 with an offset nor whole seconds since 1970.",
    # what the relay does not have, or the client may not use
    "unknown_lane": "There is no such lane.",
    "unknown_route": "There is no such route.",
    "unknown_template": "There is no template of this name, or no such version of it.",
    "not_renderable": "The template cannot be filled in with the variables of the message; `details` says why.",
    "missing_variable": "The template needs a variable that the message does not bring.",
    "rendering_failed": "The template cannot be filled in with these variables; the message says why.",
    "forbidden": "The client's policy does not allow this message; `details` names each rule.",
    "sender_not_allowed": "The client may not use this address as From or as return path.",
    "recipient_not_allowed": "The client may not send to this recipient.",
    "lane_not_allowed": "The client may not use this lane.",
    "route_not_allowed": "The client may not ask for this route.",
    "attachment_not_allowed": "The client may not send attachments of this type.",
    "not_carriable": "No configured route can carry this message to all its recipients.",
    # what is no longer possible
    "not_cancellable": "Nothing of the message waits any more: it is being sent, or it has ended.",
    "not_scheduled": "Only a scheduled message can be moved to another time.",
    "not_scheduled_yet": "The message was accepted a moment ago and lies on the queue; repeat after Retry-After.",
    "not_dead": "Only a message that failed, expired or is unknown can be put back.",
    "attachment_incomplete": "Parts of the upload are missing.",
    "attachment_complete": "The upload is complete, or is being completed by another request.",
    "attachment_in_use": "A message has named the uploaded file, so it cannot be deleted.",
    # what was waited for
    "not_sent": "The awaited message will not be sent, or not to all recipients; `details` names each recipient.",
    "not_delivered": "The awaited message bounced; `details` names each recipient.",
    # the same request twice
    "invalid_idempotency_key": "The Idempotency-Key is not 1 to 255 printable ASCII characters.",
    "idempotency_key_reused": "The Idempotency-Key was used with another payload.",
    "idempotency_key_in_use": "A request with this Idempotency-Key is still under way.",
    # clients
    "client_exists": "There is a client of this name already.",
    "too_many_keys": "Two keys of the client are active; remove one before another is added.",
    "own_client": "A client cannot delete itself.",
    # too much
    "too_many_requests": "The client sends faster than its policy allows; repeat after Retry-After.",
    "quota_exhausted": "The client's daily quota of recipients is used up; the next day begins at midnight UTC.",
    "too_many_failures": "This address presented too many wrong keys; repeat after Retry-After.",
    # try again
    "busy": "This instance holds as many submissions as it may; repeat after Retry-After.",
    "provider_unavailable": "The provider could not be asked; repeat after Retry-After, and look at the route.",
    "storage_unavailable": "Storage did not confirm the write, so it may or may not have been done; repeat after Retry-After.",
    "newer_version": "A newer version of Relay wrote the message's record, and this one cannot read it: upgrade it again.",
    "internal_error": "Relay failed on this request: a bug. Its log has the trace under `request_id`.",
}
"""Every code of an error answer or of one of its details, with its meaning."""


class ErrorDetailView(Struct, frozen=True, kw_only=True):
    """One problem of a request."""

    code: Annotated[str, Meta(description="The problem's code, which docs/errors.md explains.")]
    message: Annotated[str, Meta(description="What is wrong and how to fix it.")]
    target: Annotated[str, Meta(description="The field it is about, as a JSON path; $ is the whole request.")]


class ErrorBodyView(Struct, frozen=True, kw_only=True):
    """Why a request was refused, in the shape that Azure's services use."""

    code: Annotated[str, Meta(description="The error's code, which docs/errors.md explains.")]
    message: Annotated[str, Meta(description="What is wrong and how to fix it.")]
    target: Annotated[str, Meta(description="The field it is about, as a JSON path.")] | UnsetType = UNSET
    details: Annotated[Sequence[ErrorDetailView], Meta(description="Every problem that was found; may be empty.")]
    request_id: Annotated[str, Meta(description="The request's id, for the log.")]
    help: Annotated[str, Meta(description="Where the error is explained.")]


class ErrorView(Struct, frozen=True, kw_only=True):
    """A refused request."""

    error: Annotated[ErrorBodyView, Meta(description="Why the request was refused.")]


def error_view(refusal: Refusal, request_id: str) -> ErrorView:
    """Return the body of a refused request. `details` is present also when it is empty."""
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
