"""Check everything a relay needs."""

import msgspec

from relay.api.http import Response, json_response
from relay.api.services import Call
from relay.api.shapes.system import DoctorView, FindingView
from relay.operations.doctor.findings import worst
from relay.operations.doctor.run import examine


async def run(call: Call) -> Response:
    """Handle GET /v1/doctor. Always 200; takes seconds."""
    findings = await examine(call.services)
    value = [msgspec.convert(finding, FindingView, from_attributes=True) for finding in findings]
    return json_response(DoctorView(health=worst(findings), value=value))
