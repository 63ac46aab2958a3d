"""Operations about clients and their keys."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.roles import OPERATORS

_POLICY = {"policy": {"senders": ["*@example.com"]}}

# fmt: off
TAG = Tag(
    name="Clients",
    description="Manage the applications that may call Relay, their policies and keys.",
    operations=(
        Operation(name="ListClients", endpoint="GET /v1/clients", handler="operator.clients:index", roles=OPERATORS,
            summary="List clients", description="Returns every client with its policy and the ids of its keys.",
            responses={200: "shapes.clients:ClientListView"}),
        Operation(name="CreateClient", endpoint="POST /v1/clients", handler="operator.clients:create", roles=OPERATORS,
            audit=Audit(members=("name", "role")),
            summary="Create a client",
            description="Returns 201 with the client's first key, which is shown only here, and 409 when the name is "
                "taken.",
            body=Body(shape="shapes.clients:ClientRequest", example={"name": "shop", **_POLICY}),
            responses={201: "shapes.clients:NewClientView"}, errors=(*OF_BODIES, 409)),
        Operation(name="ShowClient", endpoint="GET /v1/clients/{name}", handler="operator.clients:show", roles=OPERATORS,
            summary="Get a client", description="Shows the client's policy, and when each key was last used.",
            parameters=(given.CLIENT_NAME,), responses={200: "shapes.clients:ClientView"}, errors=(404,)),
        Operation(name="ChangeClient", endpoint="PATCH /v1/clients/{name}",
            handler="operator.clients:change", roles=OPERATORS,
            audit=Audit(members=("role", "is_disabled"), resource="auditing.resources:client"),
            summary="Change a client", description="Changes only the members that are present.",
            parameters=(given.CLIENT_NAME,), body=Body(shape="shapes.clients:ClientChange", example=_POLICY),
            responses={200: "shapes.clients:ClientView"}, errors=(*OF_BODIES, 404)),
        Operation(name="DeleteClient", endpoint="DELETE /v1/clients/{name}",
            handler="operator.clients:delete", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:client"),
            summary="Delete a client",
            description="Deletes its webhooks, unused uploads and suppressions too. A later client of the same name gets "
                "none of its data. Its messages stay; only operators see them from then on. Returns 409 for the caller itself.",
            parameters=(given.CLIENT_NAME,), responses={204: ""}, errors=(404, 409)),
        Operation(name="ReleaseClient", endpoint="POST /v1/clients/{name}/release",
            handler="operator.clients:release", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:client_hold"),
            summary="Release a client",
            description="Ends the hold of the client's lanes and sends the waiting messages. Mail that was sent before does not "
                "count any more. A client that is not held stays as it is.",
            parameters=(given.CLIENT_NAME,), responses={200: "shapes.clients:ClientView"}, errors=(404,)),
        Operation(name="ListClientWebhooks", endpoint="GET /v1/clients/{name}/webhooks",
            handler="resources.webhooks:index_of_client", roles=OPERATORS,
            summary="List a client's webhooks",
            description="Returns all webhooks of a client, such as those that a stolen key made.",
            parameters=(given.CLIENT_NAME,), responses={200: "shapes.webhooks:WebhookListView"}, errors=(404,)),
        Operation(name="DeleteClientWebhook", endpoint="DELETE /v1/clients/{name}/webhooks/{id}",
            handler="resources.webhooks:delete_of_client", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:webhook_of_client"),
            summary="Delete a client's webhook",
            description="Drops pending posts. Returns 204 even if the client has no such webhook.",
            parameters=(given.CLIENT_NAME, given.WEBHOOK_ID), responses={204: ""}, errors=(404,)),
        Operation(name="AddClientKey", endpoint="POST /v1/clients/{name}/keys",
            handler="operator.clients:add_key", roles=OPERATORS,
            audit=Audit(members=("role", "expires_in_seconds"), resource="auditing.resources:client"),
            summary="Add a key",
            description="Returns 201 with the key, which is shown only here, and 409 while two keys with its role are active.",
            parameters=(given.CLIENT_NAME,), body=Body(shape="shapes.clients:KeyRequest", is_required=False),
            responses={201: "shapes.clients:NewKeyView"}, errors=(*OF_BODIES, 404, 409)),
        Operation(name="RemoveClientKey", endpoint="DELETE /v1/clients/{name}/keys/{id}",
            handler="operator.clients:remove_key", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:client"),
            summary="Remove a key", description="Every process refuses the key within 30 seconds.",
            parameters=(given.CLIENT_NAME, given.KEY_ID), responses={204: ""}, errors=(404,)),
    ),
)
# fmt: on
