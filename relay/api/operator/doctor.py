"""Operators: is everything as a relay needs it?"""

from relay.api.app import Call
from relay.api.http import Response, json_response
from relay.operations.doctor.findings import worst
from relay.operations.doctor.run import examine as run


async def examine(call: Call) -> Response:
    """GET /v1/doctor: every finding, with what mends it, and the health of the whole. Always 200; takes seconds."""
    findings = await run(call.services)
    return json_response({"health": str(worst(findings)), "value": findings})
