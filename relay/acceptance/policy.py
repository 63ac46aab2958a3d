"""Check a draft against the client's policy and the routes: a pure decision between parsing and acceptance.

A refusal names every broken rule at once: what the policy forbids (403), what no route can carry (422).
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import partial

import msgspec

from relay.acceptance.draft import Draft
from relay.clients.policy import Policy
from relay.clients.registry import Client
from relay.core.errors import Problem, Refusal
from relay.core.model import Address, Message, Rebuilt, Submission, Unsubscribe
from relay.core.settings import DEFAULT_LANE, Settings
from relay.mime.file_names import files_in_text, kinds_of, readings
from relay.mime.size import attachments_size, estimate_size
from relay.routes import capabilities, routing
from relay.routes.recipient_budget.limits import excess


class LinkedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message about a topic with its link in it, as it is sent.

    `replaced` names options of a provider that do the same as the link on its routes (`sendgrid.asm`).
    """

    message: Message
    unsubscribe: Unsubscribe
    replaced: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A message that may be accepted: the submission to store, its lane, and the routes of its recipients."""

    submission: Submission
    lane: str
    legs: tuple[routing.Leg, ...]


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, section 3.2; any other value is not stored."""


def decide(
    *,
    client: Client,
    draft: Draft,
    settings: Settings,
    now: datetime,
    traceparent: str | None,
    suppressed: Callable[[Sequence[Address]], Mapping[int, str]] = lambda _: {},
    linked: Callable[[Message], LinkedMessage] | None = None,
) -> Verdict:
    """Decide how a message is accepted. Raises `Refusal` with every reason against it.

    `linked` gives a message about a topic its unsubscribe link, once its recipient is certain.
    """
    policy = client.policy
    lane = draft.lane or (policy.lanes[0] if policy.lanes else DEFAULT_LANE)
    _raise_if(
        400,
        "invalid_request",
        "The request names a lane or route that does not exist.",
        _unknown_names(draft, lane, settings),
    )
    message = _redirected(draft.message, policy)
    link = None if linked is None else linked(message)
    carried, replaced = (message, ()) if link is None else (link.message, link.replaced)
    size = draft.size if draft.size is not None and carried is draft.message else estimate_size(carried)
    _raise_if(
        403, "forbidden", "The client's policy does not allow this message.", _forbidden(draft, lane, size, policy)
    )
    begins_at = max(now, draft.send_at) if draft.send_at else now
    submission = Submission(
        client=client.name,
        client_id=client.id,
        expires_at=begins_at + timedelta(seconds=draft.expires_in_seconds or settings.lane_expiry(lane)),
        message=message,
        size=size,
        body_size=size - attachments_size(carried),
        delivery=draft.delivery or policy.delivery,
        send_at=draft.send_at if draft.send_at and draft.send_at > now else None,
        route=draft.route,
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
        suppressed=suppressed(message.recipients),
        features=tuple(sorted(capabilities.required(carried) - {f"options.{name}" for name in replaced})),
        optional=(*capabilities.optional(message), *replaced),
        rebuilt=draft.rebuilt if link is None else _with_fields(draft.rebuilt),
        has_own_expiry=draft.expires_in_seconds is not None,
        unsubscribe=None if link is None else link.unsubscribe,
    )
    router = routing.Router(settings)
    legs = router.legs(submission, message, lane)
    over_budget = list(_over_budget(settings, message, legs))
    if over_budget or any(not leg.routes for leg in legs):
        reasons = [*router.refusals(submission, message, lane).values(), *over_budget]
        problems = [Problem(code="not_carriable", target="$", message=reason) for reason in reasons]
        _raise_if(422, "not_carriable", "No configured route can carry this message to all its recipients.", problems)
    return Verdict(submission=submission, lane=lane, legs=legs)


def _over_budget(settings: Settings, message: Message, legs: Sequence[routing.Leg]) -> Iterator[str]:
    """Yield the reasons of each leg whose recipients exceed the whole budget of every route."""
    for leg in legs:
        # A budget always has room for one.
        many = len(leg.recipients) > 1
        reasons = [excess(settings.routes[name], message, leg.recipients) for name in leg.routes if many]
        if all(reasons):
            yield from reasons


def _with_fields(rebuilt: Rebuilt | None) -> Rebuilt | None:
    """Add header fields, which hold an unsubscribe link, to the features of a rebuilt message."""
    return rebuilt and msgspec.structs.replace(rebuilt, features=tuple(sorted({*rebuilt.features, "headers"})))


def may_call_from(policy: Policy, address: str) -> bool:
    """Return whether the policy's IP ranges contain a caller's address. An invalid range or address never matches."""
    if not policy.ip_ranges:
        return True
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    if caller.version == 6 and caller.ipv4_mapped is not None:
        caller = caller.ipv4_mapped
    return any(caller in network for network in map(_network, policy.ip_ranges) if network is not None)


def may_send_from(policy: Policy, email: str) -> bool:
    """Return whether the policy's senders contain an address: as From, return path or another sender."""
    return routing.admits(policy.senders, email)


def may_send_to(policy: Policy, email: str) -> bool:
    """Return whether the policy's recipients contain an address, or it is redirected."""
    return policy.redirect_to is not None or routing.admits(policy.recipients, email)


def _network(block: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(block, strict=False)
    except ValueError:
        return None


def _raise_if(status: int, code: str, message: str, problems: Sequence[Problem]) -> None:
    if problems:
        raise Refusal(status, code, message, problems=problems)


def _unknown_names(draft: Draft, lane: str, settings: Settings) -> list[Problem]:
    problems: list[Problem] = []
    if lane not in settings.lanes:
        known = ", ".join(settings.lanes)
        problems.append(
            Problem(code="unknown_lane", target="lane", message=f"Unknown lane. Configured lanes: {known}.")
        )
    if draft.route is not None and draft.route not in settings.routes:
        known = ", ".join(settings.routes)
        problems.append(
            Problem(code="unknown_route", target="route", message=f"Unknown route. Configured routes: {known}.")
        )
    return problems


def _forbidden(draft: Draft, lane: str, size: int, policy: Policy) -> list[Problem]:
    message = draft.message
    found: list[Problem] = []

    def forbid(code: str, target: str, text: str) -> None:
        found.append(Problem(code=code, target=target, message=text))

    found += _sender_problems(draft, policy)
    for field, addresses in (("to", message.to), ("cc", message.cc), ("bcc", message.bcc)):
        for number, address in enumerate(addresses):
            if not may_send_to(policy, address.email):
                text = "This client may not send to this recipient (policy: recipients)."
                forbid("recipient_not_allowed", f"{field}[{number}]", text)
    if policy.lanes and lane not in policy.lanes:
        forbid("lane_not_allowed", "lane", f"This client may use only these lanes: {', '.join(policy.lanes)}.")
    if policy.routes and draft.route is not None and draft.route not in policy.routes:
        forbid("route_not_allowed", "route", f"This client may use only these routes: {', '.join(policy.routes)}.")
    if policy.max_bytes is not None and size > policy.max_bytes:
        text = f"Message too large: {size} bytes on the wire (limit {policy.max_bytes}, policy: max_bytes)."
        forbid("message_too_large", "$", text)
    for option in () if policy.may_bypass_suppressions else _bypasses(message):
        text = "This client may not bypass suppressions (policy: may_bypass_suppressions)."
        forbid("bypass_not_allowed", option, text)
    found += _file_problems(draft, policy)
    return found


def _sender_problems(draft: Draft, policy: Policy) -> Iterator[Problem]:
    if not policy.senders:
        text = (
            "This client has no senders yet. An operator must name them (policy: senders), as addresses or `*@domain`."
        )
        yield Problem(code="sender_not_allowed", target="from", message=text)
        return
    for target, text, sender in _senders(draft):
        if not may_send_from(policy, sender.email):
            yield Problem(
                code="sender_not_allowed", target=target, message=f"This client may not {text} (policy: senders)."
            )


def _bypasses(message: Message) -> Sequence[str]:
    """Return the options by which a message asks to be sent to suppressed addresses."""
    options = message.options.get("sendgrid")
    if not options:
        return ()
    from relay.providers.sendgrid.options import bypasses

    return [f"options.sendgrid.{name}" for name in bypasses(options)]


def _file_problems(draft: Draft, policy: Policy) -> Iterator[Problem]:
    """Yield a problem for each file that the policy refuses, and for each part that may hide such a file."""
    if not policy.refused_attachments:
        return
    message = draft.message
    has_files = message.attachments or draft.file_names or draft.opaque_parts
    names, kinds = _attached(draft) if has_files else ([], [])
    for target, text in (("text", message.text), ("html", message.html), ("calendar", message.calendar)):
        if text:
            within = files_in_text(text, f"text/{target}")
            names += [(target, name) for name in within.names]
            kinds += [(target, kind) for kind in within.opaque]
    for target, name in names:
        if _is_refused(name, policy):
            text = "Attachments of this type are refused (policy: refused_attachments)."
            yield Problem(code="attachment_not_allowed", target=target, message=text)
    for target, kind in kinds:
        text = f"The files in {kind} cannot be checked (policy: refused_attachments). Attach the files themselves."
        yield Problem(code="attachment_not_allowed", target=target, message=text)


def _attached(draft: Draft) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the names of the attached files, and the kinds of parts that cannot be read, each with its target."""
    message = draft.message
    of_raw = message.raw is not None
    names = [(f"attachments[{number}].name", each.name) for number, each in enumerate(message.attachments)]
    inner = enumerate(draft.file_names)
    names += [(f"attachments[{number}].name" if of_raw else "attachments", name) for number, name in inner]
    kinds = [("body" if of_raw else "attachments", kind) for kind in draft.opaque_parts]
    for number, each in enumerate(message.attachments):
        kinds += [(f"attachments[{number}].type", kind) for kind in kinds_of(each)]
    return names, kinds


def _is_refused(name: str, policy: Policy) -> bool:
    patterns = [pattern.lower() for pattern in policy.refused_attachments]
    return any(fnmatchcase(reading, pattern) for reading in readings(name) for pattern in patterns)


def _senders(draft: Draft) -> Iterator[tuple[str, str, Address]]:
    """Yield every address that a message claims to come from, with its target and what a client may not do with it."""
    message = draft.message
    yield "from", "send for this From address", message.sender
    # An empty return path is harmless: it receives no bounces.
    if message.return_path:
        yield "return_path", "use this return path", Address(email=message.return_path)
    for target, senders in draft.other_senders.items():
        yield from ((target, "send for this address", each) for each in senders)


def _redirected(message: Message, policy: Policy) -> Message:
    """Replace each recipient outside the allow-list if the policy redirects (non-production)."""
    if policy.redirect_to is None:
        return message
    admits = partial(routing.admits, policy.recipients)
    if all(admits(address.email) for address in message.recipients):
        return message
    target = Address(email=policy.redirect_to)
    seen: set[str] = set()

    def redirected(addresses: Sequence[Address]) -> tuple[Address, ...]:
        kept: list[Address] = []
        for address in addresses:
            chosen = address if admits(address.email) else target
            if chosen.email not in seen:
                seen.add(chosen.email)
                kept.append(chosen)
        return tuple(kept)

    return msgspec.structs.replace(
        message, to=redirected(message.to), cc=redirected(message.cc), bcc=redirected(message.bcc)
    )
