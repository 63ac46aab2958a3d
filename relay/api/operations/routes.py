"""Operations about routes."""

from relay.api.operation import OF_BODIES, Audit, Body, Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.roles import OPERATORS, WATCHERS

# fmt: off
TAG = Tag(
    name="Routes",
    description="Hold, release and probe the routes by which mail leaves, and pause all of them.",
    operations=(
        Operation(name="ListRoutes", endpoint="GET /v1/routes", handler="operator.routes:index", roles=WATCHERS,
            summary="List routes", description="Returns every configured route with its state and holds.",
            responses={200: "shapes.routes:RouteListView"}),
        Operation(name="HoldRoute", endpoint="POST /v1/routes/{name}/hold", handler="operator.routes:hold", roles=OPERATORS,
            audit=Audit(members=("reason", "until"), resource="auditing.resources:route"),
            summary="Hold a route",
            description="No mail leaves by this route until it is released, or until `until`: then Relay probes it, and "
                "sends the waiting messages if it is healthy. A repeated request replaces reason, owner and end.",
            parameters=(given.ROUTE_NAME,),
            body=Body(shape="shapes.routes:HoldRequest", is_required=False, example={"reason": "maintenance"}),
            responses={200: "shapes.routes:HoldView"}, errors=(*OF_BODIES, 404)),
        Operation(name="ReleaseRoute", endpoint="POST /v1/routes/{name}/release",
            handler="operator.routes:release", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:route"),
            summary="Release a route",
            description="Ends the hold of the route and of every sender on it, and sends the waiting messages.",
            parameters=(given.ROUTE_NAME,), responses={200: "shapes.routes:RouteReleasedView"}, errors=(404,)),
        Operation(name="ProbeRoute", endpoint="POST /v1/routes/{name}/probe",
            handler="operator.routes:probe", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:route"),
            summary="Probe a route",
            description="Asks the provider now. If the route is held and healthy, releases one canary batch.",
            parameters=(given.ROUTE_NAME,), responses={200: "shapes.routes:ProbeView"}, errors=(404,)),
        Operation(name="ShowPause", endpoint="GET /v1/pause", handler="operator.pause:show", roles=WATCHERS,
            summary="Check whether delivery is paused",
            description="Returns the routes that the pause holds and the number of attempts that still run.",
            responses={200: "shapes.routes:PauseView"}),
        Operation(name="PauseDelivery", endpoint="POST /v1/pause", handler="operator.pause:pause", roles=OPERATORS,
            audit=Audit(members=("reason", "until"), resource="auditing.resources:routes"),
            summary="Pause delivery",
            description="Holds every route and waits until no attempt runs, or until `wait_seconds` are over. Relay "
                "still accepts mail. Repeat the request while `is_quiet` is false, for example before a deployment. With "
                "`until`, Relay probes each route then and resumes.",
            body=Body(shape="shapes.routes:PauseRequest", is_required=False, example={"reason": "deployment"}),
            responses={200: "shapes.routes:PauseView"}, errors=OF_BODIES),
        Operation(name="ResumeDelivery", endpoint="POST /v1/resume", handler="operator.pause:resume", roles=OPERATORS,
            audit=Audit(resource="auditing.resources:routes"),
            summary="Resume delivery",
            description="Ends the holds that the pause made and sends the waiting messages. Other holds stay; a route that was "
                "at fault before the pause is probed at once.",
            responses={200: "shapes.routes:ResumedView"}),
    ),
)
# fmt: on
