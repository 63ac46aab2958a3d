"""List the actions that a maker can use, each with the operation of the API behind it. Only data."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

_ENVELOPE = ("from", "to", "cc", "bcc", "reply_to")
_CONTENT = ("subject", "text", "html", "attachments")
_TREATMENT = ("headers", "tags", "metadata", "send_at", "expires_in_seconds", "delivery", "lane", "route")
_PLAIN = (*_ENVELOPE, *_CONTENT, *_TREATMENT)
_FILLED = (*_ENVELOPE[:2], "template", "variables", *_ENVELOPE[2:], "subject", "attachments", *_TREATMENT)
_ONCE: Mapping[str, Mapping[str, Any]] = {"Idempotency-Key": {}}
_GOAL = {
    "x-ms-summary": "Wait For",
    "x-ms-visibility": "important",
    "description": "What to wait for: the provider has accepted the email, or every recipient's server has.",
    "required": True,
    "default": "wait=sent",
    "enum": ["wait=sent", "wait=delivered"],
}
_TEMPLATES = {
    "x-ms-dynamic-values": {
        "operationId": "ListTemplates",
        "value-collection": "value",
        "value-path": "name",
        "value-title": "name",
    }
}
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "since": {"description": "Accepted at or after this time; by default a day earlier than Before."},
    "before": {"description": "Accepted before this time; by default now."},
    "state": {"description": "Only emails in this state."},
    "tag": {"description": "Only emails with this tag."},
    "recipient": {"description": "Only emails to this address."},
    "subject": {"description": "Only emails with all these words in the subject."},
    "limit": {},
}
_WITHOUT_TEMPLATE: Mapping[str, Mapping[str, Any]] = {
    "subject": {"description": "The subject, in one line."},
    "text": {"description": "The plain text. At least one of text and HTML is needed."},
}


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """An action or trigger. `operation` is a name of `relay.api.operations`, whose row has its body and responses.

    `path` is the connector's own if several actions share one operation of the API (OpenAPI 2.0 has one operation for a
    method and path): a policy routes it to the operation's path. `parameters` and `fields` choose from the query and headers,
    and from the body; `required` are fields that this action needs although the operation does not. Keywords that `parameters`
    and `special` give for a name replace the API's. `responses` are names of `responses.definitions`, by status, if the action
    does not have all responses of the operation.
    """

    name: str
    operation: str
    summary: str
    description: str
    visibility: str = "important"
    path: str = ""
    parameters: Mapping[str, Mapping[str, Any]] = {}
    fields: Sequence[str] = ()
    required: Sequence[str] = ()
    special: Mapping[str, Mapping[str, Any]] = {}
    responses: Mapping[int, str] = {}
    is_trigger: bool = False


ACTIONS = (
    Action(
        name="SendEmail",
        operation="SendMessage",
        summary="Send an email",
        description="Accept an email for sending. The action ends when the email is stored durably; Relay sends it afterwards.",
        parameters=_ONCE,
        fields=_PLAIN,
        required=("to", "subject"),
        special=_WITHOUT_TEMPLATE,
        responses={202: "Accepted"},
    ),
    Action(
        name="SendEmailAndWait",
        operation="SendMessage",
        path="/v1/messages/and-wait",
        summary="Send an email and wait",
        description="Send an email and wait until it is sent or delivered. Fails if that becomes impossible.",
        parameters={"Prefer": _GOAL, **_ONCE},
        fields=_PLAIN,
        required=("to", "subject"),
        special=_WITHOUT_TEMPLATE,
        responses={200: "Message", 202: "Accepted"},
    ),
    Action(
        name="SendEmailFromTemplate",
        operation="SendMessage",
        path="/v1/messages/from-template",
        summary="Send an email from a template",
        description="Fill in a stored template and accept the email for sending.",
        parameters=_ONCE,
        fields=_FILLED,
        required=("to", "template"),
        special={"template": _TEMPLATES},
        responses={202: "Accepted"},
    ),
    Action(
        name="SendBatch",
        operation="SendBatch",
        summary="Send many emails",
        description="Accept up to 1000 emails that may share fields. Each has its own result.",
        parameters=_ONCE,
        fields=("messages", "defaults"),
    ),
    Action(
        name="GetEmail",
        operation="GetMessage",
        summary="Get an email",
        description="Get the state of an email and of each recipient.",
    ),
    Action(
        name="CancelEmail",
        operation="CancelMessage",
        summary="Cancel an email",
        description="Cancel an email that has not been sent yet. Fails if it is too late.",
    ),
    Action(
        name="ListEmails",
        operation="ListMessages",
        summary="List emails",
        description="List the newest emails of a period, by default of the last day.",
        parameters=_FILTERS,
    ),
    Action(
        name="ListTemplates",
        operation="ListTemplates",
        summary="List templates",
        description="List the stored templates with their newest versions.",
        visibility="advanced",
    ),
    Action(
        name="WhenMailEventsArrive",
        operation="CreateWebhook",
        summary="When mail events arrive",
        description="Starts when an event of an email arrives, such as delivered or bounced.",
        fields=("callbackUrl", "events", "note"),
        required=("callbackUrl",),
        # The workflow platform fills in the URL for events; users do not type it.
        special={
            "callbackUrl": {
                "x-ms-notification-url": True,
                "x-ms-visibility": "internal",
                "description": "Where events are posted.",
            },
            "note": {"description": "A note for people, such as the purpose of the subscription."},
        },
        is_trigger=True,
    ),
    Action(
        name="DeleteSubscription",
        operation="DeleteWebhook",
        summary="Delete a subscription",
        description="End a trigger's subscription when its workflow is switched off.",
        visibility="internal",
    ),
)
