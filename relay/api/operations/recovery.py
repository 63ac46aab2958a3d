"""Operations about mail that failed or was lost, and about erasing messages."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.roles import OPERATORS, STATE_READERS, WATCHERS

# fmt: off
TAG = Tag(
    name="Recovery",
    description="Redrive or discard dead letters, resend lost mail, and erase a recipient's messages.",
    operations=(
        Operation(name="ListDeadLetters", endpoint="GET /v1/deadletters",
            handler="operator.dead_letters:index", roles=WATCHERS,
            summary="List dead letters",
            description="Returns counts by cause, or with `code` a page of the dead letters of one cause.",
            parameters=(given.CODE, given.CURSOR), responses={200: "shapes.recovery:DeadLetterPageView"},
            errors=(400,)),
        Operation(name="RedriveDeadLetters", endpoint="POST /v1/deadletters/redrive",
            handler="operator.dead_letters:redrive", roles=OPERATORS,
            audit=Audit(members=("code", "ids", "route", "sender")),
            summary="Redrive dead letters",
            description="Puts dead letters back on the queue, chosen by message ids or by cause. Repeat the request "
                "while `is_more` is true.",
            body=Body(shape="shapes.requests:DeadLetterRedrive", example={"code": "sender_not_verified"}),
            responses={200: "shapes.recovery:RedrivenView"}, errors=(*OF_BODIES, 404)),
        Operation(name="DiscardDeadLetters", endpoint="POST /v1/deadletters/discard",
            handler="operator.dead_letters:discard", roles=OPERATORS,
            audit=Audit(members=("code", "ids")),
            summary="Discard dead letters",
            description="Removes dead letters from the list; the messages' records stay until their retention ends. "
                "Repeat the request while `is_more` is true.",
            body=Body(shape="shapes.requests:DeadLetterChoice", example={"code": "sender_not_verified"}),
            responses={200: "shapes.recovery:DiscardedView"}, errors=(*OF_BODIES, 404)),
        Operation(name="ListCauses", endpoint="GET /v1/causes", handler="operator.dead_letters:list_causes", roles=STATE_READERS,
            summary="List causes of failure",
            description="Returns every cause that an attempt or a dead letter can have, with its meaning.",
            responses={200: "shapes.recovery:CauseListView"}),
        Operation(name="RedriveLostMail", endpoint="POST /v1/redrive",
            handler="operator.resend_lost:resend_lost", roles=OPERATORS,
            audit=Audit(members=("route", "sent_since", "sent_before", "to_route", "dry_run")),
            summary="Resend mail that a provider lost",
            description="Scans some records and puts back mail that a route sent in a period and that was never "
                "delivered. Repeat the request with `cursor` while `is_more` is true.",
            body=Body(shape="shapes.recovery:ResendLostRequest"),
            responses={200: "shapes.recovery:LostResentView"}, errors=OF_BODIES),
        Operation(name="EraseRecipient", endpoint="POST /v1/erase", handler="operator.erase:recipient", roles=OPERATORS,
            audit=Audit(members=("recipient", "dry_run")),
            summary="Erase a recipient's messages",
            description="Scans some records and erases the content of messages to an address. Repeat the request with "
                "`cursor` while `is_more` is true.",
            body=Body(shape="shapes.recovery:EraseRequest", example={"recipient": "ada@example.com", "dry_run": True}),
            responses={200: "shapes.recovery:ErasedView"}, errors=OF_BODIES),
    ),
)
# fmt: on
