"""What the provider of each route can report of the mail it took, by today's settings.

`delivered` comes only by a webhook of the vendor or by a message trace (docs/reference/events.md). A mailbox that Relay reads
gets bounces, but no reports of deliveries: Relay does not ask for them (RFC 3461), because few servers send them.
"""

from collections.abc import Callable

from relay.core.arrival.arrivals import Reports
from relay.core.settings import Route, Settings

_TENANTS = "graph"
"""The provider whose routes without a `tenant_id` are all of one tenant: that of the app's managed identity."""


def reports_of(settings: Settings) -> Callable[[str], Reports]:
    """Return what can be reported, by the name of a route. Of a route that is no longer configured nothing can be."""
    known = {name: _reports(route, settings) for name, route in settings.routes.items()}
    return lambda route: known.get(route, Reports.NONE)


def gets_reports(settings: Settings, mailbox: str, read_by: str, route: str, sender: str) -> bool:
    """Whether a mailbox, which the identity of a route reads, is of the tenant in which another route sends.

    Only then reports in it can be about that route: in another tenant, others may write what looks like Exchange's own report.
    Where the settings of one of the two do not name its tenant, the domains must be equal: each is of one tenant only.
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
