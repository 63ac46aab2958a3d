"""Choose the routes a message may take: pure decisions over the routing rules and the providers' capabilities."""

from collections.abc import Callable, Mapping, Sequence, Set

import msgspec

from relay.core.model import Address, Message, Part, Submission
from relay.core.settings import Route, Rule, Settings, When
from relay.routes import capabilities


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients (by number) that share an ordered list of routes. `routes` is empty when none can carry them."""

    recipients: tuple[int, ...]
    routes: tuple[str, ...]


_EVERYTHING = When()
type CapabilityCheck = Callable[[Route, Submission, int], str]
"""Returns why a route cannot carry a submission to this number of recipients; empty when it can."""


class Router:
    """Finds the routes that messages may take under the current settings."""

    def __init__(self, settings: Settings, refusal: CapabilityCheck = capabilities.refusal) -> None:
        self._settings = settings
        self._refusal = refusal

    def legs(self, submission: Submission, message: Message, lane: str) -> tuple[Leg, ...]:
        """Split a message's recipients by the routes they may take. Suppressed recipients are in no leg."""
        recipients: dict[tuple[str, ...], list[int]] = {}
        for number, recipient in enumerate(message.recipients):
            if number not in submission.suppressed:
                recipients.setdefault(self._configured(submission, message, lane, recipient), []).append(number)
        legs = [
            Leg(
                recipients=tuple(numbers),
                routes=tuple([name for name in routes if not self._reason(name, submission, message, len(numbers))]),
            )
            for routes, numbers in recipients.items()
        ]
        return tuple(legs)

    def refusals(self, submission: Submission, message: Message, lane: str) -> Mapping[str, str]:
        """Return why each route that the rules name for a message cannot carry it."""
        found: dict[str, str] = {}
        for recipient in message.recipients:
            for name in self._configured(submission, message, lane, recipient):
                if reason := self._reason(name, submission, message, len(message.recipients)):
                    found[name] = reason
        return found

    def alternative(
        self, part: Part, submission: Submission, message: Message, lane: str, *, without: Set[str] = frozenset()
    ) -> str | None:
        """Return another route that may take this part; None when there is none, or when its route is pinned.

        `without` names routes that are no alternative now.
        """
        if part.is_pinned:
            return None
        wanted = None if part.recipients is None else set(part.recipients)
        for leg in self.legs(submission, message, lane):
            if wanted is None or wanted & set(leg.recipients):
                return next((route for route in leg.routes if route not in {part.route, *without}), None)
        return None

    def _configured(self, submission: Submission, message: Message, lane: str, recipient: Address) -> tuple[str, ...]:
        """Return the routes that the request pins, or that the first matching rule names."""
        if submission.route is not None:
            return (submission.route,) if submission.route in self._settings.routes else ()
        for rule in self._settings.rules:
            if _applies(rule, submission, message, lane, recipient):
                return rule.routes
        raise ValueError("no rule applies to every message")

    def _reason(self, name: str, submission: Submission, message: Message, recipients: int) -> str:
        route = self._settings.routes[name]
        if not may_send_for(route, message.sender):
            return f"route {name} may not send for this From address"
        return self._refusal(route, submission, recipients)


def may_send_for(route: Route, sender: Address) -> bool:
    """Return whether the route's `senders` patterns match this From address."""
    return admits(route.senders, sender.email)


def admits(patterns: Sequence[str], email: str) -> bool:
    """Return whether one of these patterns matches an address."""
    return "*" in patterns or any(matches(pattern, email) for pattern in patterns)


def matches(pattern: str, email: str) -> bool:
    """Match a pattern (`*`, an address, or `*@domain`) against an address, ignoring case."""
    if pattern == "*":
        return True
    pattern, email = pattern.lower(), email.lower()
    return pattern == email or (pattern.startswith("*@") and email.endswith(pattern[1:]))


def _applies(rule: Rule, submission: Submission, message: Message, lane: str, recipient: Address) -> bool:
    when = rule.when
    return when == _EVERYTHING or (
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
