"""Operations about Relay itself."""

from relay.api.operation import JSON, Audit, Operation, Tag
from relay.api.operations import parameters as given
from relay.clients.roles import AUDITORS, EVERY_ROLE, OPERATORS, WATCHERS

# fmt: off
TAG = Tag(
    name="System",
    description="Check that Relay works, how much mail it moves, and who changed what.",
    operations=(
        Operation(name="ShowOverview", endpoint="GET /v1/overview", handler="operator.overview:show", roles=WATCHERS,
            summary="Get an overview",
            description="Returns counts of the messages of a span, time to send, queues, routes and dead letters.",
            parameters=(given.SPAN,), responses={200: "shapes.system:OverviewView"}, errors=(400,)),
        Operation(name="ListArrivals", endpoint="GET /v1/arrivals", handler="operator.arrivals:show", roles=WATCHERS,
            summary="List the rates of bounces and complaints",
            description="Counts the recipients of the mail that was accepted in a span by the arrival of their copies, for each "
                "client, tag, route, recipient domain, hour or day. The running hour is counted every ten minutes.",
            parameters=given.ARRIVALS, responses={200: "shapes.system:ArrivalListView"}, errors=(400,)),
        Operation(name="ExportArrivals", endpoint="GET /v1/arrivals/export", handler="operator.arrivals:export",
            roles=WATCHERS,
            summary="Export the rates of bounces and complaints as CSV",
            description="Returns the rows of the list. A cell that a spreadsheet would take for a formula begins with an "
                "apostrophe.",
            parameters=given.ARRIVALS, responses={200: "text/csv"}, errors=(400,)),
        Operation(name="RunDoctor", endpoint="GET /v1/doctor", handler="operator.doctor:run", roles=OPERATORS,
            summary="Run the doctor",
            description="Checks settings, storage, providers and DNS, and explains each problem and its fix. Takes "
                "seconds; returns 200 even if it finds problems.",
            responses={200: "shapes.system:DoctorView"}),
        Operation(name="ListTimers", endpoint="GET /v1/timers", handler="operator.timers:index", roles=OPERATORS,
            summary="List the timers' steps",
            description="Returns every step with its last run: when it was, what it did, and whether it left work.",
            responses={200: "shapes.system:TimerListView"}),
        Operation(name="RunTimer", endpoint="POST /v1/timers/{name}/run", handler="operator.timers:run", roles=OPERATORS,
            audit=Audit(),
            summary="Run a timer's step now",
            description="Runs the step for at most 25 seconds and returns its report. Repeat the request while `is_complete` is "
                "false. Only one step can run: while another one runs, the response is 409.",
            parameters=(given.STEP_NAME,), responses={200: "shapes.system:TimerRunView"}, errors=(404, 409)),
        Operation(name="ListAuditRecords", endpoint="GET /v1/audit", cost=5, handler="operator.audit:index", roles=AUDITORS,
            summary="List the audit log",
            description="Returns a page of the calls that changed something, or tried to, newest first. A page may be "
                "empty and still have a `next_link`.",
            parameters=given.AUDIT, responses={200: "shapes.system:AuditPageView"}, errors=(400,)),
        Operation(name="ExportAuditCsv", endpoint="GET /v1/audit/export.csv", cost=10, handler="operator.audit:export_csv",
            roles=AUDITORS,
            summary="Export the audit log as CSV",
            description="Returns a page of records; `Link` with `rel=\"next\"` names the next one, which has no header line. "
                "A cell that a spreadsheet would take for a formula begins with an apostrophe.",
            parameters=given.AUDIT, responses={200: "text/csv"}, errors=(400,)),
        Operation(name="ExportAuditJsonLines", endpoint="GET /v1/audit/export.jsonl", cost=10,
            handler="operator.audit:export_json_lines", roles=AUDITORS,
            summary="Export the audit log as JSON lines",
            description="Returns a page of records, one in each line. `Link` with `rel=\"next\"` names the next page.",
            parameters=given.AUDIT, responses={200: "text/plain"}, errors=(400,)),
        Operation(name="ShowCaller", endpoint="GET /v1/me", handler="operator.clients:me", roles=EVERY_ROLE,
            summary="Get the calling client", description="Shows the name and role that the key belongs to, "
                "the operations that the role may call, and the version of Relay.",
            responses={200: "shapes.clients:SignedInView"}),
        Operation(name="Health", endpoint="GET /v1/health", handler="resources.health:alive", roles=None,
            summary="Check that the process answers", description="Uses no storage.",
            responses={200: "shapes.system:LivenessView"}),
        Operation(name="Ready", endpoint="GET /v1/ready", handler="resources.health:ready", roles=None,
            summary="Check that Relay can work",
            description="Returns 200 when storage answers, else 503; a few seconds old at most. With the key of an operator it "
                "also returns the state of each route.",
            responses={200: "shapes.system:ReadinessView", 503: "shapes.system:ReadinessView"}),
        Operation(name="ShowOpenApi", endpoint="GET /openapi.json", handler="openapi.document:show", roles=None,
            summary="Get this document", description="The server's address is the one that the request used.",
            responses={200: JSON}),
    ),
)
# fmt: on
