"""Operations about routes."""

from relay.api.operation import Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.registry import Role

TAG = Tag(
    name="Routes",
    description="Hold, release and probe the routes by which mail leaves.",
    operations=(
        Operation(
            name="ListRoutes",
            method="GET",
            path="/v1/routes",
            handler="operator.routes:index",
            role=Role.OPERATOR,
            summary="List routes",
            description="Returns every configured route with its state and holds.",
            responses={200: "shapes.operator:RouteListView"},
        ),
        Operation(
            name="HoldRoute",
            method="POST",
            path="/v1/routes/{name}/hold",
            handler="operator.routes:hold",
            role=Role.OPERATOR,
            summary="Hold a route",
            description="No mail leaves by this route until it is released.",
            parameters=(given.ROUTE_NAME,),
            responses={200: "shapes.operator:HoldView"},
            errors=(404,),
        ),
        Operation(
            name="ReleaseRoute",
            method="POST",
            path="/v1/routes/{name}/release",
            handler="operator.routes:release",
            role=Role.OPERATOR,
            summary="Release a route",
            description="Ends the hold of the route and of every sender on it, and sends what waits.",
            parameters=(given.ROUTE_NAME,),
            responses={200: "shapes.operator:RouteReleasedView"},
            errors=(404,),
        ),
        Operation(
            name="ProbeRoute",
            method="POST",
            path="/v1/routes/{name}/probe",
            handler="operator.routes:probe",
            role=Role.OPERATOR,
            summary="Probe a route",
            description="Asks the provider now. If the route is held and healthy, releases one canary batch.",
            parameters=(given.ROUTE_NAME,),
            responses={200: "shapes.operator:ProbeView"},
            errors=(404,),
        ),
    ),
)
