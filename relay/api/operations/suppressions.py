"""Operations about suppressions."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.roles import OPERATORS

# fmt: off
TAG = Tag(
    name="Suppressions",
    description="Manage the addresses that Relay does not send to.",
    operations=(
        Operation(name="ListSuppressions", endpoint="GET /v1/suppressions", cost=5, handler="resources.suppressions:index",
            summary="List suppressions",
            description="Returns a page of the caller's suppressions. Operators get those of every client, or with "
                "`client` those of one.",
            parameters=(given.CLIENT, given.CURSOR), responses={200: "shapes.resources:SuppressionPageView"},
            errors=(400, 404)),
        Operation(name="AddSuppression", endpoint="POST /v1/suppressions", handler="resources.suppressions:add",
            audit=Audit(members=("email", "client", "for_all")),
            summary="Suppress an address",
            description="Replaces an earlier entry for the address. Operators suppress it for every client.",
            body=Body(shape="shapes.admin_requests:SuppressionRequest", example={"email": "ada@example.com"}),
            responses={201: "shapes.resources:SuppressionView"}, errors=(*OF_BODIES, 404)),
        Operation(name="ImportSuppressions", endpoint="POST /v1/suppressions/import", cost=10,
            handler="resources.suppressions:take_list",
            audit=Audit(members=("client", "for_all")),
            summary="Import suppressions",
            description="Imports all rows or none. The body is JSON, or CSV with a header line.",
            parameters=(given.CLIENT,),
            body=Body(shape="shapes.admin_requests:SuppressionImport", others=("text/csv",),
                example={"value": [{"email": "ada@example.com"}]},
                other_example="email,note\r\nada@example.com,asked by phone\r\n"),
            responses={200: "shapes.resources:SuppressionsImportedView"}, errors=(*OF_BODIES, 404)),
        Operation(name="ExportSuppressions", endpoint="GET /v1/suppressions/export", cost=10,
            handler="resources.suppressions:export",
            summary="Export suppressions", description="Returns the whole list as CSV that the import accepts.",
            parameters=(given.CLIENT,), responses={200: "text/csv"}, errors=(404,)),
        Operation(name="SynchronizeSuppressions", endpoint="POST /v1/suppressions/sync", cost=10,
            handler="resources.suppressions:synchronize", roles=OPERATORS,
            audit=Audit(members=("route",)),
            summary="Copy a provider's suppression lists",
            description="Adds the addresses that the provider of a route lists, and removes those that it no longer "
                "lists. Returns 422 when the provider has no such lists.",
            body=Body(shape="shapes.admin_requests:SyncRequest"),
            responses={200: "shapes.resources:SuppressionsSynchronizedView"}, errors=(*OF_BODIES, 404, 422)),
        Operation(name="ShowSuppression", endpoint="GET /v1/suppressions/{email}", handler="resources.suppressions:show",
            summary="Look up an address",
            description="Returns the suppressions of one address, and 404 when it is not suppressed.",
            parameters=(given.EMAIL, given.CLIENT), responses={200: "shapes.resources:SuppressionListView"}, errors=(404,)),
        Operation(name="RemoveSuppression", endpoint="DELETE /v1/suppressions/{email}", handler="resources.suppressions:remove",
            audit=Audit(members=("client",), resource="auditing.resources:suppression"),
            summary="Remove a suppression",
            description="Returns 204 also when the address is not suppressed. Operators remove it for every client, and with "
                "`client` also for that one; 404 when there is no such client.",
            parameters=(given.EMAIL, given.CLIENT), responses={204: ""}, errors=(404,)),
    ),
)
# fmt: on
