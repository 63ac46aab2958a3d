"""What the documents say of each operation beside its name, path and summary: one row an operation.

Data and nothing else, read by the OpenAPI document and the connector. A test has a row for every operation, and the fuzzer
has every answer named here.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from relay.api.openapi import parameters as ask
from relay.api.openapi.parameters import Parameter

JSON = "application/json"


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request: `model` is module and class within relay.api, or a name of `openapi_answers.SCHEMAS`.

    `others` are media types it may have instead, as bytes or text; without a model they are all it may have.
    `other_example` is of the first of them.
    """

    model: str = ""
    others: tuple[str, ...] = ()
    is_required: bool = True
    example: Mapping[str, Any] | None = None
    other_example: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`answers`: by status, a name of `openapi_answers.SCHEMAS`, a media type (with a slash), or "" for no body.

    `errors` are the refusals that are the operation's own; `COMMON` and `OF_CALLERS` are given by all.
    """

    answers: Mapping[int, str]
    errors: tuple[int, ...] = ()
    body: Body | None = None
    parameters: tuple[Parameter, ...] = ()


COMMON = (500, 503)
OF_CALLERS = (401, 403, 429)
"""What any operation that asks for a key may answer: no key, not for this caller, too many wrong keys or calls."""
OF_BODIES = (400, 411, 413, 415)
"""What any operation with a JSON body may answer."""

_RAW = "message/rfc822"
_ANY = "application/octet-stream"
_HTML = "text/html"
_MAIL = {"from": "relay@example.com", "to": "ada@example.com", "subject": "Hello", "text": "Hello, Ada."}
_RAW_MAIL = "From: relay@example.com\r\nTo: ada@example.com\r\nSubject: Hello\r\n\r\nHello, Ada.\r\n"
_SENDGRID_MAIL = {
    "personalizations": [{"to": [{"email": "ada@example.com"}]}],
    "from": {"email": "relay@example.com"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hello, Ada."}],
}


def _takes(model: str, *, is_required: bool = True, **example: Any) -> Body:
    return Body(model=model, is_required=is_required, example=example or None)


def _refuses(*statuses: int, body: bool = False) -> tuple[int, ...]:
    return tuple(sorted({*statuses, *(OF_BODIES if body else ())}))


FACTS: Mapping[str, Facts] = {
    "SendMessage": Facts(
        answers={202: "Accepted", 200: "Explanation"},
        errors=_refuses(409, 422, body=True),
        body=Body(model="shapes.requests.MessageRequest", others=(_RAW,), example=_MAIL, other_example=_RAW_MAIL),
        parameters=(ask.IDEMPOTENCY_KEY, *ask.WAIT, *ask.RAW_MESSAGE),
    ),
    "ListMessages": Facts(answers={200: "MessagePage"}, errors=(400,), parameters=ask.LISTING),
    "SendBatch": Facts(
        answers={202: "BatchResult", 200: "BatchResult", 400: "BatchError"},
        errors=_refuses(409, 422, body=True),
        body=_takes(
            "shapes.requests.BatchRequest",
            defaults={"from": "relay@example.com", "subject": "Hello", "text": "Hello."},
            messages=[{"to": "ada@example.com"}, {"to": "grace@example.com"}],
        ),
        parameters=(ask.IDEMPOTENCY_KEY,),
    ),
    "GetMessage": Facts(answers={200: "Message"}, errors=(404,)),
    "WaitForMessage": Facts(
        answers={200: "Message", 202: "Message"}, errors=(403, 404, 410, 422), parameters=ask.WAITING
    ),
    "CancelMessage": Facts(answers={200: "MessageState"}, errors=(404, 409)),
    "RescheduleMessage": Facts(
        answers={200: "MessageState"},
        errors=_refuses(404, 409, body=True),
        body=Body(model="shapes.requests.RescheduleRequest"),
    ),
    "RedriveMessage": Facts(
        answers={202: "MessageState"},
        errors=_refuses(404, 409, 410, body=True),
        body=_takes("shapes.requests.RedriveRequest", is_required=False),
    ),
    "ShowMessageContent": Facts(answers={200: "Content"}, errors=(404, 410)),
    "ShowMessageSource": Facts(answers={200: _RAW}, errors=(404, 410)),
    "DownloadMessageAttachment": Facts(answers={200: _ANY}, errors=(404, 410)),
    "ShowMessageHtml": Facts(answers={200: _HTML}, errors=(403, 404, 410), parameters=ask.SIGNED),
    "UploadAttachment": Facts(
        answers={201: "Upload"},
        errors=(400, 411, 413),
        body=Body(others=(_ANY,), is_required=False),
        parameters=ask.UPLOAD,
    ),
    "ShowAttachment": Facts(answers={200: "Upload"}, errors=(404,)),
    "DeleteAttachment": Facts(answers={204: ""}, errors=(409,)),
    "PutAttachmentPart": Facts(answers={204: ""}, errors=(400, 404, 409, 411), body=Body(others=(_ANY,))),
    "CompleteAttachment": Facts(answers={200: "Upload"}, errors=(400, 404, 409, 413), parameters=(ask.SIZE,)),
    "ListTemplates": Facts(answers={200: "TemplateList"}),
    "ShowTemplate": Facts(answers={200: "Template"}, errors=(404,)),
    "PutTemplate": Facts(
        answers={201: "Template", 200: "Template"},
        errors=OF_BODIES,
        body=_takes("shapes.admin_requests.TemplateRequest", subject="Hello, {{ name }}", text="Welcome, {{ name }}."),
    ),
    "DeleteTemplate": Facts(answers={204: ""}),
    "ListTemplateVersions": Facts(answers={200: "TemplateVersionList"}, errors=(404,)),
    "PreviewTemplate": Facts(
        answers={200: "Preview"},
        errors=_refuses(404, 422, body=True),
        body=_takes("shapes.admin_requests.PreviewRequest", is_required=False, variables={"name": "Ada"}),
    ),
    "ShowTemplateHtml": Facts(answers={200: _HTML}, errors=(403, 404), parameters=(*ask.SIGNED, ask.VARIABLES)),
    "ListInbox": Facts(answers={200: "InboxPage"}, errors=(400,), parameters=(*ask.INBOX, ask.LIMIT, ask.CURSOR)),
    "WaitForInboxMail": Facts(answers={200: "InboxMail"}, errors=(400, 404), parameters=(*ask.INBOX, ask.TIMEOUT)),
    "ShowInboxMail": Facts(answers={200: "InboxMail"}, errors=(404,)),
    "ShowInboxSource": Facts(answers={200: _RAW}, errors=(404,)),
    "ShowInboxHtml": Facts(answers={200: _HTML}, errors=(403, 404), parameters=ask.SIGNED),
    "EmptyInbox": Facts(answers={200: "InboxEmptied"}, parameters=ask.INBOX),
    "DeleteInboxMail": Facts(answers={204: ""}),
    "ListDeadLetters": Facts(answers={200: "DeadLetterPage"}, errors=(400,), parameters=(ask.CODE, ask.CURSOR)),
    "RedriveDeadLetters": Facts(
        answers={200: "Redriven"},
        errors=_refuses(404, body=True),
        body=_takes("shapes.requests.DeadLetterRedrive", code="sender_not_verified"),
    ),
    "DiscardDeadLetters": Facts(
        answers={200: "Discarded"},
        errors=_refuses(404, body=True),
        body=_takes("shapes.requests.DeadLetterChoice", code="sender_not_verified"),
    ),
    "RedriveLostMail": Facts(
        answers={200: "LostResent"}, errors=OF_BODIES, body=Body(model="shapes.admin_requests.ResendLostRequest")
    ),
    "EraseRecipient": Facts(
        answers={200: "Erased"},
        errors=OF_BODIES,
        body=_takes("shapes.admin_requests.EraseRequest", recipient="ada@example.com", dry_run=True),
    ),
    "ListRoutes": Facts(answers={200: "RouteList"}),
    "HoldRoute": Facts(answers={200: "Hold"}, errors=(404,)),
    "ReleaseRoute": Facts(answers={200: "RouteReleased"}, errors=(404,)),
    "ProbeRoute": Facts(answers={200: "Probe"}, errors=(404,)),
    "SendGridSendMail": Facts(
        answers={202: "", 200: ""},
        errors=(400, 409, 413, 415),
        body=Body(model="SendGridMail", example=_SENDGRID_MAIL),
        parameters=(ask.IDEMPOTENCY_KEY,),
    ),
    "SendGridCreateBatch": Facts(answers={201: "SendGridBatch"}),
    "SendGridShowBatch": Facts(answers={200: "SendGridBatch"}, errors=(400,)),
    "SendGridListScheduledSends": Facts(answers={200: "SendGridScheduledSendList"}),
    "SendGridStopScheduledSend": Facts(
        answers={201: "SendGridStopped"}, errors=(400, 413, 415), body=Body(model="SendGridStop")
    ),
    "SendGridShowScheduledSend": Facts(answers={200: "SendGridScheduledSendList"}, errors=(400,)),
    "SendGridChangeScheduledSend": Facts(
        answers={204: ""}, errors=(400, 404, 413, 415), body=_takes("SendGridStatus", status="pause")
    ),
    "SendGridReleaseScheduledSend": Facts(answers={204: ""}, errors=(400, 404)),
    "SendGridListScopes": Facts(answers={200: "SendGridScopes"}),
    "ShowOpenApi": Facts(answers={200: "Anything"}),
    "ListCauses": Facts(answers={200: "CauseList"}),
    "ShowCaller": Facts(answers={200: "Caller"}),
    "ListClients": Facts(answers={200: "ClientList"}),
    "CreateClient": Facts(
        answers={201: "NewClient"},
        errors=_refuses(409, body=True),
        body=_takes("shapes.admin_requests.ClientRequest", name="shop", policy={"senders": ["*@example.com"]}),
    ),
    "ShowClient": Facts(answers={200: "Client"}, errors=(404,)),
    "ChangeClient": Facts(
        answers={200: "Client"},
        errors=_refuses(404, body=True),
        body=_takes("shapes.admin_requests.ClientChange", policy={"senders": ["*@example.com"]}),
    ),
    "DeleteClient": Facts(answers={204: ""}, errors=(404, 409)),
    "AddClientKey": Facts(
        answers={201: "NewKey"},
        errors=_refuses(404, 409, body=True),
        body=_takes("shapes.admin_requests.KeyRequest", is_required=False),
    ),
    "RemoveClientKey": Facts(answers={204: ""}, errors=(404,)),
    "ShowOverview": Facts(answers={200: "Overview"}, errors=(400,), parameters=(ask.SPAN,)),
    "Examine": Facts(answers={200: "Doctor"}),
    "ListSuppressions": Facts(answers={200: "SuppressionPage"}, errors=(400, 404), parameters=(ask.CLIENT, ask.CURSOR)),
    "AddSuppression": Facts(
        answers={201: "Suppression"},
        errors=_refuses(404, body=True),
        body=_takes("shapes.admin_requests.SuppressionRequest", email="ada@example.com"),
    ),
    "ImportSuppressions": Facts(
        answers={200: "SuppressionsImported"},
        errors=_refuses(404, body=True),
        body=Body(
            model="shapes.admin_requests.SuppressionImport",
            others=("text/csv",),
            example={"value": [{"email": "ada@example.com"}]},
            other_example="email,note\r\nada@example.com,asked by phone\r\n",
        ),
        parameters=(ask.CLIENT,),
    ),
    "ExportSuppressions": Facts(answers={200: "text/csv"}, errors=(404,), parameters=(ask.CLIENT,)),
    "SynchroniseSuppressions": Facts(
        answers={200: "SuppressionsSynchronized"},
        errors=_refuses(404, 422, body=True),
        body=Body(model="shapes.admin_requests.SyncRequest"),
    ),
    "ShowSuppression": Facts(answers={200: "SuppressionList"}, errors=(404,)),
    "RemoveSuppression": Facts(answers={204: ""}),
    "ListWebhooks": Facts(answers={200: "WebhookList"}),
    "CreateWebhook": Facts(
        answers={201: "Webhook"},
        errors=OF_BODIES,
        body=_takes("shapes.admin_requests.WebhookRequest", url="https://example.com/mail", events=["bounced"]),
    ),
    "RemoveCallback": Facts(
        answers={204: ""},
        errors=OF_BODIES,
        body=_takes("shapes.admin_requests.CallbackRemoval", is_required=False),
        parameters=(ask.CALLBACK,),
    ),
    "ShowWebhook": Facts(answers={200: "Webhook"}, errors=(404,)),
    "ChangeWebhook": Facts(
        answers={200: "Webhook"},
        errors=_refuses(404, body=True),
        body=_takes("shapes.admin_requests.WebhookChange", events=["bounced", "complained"]),
    ),
    "DeleteWebhook": Facts(answers={204: ""}),
    "TestWebhook": Facts(answers={200: "WebhookDelivery"}, errors=(404,)),
    "ListWebhookDeliveries": Facts(answers={200: "WebhookDeliveryPage"}, errors=(400, 404), parameters=(ask.CURSOR,)),
    "TakeSendGridEvents": Facts(
        answers={200: "EventsTaken"},
        errors=(400, 403, 404, 413),
        body=Body(model="Events"),
        parameters=ask.SENDGRID_SIGNATURE,
    ),
    "TakeAcsEvents": Facts(
        answers={200: "EventsTaken"}, errors=(400, 403, 404, 413), body=Body(model="Events"), parameters=ask.ACS_SECRET
    ),
    "AllowAcsEvents": Facts(answers={200: ""}, errors=(400, 403, 404), parameters=(*ask.ACS_SECRET, ask.ORIGIN)),
    "TakeBounce": Facts(answers={202: "EventsTaken"}, errors=(400, 413), body=Body(others=(_RAW,))),
    "Health": Facts(answers={200: "Liveness"}),
    "Ready": Facts(answers={200: "Readiness", 503: "Readiness"}),
}
"""By the operation's name."""
