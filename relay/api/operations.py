"""Every operation of the API, in one table: routing, the OpenAPI documents and the connector are made from it."""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import cast

from relay.api.app import Handler, Operation, Shape
from relay.clients.registry import Role


def _in(module: str, function: str) -> Callable[[], Handler]:
    """Imports the handler's module when the operation is first called: a cold start pays for what it serves."""
    return cache(lambda: cast(Handler, getattr(import_module(f"relay.api.{module}"), function)))


OPERATIONS = (
    Operation(name="SendMessage", method="POST", path="/v1/messages", load=_in("messages.send", "send")),
    Operation(name="ListMessages", method="GET", path="/v1/messages", load=_in("messages.listing", "index")),
    Operation(name="SendBatch", method="POST", path="/v1/messages/batch", load=_in("messages.batch", "send")),
    Operation(name="GetMessage", method="GET", path="/v1/messages/{id}", load=_in("messages.status", "show")),
    Operation(name="CancelMessage", method="DELETE", path="/v1/messages/{id}", load=_in("messages.changes", "cancel")),
    Operation(
        name="RescheduleMessage", method="PATCH", path="/v1/messages/{id}", load=_in("messages.changes", "reschedule")
    ),
    Operation(
        name="RedriveMessage",
        method="POST",
        path="/v1/messages/{id}/redrive",
        load=_in("messages.changes", "redrive"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="WaitForMessage",
        method="GET",
        path="/v1/messages/{id}/wait",
        load=_in("messages.status", "wait"),
        role=None,
    ),
    Operation(
        name="ShowMessageContent", method="GET", path="/v1/messages/{id}/content", load=_in("messages.content", "show")
    ),
    Operation(
        name="ShowMessageSource", method="GET", path="/v1/messages/{id}/source", load=_in("messages.content", "source")
    ),
    Operation(
        name="DownloadMessageAttachment",
        method="GET",
        path="/v1/messages/{id}/attachments/{number}",
        load=_in("messages.content", "attachment"),
    ),
    Operation(
        name="ShowMessageHtml",
        method="GET",
        path="/v1/messages/{id}/html",
        load=_in("messages.content", "html"),
        role=None,
    ),
    Operation(name="UploadAttachment", method="POST", path="/v1/attachments", load=_in("resources.uploads", "create")),
    Operation(name="ShowAttachment", method="GET", path="/v1/attachments/{id}", load=_in("resources.uploads", "show")),
    Operation(
        name="DeleteAttachment", method="DELETE", path="/v1/attachments/{id}", load=_in("resources.uploads", "delete")
    ),
    Operation(
        name="PutAttachmentPart",
        method="PUT",
        path="/v1/attachments/{id}/parts/{number}",
        load=_in("resources.uploads", "put_part"),
    ),
    Operation(
        name="CompleteAttachment",
        method="POST",
        path="/v1/attachments/{id}/complete",
        load=_in("resources.uploads", "complete"),
    ),
    Operation(name="ListTemplates", method="GET", path="/v1/templates", load=_in("resources.templates", "index")),
    Operation(name="ShowTemplate", method="GET", path="/v1/templates/{name}", load=_in("resources.templates", "show")),
    Operation(
        name="PutTemplate",
        method="PUT",
        path="/v1/templates/{name}",
        load=_in("resources.templates", "put"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="DeleteTemplate",
        method="DELETE",
        path="/v1/templates/{name}",
        load=_in("resources.templates", "delete"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ListTemplateVersions",
        method="GET",
        path="/v1/templates/{name}/versions",
        load=_in("resources.templates", "versions"),
    ),
    Operation(
        name="PreviewTemplate",
        method="POST",
        path="/v1/templates/{name}/preview",
        load=_in("resources.templates", "preview"),
    ),
    Operation(
        name="ShowTemplateHtml",
        method="GET",
        path="/v1/templates/{name}/html",
        load=_in("resources.templates", "html"),
        role=None,
    ),
    Operation(name="ListInbox", method="GET", path="/v1/inbox", load=_in("resources.inbox", "index")),
    Operation(name="WaitForInboxMail", method="GET", path="/v1/inbox/wait", load=_in("resources.inbox", "wait")),
    Operation(name="ShowInboxMail", method="GET", path="/v1/inbox/{name}", load=_in("resources.inbox", "show")),
    Operation(
        name="ShowInboxSource", method="GET", path="/v1/inbox/{name}/source", load=_in("resources.inbox", "source")
    ),
    Operation(
        name="ShowInboxHtml", method="GET", path="/v1/inbox/{name}/html", load=_in("resources.inbox", "html"), role=None
    ),
    Operation(name="EmptyInbox", method="DELETE", path="/v1/inbox", load=_in("resources.inbox", "empty")),
    Operation(name="DeleteInboxMail", method="DELETE", path="/v1/inbox/{name}", load=_in("resources.inbox", "delete")),
    Operation(
        name="ListDeadLetters",
        method="GET",
        path="/v1/deadletters",
        load=_in("operator.dead_letters", "index"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="RedriveDeadLetters",
        method="POST",
        path="/v1/deadletters/redrive",
        load=_in("operator.dead_letters", "redrive"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="DiscardDeadLetters",
        method="POST",
        path="/v1/deadletters/discard",
        load=_in("operator.dead_letters", "discard"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="RedriveLostMail",
        method="POST",
        path="/v1/redrive",
        load=_in("operator.resend_lost", "resend_lost"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="EraseRecipient",
        method="POST",
        path="/v1/erase",
        load=_in("operator.erase", "recipient"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ListRoutes", method="GET", path="/v1/routes", load=_in("operator.routes", "index"), role=Role.OPERATOR
    ),
    Operation(
        name="HoldRoute",
        method="POST",
        path="/v1/routes/{name}/hold",
        load=_in("operator.routes", "hold"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ReleaseRoute",
        method="POST",
        path="/v1/routes/{name}/release",
        load=_in("operator.routes", "release"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ProbeRoute",
        method="POST",
        path="/v1/routes/{name}/probe",
        load=_in("operator.routes", "probe"),
        role=Role.OPERATOR,
    ),
    Operation(name="SendGridSendMail", method="POST", path="/v3/mail/send", load=_in("sendgrid.send", "send")),
    Operation(
        name="SendGridCreateBatch", method="POST", path="/v3/mail/batch", load=_in("sendgrid.scheduled_sends", "create")
    ),
    Operation(
        name="SendGridShowBatch",
        method="GET",
        path="/v3/mail/batch/{batch_id}",
        load=_in("sendgrid.scheduled_sends", "show"),
    ),
    Operation(
        name="SendGridListScheduledSends",
        method="GET",
        path="/v3/user/scheduled_sends",
        load=_in("sendgrid.scheduled_sends", "index"),
    ),
    Operation(
        name="SendGridStopScheduledSend",
        method="POST",
        path="/v3/user/scheduled_sends",
        load=_in("sendgrid.scheduled_sends", "stop"),
    ),
    Operation(
        name="SendGridShowScheduledSend",
        method="GET",
        path="/v3/user/scheduled_sends/{batch_id}",
        load=_in("sendgrid.scheduled_sends", "show_stop"),
    ),
    Operation(
        name="SendGridChangeScheduledSend",
        method="PATCH",
        path="/v3/user/scheduled_sends/{batch_id}",
        load=_in("sendgrid.scheduled_sends", "change"),
    ),
    Operation(
        name="SendGridReleaseScheduledSend",
        method="DELETE",
        path="/v3/user/scheduled_sends/{batch_id}",
        load=_in("sendgrid.scheduled_sends", "release"),
    ),
    Operation(
        name="SendGridListScopes", method="GET", path="/v3/scopes", load=_in("sendgrid.scheduled_sends", "scopes")
    ),
    Operation(name="ShowOpenApi", method="GET", path="/openapi.json", load=_in("openapi.document", "show"), role=None),
    Operation(name="ListCauses", method="GET", path="/v1/causes", load=_in("operator.dead_letters", "list_causes")),
    Operation(name="ShowCaller", method="GET", path="/v1/me", load=_in("operator.clients", "me")),
    Operation(
        name="ListClients", method="GET", path="/v1/clients", load=_in("operator.clients", "index"), role=Role.OPERATOR
    ),
    Operation(
        name="CreateClient",
        method="POST",
        path="/v1/clients",
        load=_in("operator.clients", "create"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ShowClient",
        method="GET",
        path="/v1/clients/{name}",
        load=_in("operator.clients", "show"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ChangeClient",
        method="PATCH",
        path="/v1/clients/{name}",
        load=_in("operator.clients", "change"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="DeleteClient",
        method="DELETE",
        path="/v1/clients/{name}",
        load=_in("operator.clients", "delete"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="AddClientKey",
        method="POST",
        path="/v1/clients/{name}/keys",
        load=_in("operator.clients", "add_key"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="RemoveClientKey",
        method="DELETE",
        path="/v1/clients/{name}/keys/{id}",
        load=_in("operator.clients", "remove_key"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ShowOverview",
        method="GET",
        path="/v1/overview",
        load=_in("operator.overview", "show"),
        role=Role.OPERATOR,
    ),
    Operation(name="Examine", method="GET", path="/v1/doctor", load=_in("operator.doctor", "run"), role=Role.OPERATOR),
    Operation(
        name="ListSuppressions", method="GET", path="/v1/suppressions", load=_in("resources.suppressions", "index")
    ),
    Operation(name="AddSuppression", method="POST", path="/v1/suppressions", load=_in("resources.suppressions", "add")),
    Operation(
        name="ImportSuppressions",
        method="POST",
        path="/v1/suppressions/import",
        load=_in("resources.suppressions", "take_list"),
    ),
    Operation(
        name="ExportSuppressions",
        method="GET",
        path="/v1/suppressions/export",
        load=_in("resources.suppressions", "export"),
    ),
    Operation(
        name="SynchroniseSuppressions",
        method="POST",
        path="/v1/suppressions/sync",
        load=_in("resources.suppressions", "synchronize"),
        role=Role.OPERATOR,
    ),
    Operation(
        name="ShowSuppression",
        method="GET",
        path="/v1/suppressions/{email}",
        load=_in("resources.suppressions", "show"),
    ),
    Operation(
        name="RemoveSuppression",
        method="DELETE",
        path="/v1/suppressions/{email}",
        load=_in("resources.suppressions", "remove"),
    ),
    Operation(name="ListWebhooks", method="GET", path="/v1/webhooks", load=_in("resources.webhooks", "index")),
    Operation(name="CreateWebhook", method="POST", path="/v1/webhooks", load=_in("resources.webhooks", "create")),
    Operation(
        name="RemoveCallback", method="DELETE", path="/v1/webhooks", load=_in("resources.webhooks", "remove_callback")
    ),
    Operation(name="ShowWebhook", method="GET", path="/v1/webhooks/{id}", load=_in("resources.webhooks", "show")),
    Operation(name="ChangeWebhook", method="PATCH", path="/v1/webhooks/{id}", load=_in("resources.webhooks", "change")),
    Operation(
        name="DeleteWebhook", method="DELETE", path="/v1/webhooks/{id}", load=_in("resources.webhooks", "delete")
    ),
    Operation(name="TestWebhook", method="POST", path="/v1/webhooks/{id}/test", load=_in("resources.webhooks", "test")),
    Operation(
        name="ListWebhookDeliveries",
        method="GET",
        path="/v1/webhooks/{id}/deliveries",
        load=_in("resources.webhooks", "deliveries"),
    ),
    Operation(
        name="TakeSendGridEvents",
        method="POST",
        path="/v1/events/sendgrid",
        load=_in("resources.vendor_events", "from_sendgrid"),
        role=None,
    ),
    Operation(
        name="TakeAcsEvents",
        method="POST",
        path="/v1/events/acs",
        load=_in("resources.vendor_events", "from_event_grid"),
        role=None,
    ),
    Operation(
        name="AllowAcsEvents",
        method="OPTIONS",
        path="/v1/events/acs",
        load=_in("resources.vendor_events", "allow_event_grid"),
        role=None,
    ),
    Operation(
        name="TakeBounce", method="POST", path="/v1/events/bounce", load=_in("resources.vendor_events", "from_mailbox")
    ),
    Operation(name="Health", method="GET", path="/v1/health", load=_in("resources.health", "alive"), role=None),
    Operation(name="Ready", method="GET", path="/v1/ready", load=_in("resources.health", "ready"), role=None),
)

PAGES = (
    Operation(name="Console", method="GET", path="/console", load=_in("resources.console", "console"), role=None),
    Operation(name="Inbox", method="GET", path="/inbox", load=_in("resources.console", "inbox"), role=None),
    Operation(name="Docs", method="GET", path="/docs", load=_in("resources.docs", "page"), role=None),
    Operation(name="DocsAsset", method="GET", path="/docs/{*path}", load=_in("resources.docs", "asset"), role=None),
    Operation(
        name="Asset", method="GET", path="/console/assets/{*path}", load=_in("resources.console", "asset"), role=None
    ),
)
"""What people look at; no part of the API that the documents describe."""

SHAPES: Mapping[str, Callable[[], Shape]] = {
    "/v3/": lambda: cast(Shape, import_module("relay.api.sendgrid.errors").refused),
}
"""How refusals look under a path that speaks another API's language."""
