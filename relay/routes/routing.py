"""Which way a message goes: pure decisions over settings and the states of the routes."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from relay.core.model import Address, Message, Submission
from relay.core.settings import Route, Rule, Settings


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients (numbers) that share an ordered list of routes. `routes` is empty when none may carry them."""

    recipients: tuple[int, ...]
    routes: tuple[str, ...]


type Carries = Callable[[Route, Submission, int], str]
"""Why a route cannot carry a submission to so many recipients, or an empty text when it can
(`relay.routes.capabilities.obstacle`)."""


def legs(settings: Settings, submission: Submission, message: Message, lane: str, carries: Carries) -> tuple[Leg, ...]:
    """Split a message's recipients by the routes they may take. Suppressed recipients are in no leg."""
    ways: dict[tuple[str, ...], list[int]] = {}
    for number, recipient in enumerate(message.recipients):
        if number not in submission.suppressed:
            ways.setdefault(_routes_for(settings, submission, message, lane, recipient), []).append(number)
    return tuple(
        Leg(
            recipients=tuple(numbers),
            routes=tuple(
                name
                for name in routes
                if not _reason(settings.routes[name], submission, message, len(numbers), carries)
            ),
        )
        for routes, numbers in ways.items()
    )


def obstacles(
    settings: Settings, submission: Submission, message: Message, lane: str, carries: Carries
) -> Mapping[str, str]:
    """For each route a message would take by the rules and cannot: why."""
    found: dict[str, str] = {}
    for recipient in message.recipients:
        for name in _routes_for(settings, submission, message, lane, recipient):
            reason = _reason(settings.routes[name], submission, message, len(message.recipients), carries)
            if reason:
                found[name] = reason
    return found


def may_send_for(route: Route, sender: Address) -> bool:
    """Whether the route's `senders` patterns admit this From address."""
    return any(matches(pattern, sender.email) for pattern in route.senders)


def matches(pattern: str, email: str) -> bool:
    """`*`, an address, or `*@domain`; letters' case does not matter."""
    pattern, email = pattern.lower(), email.lower()
    return pattern in ("*", email) or (pattern.startswith("*@") and email.endswith(pattern[1:]))


def _routes_for(
    settings: Settings, submission: Submission, message: Message, lane: str, recipient: Address
) -> tuple[str, ...]:
    if submission.route is not None:
        return (submission.route,) if submission.route in settings.routes else ()
    return next(rule.routes for rule in settings.rules if _applies(rule, submission, message, lane, recipient))


def _applies(rule: Rule, submission: Submission, message: Message, lane: str, recipient: Address) -> bool:
    when = rule.when
    return (
        (not when.lanes or lane in when.lanes)
        and (not when.clients or submission.client in when.clients)
        and (not when.sender_domains or _in_domains(message.sender.domain, when.sender_domains))
        and (not when.recipient_domains or _in_domains(recipient.domain, when.recipient_domains))
        and (when.min_bytes is None or submission.size >= when.min_bytes)
        and (when.max_bytes is None or submission.size <= when.max_bytes)
    )


def _in_domains(domain: str, patterns: Sequence[str]) -> bool:
    return any(
        domain == pattern.lower() or (pattern.startswith("*.") and domain.endswith(pattern[1:].lower()))
        for pattern in patterns
    )


def _reason(route: Route, submission: Submission, message: Message, recipients: int, carries: Carries) -> str:
    if not may_send_for(route, message.sender):
        return f"route {route.name} may not send for this From address"
    return carries(route, submission, recipients)
