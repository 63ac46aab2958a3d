"""Operations of SendGrid's API v3 that Relay offers too."""

from relay.api.operation import Audit, Body, Operation, Tag, Unaudited
from relay.api.operations import parameters as given

_MAIL = {
    "personalizations": [{"to": [{"email": "ada@example.com"}]}],
    "from": {"email": "relay@example.com"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hello, Ada."}],
}
_OF_BODIES = (400, 413, 415)
_STOPPED = "sendgrid.views:SendGridScheduledSendView[]"

# fmt: off
TAG = Tag(
    name="SendGrid-compatible",
    description="Send with SendGrid's client libraries: the part of its API v3 that Relay offers.",
    refused="sendgrid.errors:refused",
    error="sendgrid.views:SendGridErrorsView",
    operations=(
        Operation(name="SendGridSendMail", endpoint="POST /v3/mail/send", handler="sendgrid.send:send",
            audit=Unaudited.SUBMITS,
            summary="Send a mail in SendGrid's format",
            description="Returns 202 with `X-Message-Id` once every message is stored durably; all are accepted or "
                "none. In sandbox mode, returns 200 and sends nothing.",
            parameters=(given.IDEMPOTENCY_KEY,), body=Body(shape="sendgrid.shape:SendGridMail", example=_MAIL),
            responses={202: "", 200: ""}, errors=(*_OF_BODIES, 409)),
        Operation(name="SendGridCreateBatch", endpoint="POST /v3/mail/batch", handler="sendgrid.scheduled_sends:create",
            audit=Unaudited.READS,
            summary="Create a batch id",
            description="Mails that name the batch id can be cancelled or paused together.",
            responses={201: "sendgrid.views:SendGridBatchView"}),
        Operation(name="SendGridShowBatch", endpoint="GET /v3/mail/batch/{batch_id}", handler="sendgrid.scheduled_sends:show",
            summary="Validate a batch id", description="Returns 200 for a batch id of the caller, else 400.",
            parameters=(given.BATCH_ID,), responses={200: "sendgrid.views:SendGridBatchView"}, errors=(400,)),
        Operation(name="SendGridListScheduledSends", endpoint="GET /v3/user/scheduled_sends",
            handler="sendgrid.scheduled_sends:index",
            summary="List cancelled and paused batches",
            description="Returns every batch of the caller that is cancelled or paused.",
            responses={200: _STOPPED}),
        Operation(name="SendGridStopScheduledSend", endpoint="POST /v3/user/scheduled_sends",
            handler="sendgrid.scheduled_sends:stop",
            audit=Audit(members=("batch_id", "status")),
            summary="Cancel or pause a batch",
            description="Stops messages that still wait. `already_sent` counts the messages that can no longer be stopped.",
            body=Body(shape="sendgrid.shape:SendGridStop"), responses={201: "sendgrid.views:SendGridStoppedView"},
            errors=_OF_BODIES),
        Operation(name="SendGridShowScheduledSend", endpoint="GET /v3/user/scheduled_sends/{batch_id}",
            handler="sendgrid.scheduled_sends:show_stop",
            summary="Get the status of a batch",
            description="Returns a list of one, or an empty list when the batch is neither cancelled nor paused.",
            parameters=(given.BATCH_ID,), responses={200: _STOPPED}, errors=(400,)),
        Operation(name="SendGridChangeScheduledSend", endpoint="PATCH /v3/user/scheduled_sends/{batch_id}",
            handler="sendgrid.scheduled_sends:change",
            audit=Audit(members=("status",), resource="auditing.resources:scheduled_send"),
            summary="Change the status of a batch", description="Cancels a paused batch, or pauses a cancelled one.",
            parameters=(given.BATCH_ID,), body=Body(shape="sendgrid.shape:SendGridStatus", example={"status": "pause"}),
            responses={204: ""}, errors=(*_OF_BODIES, 404)),
        Operation(name="SendGridReleaseScheduledSend", endpoint="DELETE /v3/user/scheduled_sends/{batch_id}",
            handler="sendgrid.scheduled_sends:release",
            audit=Audit(resource="auditing.resources:scheduled_send"),
            summary="Resume a batch", description="Messages that still wait are sent.",
            parameters=(given.BATCH_ID,), responses={204: ""}, errors=(400, 404)),
        Operation(name="SendGridListScopes", endpoint="GET /v3/scopes", handler="sendgrid.scheduled_sends:scopes",
            summary="List the scopes of the key",
            description="Returns the scopes that every key has; the client's policy decides what it may send.",
            responses={200: "sendgrid.views:SendGridScopesView"}),
    ),
)
# fmt: on
