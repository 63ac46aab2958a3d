"""What the provider of each route can report of the mail it took, by today's settings.

`delivered` comes only by a webhook of the vendor or by a message trace (docs/reference/events.md). A mailbox that Relay reads
gets bounces, but no reports of deliveries: Relay does not ask for them (RFC 3461), because few servers send them.
"""

from collections.abc import Callable

from relay.core.arrival.arrivals import Reports
from relay.core.settings import Route, Settings


def reports_of(settings: Settings) -> Callable[[str], Reports]:
    """Return what can be reported, by the name of a route. Of a route that is no longer configured nothing can be."""
    known = {name: _reports(route, settings) for name, route in settings.routes.items()}
    return lambda route: known.get(route, Reports.NONE)


def _reports(route: Route, settings: Settings) -> Reports:
    webhooks = {"sendgrid": bool(settings.sendgrid_event_keys), "acs": bool(settings.event_grid_secret)}
    is_traced = any(route.name in trace.routes for trace in settings.message_traces)
    if is_traced or webhooks.get(route.provider, False):
        return Reports.ALL
    has_mailbox = any(mailbox.route == route.name for mailbox in settings.bounce_mailboxes)
    # The return path of mail by SMTP may be any mailbox, also one that another route's identity reads.
    is_read = has_mailbox or (route.provider == "smtp" and bool(settings.bounce_mailboxes))
    return Reports.BOUNCES if is_read else Reports.NONE
