"""Check unsubscribe links: their address, and the signatures that must cover them, as far as they are known.

A DKIM signature must cover both fields, or mail programs offer no click (RFC 8058 section 4). The provider or the mail server
signs after Relay has handed the mail over, so Relay cannot see it. docs/how-to/unsubscribe.md says what is known, with sources.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from relay.operations.doctor.findings import Finding, fault, ok, warning
from relay.platform.resources import TOPICS_TABLE
from relay.platform.storage.ports import Query

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

ABOUT = "unsubscribe links"
_KNOWN = {
    "graph": "Exchange Online signs neither field, as far as its signatures show",
    "sendgrid": "SendGrid's signatures had only one of the two fields in 2019; Twilio does not document which they have now",
    "acs": "Microsoft does not document which fields Azure Communication Services signs",
    "smtp": "which fields the mail server signs is a setting of the server; OpenDKIM leaves List-Unsubscribe-Post out by default",
}
_WHY = "Gmail and Yahoo show no unsubscribe button unless DKIM covers List-Unsubscribe and List-Unsubscribe-Post (RFC 8058)."
_FIX = "Send a message with a topic to yourself, save it, and run: relay doctor --mail received.eml"


async def unsubscribe(services: "DoctorServices") -> Sequence[Finding]:
    """Check the address of the links, and name what to check at each provider. Returns nothing while no client has a topic."""
    page = await services.storage.tables.query(TOPICS_TABLE, Query(select=()), limit=1)
    if not page.entities:
        return []
    from relay.unsubscribe.links import public_url_problem

    problem = public_url_problem(services.settings.public_url)
    address = (
        fault(
            ABOUT,
            problem,
            "Messages with `unsubscribe` are refused, except from callers on the same machine.",
            "Set RELAY_PUBLIC_URL: docs/how-to/custom-domain.md.",
        )
        if problem
        else ok(ABOUT, f"links lead to {services.settings.public_url}")
    )
    providers = sorted({route.provider for route in services.settings.routes.values()} & _KNOWN.keys())
    return [address, *(warning(f"{ABOUT} by {each}", _KNOWN[each], _WHY, _FIX) for each in providers)]
