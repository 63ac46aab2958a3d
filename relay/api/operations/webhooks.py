"""Operations about webhooks."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag
from relay.api.operations import parameters as given

_WEBHOOK = {"url": "https://example.com/mail", "events": ["bounced"]}

# fmt: off
TAG = Tag(
    name="Webhooks",
    description="Have events about messages posted to a URL.",
    operations=(
        Operation(name="ListWebhooks", endpoint="GET /v1/webhooks", handler="resources.webhooks:index",
            summary="List webhooks", description="Returns all webhooks of the caller.",
            responses={200: "shapes.webhooks:WebhookListView"}),
        Operation(name="CreateWebhook", endpoint="POST /v1/webhooks", handler="resources.webhooks:create",
            audit=Audit(),
            summary="Create a webhook",
            description="Returns 201 with `Location` and the signing secret, which is shown only here. The same "
                "`callbackUrl` again replaces its webhook.",
            body=Body(shape="shapes.webhooks:WebhookRequest", example=_WEBHOOK),
            responses={201: "shapes.webhooks:WebhookView"}, errors=OF_BODIES),
        Operation(name="RemoveCallback", endpoint="DELETE /v1/webhooks", handler="resources.webhooks:remove_callback",
            audit=Audit(),
            summary="Delete a webhook by its URL",
            description="Deletes the webhook of a `callbackUrl`, as Logic Apps does. Returns 204 even if there is "
                "none.",
            parameters=(given.CALLBACK,), body=Body(shape="shapes.webhooks:CallbackRemoval", is_required=False),
            responses={204: ""}, errors=OF_BODIES),
        Operation(name="ShowWebhook", endpoint="GET /v1/webhooks/{id}", handler="resources.webhooks:show",
            summary="Get a webhook", description="Shows whether posts succeed and, if it was disabled, why.",
            parameters=(given.WEBHOOK_ID,), responses={200: "shapes.webhooks:WebhookView"}, errors=(404,)),
        Operation(name="ChangeWebhook", endpoint="PATCH /v1/webhooks/{id}", handler="resources.webhooks:change",
            audit=Audit(members=("is_enabled", "rotate_secret"), resource="auditing.resources:webhook"),
            summary="Change a webhook",
            description="Changes only the members that are present. `rotate_secret` makes a new signing secret and "
                "shows it.",
            parameters=(given.WEBHOOK_ID,),
            body=Body(shape="shapes.webhooks:WebhookChange", example={"events": ["bounced", "complained"]}),
            responses={200: "shapes.webhooks:WebhookView"}, errors=(*OF_BODIES, 404)),
        Operation(name="DeleteWebhook", endpoint="DELETE /v1/webhooks/{id}", handler="resources.webhooks:delete",
            audit=Audit(resource="auditing.resources:webhook"),
            summary="Delete a webhook",
            description="Drops pending posts. Returns 204 even if there is no such webhook.",
            parameters=(given.WEBHOOK_ID,), responses={204: ""}),
        Operation(name="TestWebhook", endpoint="POST /v1/webhooks/{id}/test", cost=5, handler="resources.webhooks:test",
            audit=Audit(resource="auditing.resources:webhook"),
            summary="Test a webhook", description="Posts a test event now and returns the receiver's response.",
            parameters=(given.WEBHOOK_ID,), responses={200: "shapes.webhooks:WebhookDeliveryView"}, errors=(404,)),
        Operation(name="ListWebhookDeliveries", endpoint="GET /v1/webhooks/{id}/deliveries",
            handler="resources.webhooks:deliveries",
            summary="List posts to a webhook", description="Returns the posts of the last week, newest first.",
            parameters=(given.WEBHOOK_ID, given.CURSOR), responses={200: "shapes.webhooks:WebhookDeliveryPageView"},
            errors=(400, 404)),
    ),
)
# fmt: on
