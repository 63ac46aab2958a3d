"""Check the settings of events and suppressions. Loaded only if one of them is set."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from relay.events.sendgrid import key_fault
from relay.platform.secrets import reference_problem

if TYPE_CHECKING:
    from relay.core.settings import Settings

_REASONS = ("bounced", "complained", "unsubscribed", "manual", "provider")


def event_problems(settings: "Settings") -> Iterator[str]:
    """Yield the problems of the settings of events and suppressions."""
    for number, key in enumerate(settings.sendgrid_event_keys, 1):
        if fault := key_fault(key):
            yield f"RELAY_SENDGRID_EVENT_KEYS: key {number} {fault}"
    if settings.event_grid_secret and (fault := reference_problem(settings.event_grid_secret)):
        yield f"RELAY_EVENT_GRID_SECRET: {fault}"
    for number, each in enumerate(settings.bounce_mailboxes):
        route = settings.routes.get(each.route)
        if route is None or route.provider != "graph":
            yield f"RELAY_BOUNCE_MAILBOXES[{number}].route: must be a route whose provider is graph"
        if "@" not in each.mailbox:
            yield f"RELAY_BOUNCE_MAILBOXES[{number}].mailbox: must be an address"
    yield from _trace_problems(settings)
    for reason, rule in settings.suppression_rules.items():
        if reason not in _REASONS:
            yield f"RELAY_SUPPRESSIONS.{reason}: there is no such reason; there are {', '.join(_REASONS)}"
        if not 0 <= rule.days <= 3650:
            yield f"RELAY_SUPPRESSIONS.{reason}.days: must be from 0 (for ever) to 3650"


def _trace_problems(settings: "Settings") -> Iterator[str]:
    from relay.providers.graph.message_trace import check_settings

    covered: set[str] = set()
    for number, trace in enumerate(settings.message_traces):
        where = f"RELAY_MESSAGE_TRACE[{number}]"
        yield from (f"{where}.{problem}" for problem in check_settings(trace.settings))
        if not trace.routes:
            yield f"{where}.routes: must name a route"
        for name in trace.routes:
            route = settings.routes.get(name)
            if route is None or route.provider != "graph":
                yield f"{where}.routes: {name!r} is not a route whose provider is graph"
            if name in covered:
                yield f"{where}.routes: {name!r} is named twice; each route sends in one tenant"
            covered.add(name)
