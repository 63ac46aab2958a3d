"""Determine what each route's provider can report about accepted mail, by the current settings.

`delivered` comes only by a webhook of the vendor or by a message trace (docs/reference/events.md). A mailbox that Relay reads
gets bounces, but no reports of deliveries: Relay does not ask for them (RFC 3461), because few servers send them.
"""

from collections.abc import Callable

from relay.core.arrival.arrivals import Reports
from relay.core.settings import Route, Settings

_TENANTS = "graph"
"""The provider whose routes without a `tenant_id` all belong to one tenant: that of the app's managed identity."""


def reports_of(settings: Settings) -> Callable[[str], Reports]:
    """Return a function from a route's name to its reports: none for a route that is no longer configured."""
    known = {name: _reports(route, settings) for name, route in settings.routes.items()}
    return lambda route: known.get(route, Reports.NONE)


def gets_reports(settings: Settings, mailbox: str, read_by: str, route: str, sender: str) -> bool:
    """Return whether `mailbox`, read with the identity of route `read_by`, is in the tenant in which `route` sends.

    Only then can reports in it be about that route: in another tenant, others could forge what looks like Exchange's own report.
    If the settings of one of the two routes do not name its tenant, the domains must be equal: a domain is in one tenant only.
    """
    reader, known = settings.routes.get(read_by), settings.routes.get(route)
    if reader is None or known is None:
        return False
    if reader.name == known.name:
        return True
    tenants = [str(each.settings.get("tenant_id", "")).lower() for each in (reader, known)]
    if all(tenants) or (not any(tenants) and known.provider == _TENANTS):
        return tenants[0] == tenants[1]
    own = str(known.settings.get("mailbox", ""))
    return _domain(mailbox) == _domain(own if "@" in own else sender) != ""


def _domain(email: str) -> str:
    return email.rpartition("@")[2].lower()


def _reports(route: Route, settings: Settings) -> Reports:
    webhooks = {"sendgrid": bool(settings.sendgrid_event_keys), "acs": bool(settings.event_grid_secret)}
    is_traced = any(route.name in trace.routes for trace in settings.message_traces)
    if is_traced or webhooks.get(route.provider, False):
        return Reports.ALL
    has_mailbox = any(mailbox.route == route.name for mailbox in settings.bounce_mailboxes)
    # The return path of mail by SMTP may be any mailbox, also one that another route's identity reads.
    is_read = has_mailbox or (route.provider == "smtp" and bool(settings.bounce_mailboxes))
    return Reports.BOUNCES if is_read else Reports.NONE
