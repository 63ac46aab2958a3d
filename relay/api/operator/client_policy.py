"""Read the policy of a client from a request, and collect its problems."""

import ipaddress
from typing import Any

import msgspec

from relay.acceptance.draft import Limits
from relay.api.problems import Problems
from relay.api.reading.addresses import read_mailbox
from relay.api.shapes.clients import PolicyFields
from relay.clients.policy import Policy
from relay.clients.registry import NAME
from relay.core.model import DeliveryGuarantee
from relay.core.settings import BrakePolicy, Settings

_LIMITS = Limits()
_PATTERNS = ("senders", "recipients")


def read_policy(given: PolicyFields | None, before: Policy, settings: Settings, problems: Problems) -> Policy:
    """Return the policy with the given members changed, and collect their problems."""
    if given is None:
        return before
    value: dict[str, Any] = msgspec.to_builtins(given)
    for name in _PATTERNS:
        _check_patterns(value.get(name) or (), f"policy.{name}", problems)
    for name, known in (("routes", settings.routes), ("lanes", settings.lanes)):
        for number, item in enumerate(value.get(name) or ()):
            if item not in known:
                text = f"Unknown name. Use one of: {', '.join(known)}."
                problems.add(f"unknown_{name[:-1]}", f"policy.{name}[{number}]", text)
    for number, name in enumerate(value.get("sees") or ()):
        if not NAME.fullmatch(name):
            problems.add("invalid_value", f"policy.sees[{number}]", "Not the name of a client.")
    for number, block in enumerate(value.get("ip_ranges") or ()):
        _check_block(block, f"policy.ip_ranges[{number}]", problems)
    if value.get("redirect_to") is not None:
        read_mailbox(value["redirect_to"], "policy.redirect_to", problems, _LIMITS)
    fields: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
    if fields.get("delivery"):
        fields["delivery"] = DeliveryGuarantee(fields["delivery"])
    if fields.get("brake"):
        fields["brake"] = BrakePolicy(fields["brake"])
    nullable = ("redirect_to", "rate_per_minute", "daily_quota", "max_bytes")
    return msgspec.structs.replace(
        before, **{name: item for name, item in fields.items() if item is not None or name in nullable}
    )


def _check_patterns(patterns: Any, target: str, problems: Problems) -> None:
    for number, pattern in enumerate(patterns):
        if pattern == "*":
            continue
        local, at, domain = pattern.rpartition("@")
        if not at or not local or not domain or ("*" in local and local != "*") or "*" in domain:
            text = "A pattern is `*`, an address, or `*@domain`."
            problems.add("invalid_value", f"{target}[{number}]", text)


def _check_block(block: str, target: str, problems: Problems) -> None:
    try:
        ipaddress.ip_network(block, strict=False)
    except ValueError:
        problems.add("invalid_value", target, "Not a CIDR block such as 203.0.113.0/24 or 2001:db8::/32.")
