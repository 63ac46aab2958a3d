"""Checks a message trace: its identity, the permission, the service principal, and how far it was read."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from relay.core.outcomes import CAUSES
from relay.operations.doctor.findings import Finding, fault, ok, warning
from relay.providers.graph.message_trace import PERMISSION, SERVICE_PRINCIPAL, TraceFault

if TYPE_CHECKING:
    from relay.events.message_trace.reader import TraceReader
    from relay.operations.doctor.services import DoctorServices

_WHY = "Relay does not learn which mail of these routes arrived. Sending goes on."
_TEXTS = {
    "missing_service_principal": "The service principal of Exchange's message trace is missing in the tenant.",
    "missing_permission": f"The identity does not have the permission {PERMISSION}.",
}
_FIXES = {
    "missing_service_principal": "Run `New-MgServicePrincipal -AppId " + SERVICE_PRINCIPAL + "` as an administrator."
    " Exchange may take several hours to accept it.",
    "missing_permission": f"Grant the application permission {PERMISSION} with admin consent"
    " (docs/how-to/exchange-online.md).",
    "bad_credentials": "Create a new secret or certificate and store it where RELAY_MESSAGE_TRACE points.",
    "secret_unavailable": "Give the app's identity the role Key Vault Secrets User, and check that the secret exists.",
    "rate_limited": "Another program reads the message trace of this tenant. Relay waits for as long as Exchange asks.",
    "unreachable": "Check the network: DNS and firewall.",
}
_LATE = timedelta(hours=1)


def about(reader: "TraceReader") -> str:
    """Return the subject of a trace's findings."""
    return f"message trace of {', '.join(reader.routes)}"


async def trace(services: "DoctorServices", reader: "TraceReader") -> Sequence[Finding]:
    """Check one trace with one request of the tenant's budget."""
    name, now = about(reader), services.clock()
    if not await reader.budget.take():
        return [
            ok(name, "not asked: the tenant's requests of the last five minutes are used up, or Exchange refused more")
        ]
    answer = await reader.client.window(now - timedelta(minutes=20), now - timedelta(minutes=15), limit=1)
    if isinstance(answer, TraceFault):
        if answer.code == "rate_limited":
            await reader.budget.block(answer.retry_after_seconds)
        text = _TEXTS.get(answer.code) or f"{CAUSES.get(answer.code, answer.code)} {answer.reply}".strip()
        return [fault(name, text, _WHY, _FIXES.get(answer.code, "Follow the provider's error message."))]
    needless = await reader.client.needless_permissions()
    found = [ok(name, "the trace can be read")]
    if needless:
        why = "A leak of this identity would expose every mailbox of the company."
        fix = f"Use an identity of its own for the trace, with {PERMISSION} only."
        found.append(warning(name, f"its identity also has {', '.join(needless)}", why, fix))
    progress = await reader.progress()
    if progress is not None and now - progress.sure_until > _LATE:
        fix = "Look for `message_trace` lines in the log, and at the timer's step in the console."
        found.append(warning(name, f"it was read until {progress.sure_until:%Y-%m-%d %H:%M}Z only", _WHY, fix))
    return found
