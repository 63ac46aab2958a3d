"""Scripted faults, in the same form for every stand-in.

A fault matches requests by operation (a glob over the names that each stand-in documents) and, optionally,
by recipient. It acts a number of times. Chaos adds seeded random faults.
"""

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, TypedDict, Unpack

import msgspec


class Act(StrEnum):
    """The effect of a fault on a matching request."""

    RESPOND = "respond"
    """Responds with the given status, body and headers; accepts nothing."""
    ACCEPT_THEN = "accept_then"
    """Accepts the message, then responds with the given status anyway."""
    CUT_BEFORE_BODY = "cut_before_body"
    """Resets the connection before the body is read; accepts nothing."""
    CUT_AFTER_ACCEPT = "cut_after_accept"
    """Accepts the message, then resets the connection without a response."""
    HANG = "hang"
    """Reads the request and never responds; accepts nothing."""
    HANG_AFTER_ACCEPT = "hang_after_accept"
    """Accepts the message and never responds."""
    SLOW = "slow"
    """Waits the given seconds, then continues normally."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One scripted fault.

    `body` is sent as JSON unless it is a string, which is sent unchanged; None means
    the vendor's usual body for that status. `times` None means no limit; `skip` matching requests pass first.
    `recipient` is a glob over addresses, compared in lower case.
    """

    act: Act
    operation: str = "send"
    recipient: str | None = None
    status: int = 500
    body: Any = None
    headers: dict[str, str] = {}
    seconds: float = 0.0
    times: int | None = 1
    skip: int = 0


class Matching(TypedDict, total=False):
    """The fields of a fault that choose the requests it acts on."""

    operation: str
    recipient: str | None
    times: int | None
    skip: int


class Chaos(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seeded random faults for requests of `operation`.

    `rates` maps a kind to its probability; their sum is at most 1. Kinds: a status (`"429"`), a
    status after accepting (`"504_after"`), `cut`, `cut_after`, `hang`, `hang_after`, `slow`.
    """

    seed: int
    rates: dict[str, float]
    operation: str = "send"
    retry_after_seconds: int = 1
    slow_seconds: float = 0.05


def covers(pattern: str, operation: str) -> bool:
    """Return whether a glob matches this operation; `send` also matches its kinds, such as `send.draft`."""
    return fnmatchcase(operation, pattern) or fnmatchcase(operation.partition(".")[0], pattern)


class _Rule:
    """A fault with its remaining skips and times."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.left = fault.times
        self.skip = fault.skip

    def matches(self, operation: str, recipients: Sequence[str]) -> bool:
        if not covers(self.fault.operation, operation):
            return False
        pattern = self.fault.recipient
        return pattern is None or any(fnmatchcase(r.lower(), pattern.lower()) for r in recipients)

    def take(self) -> bool:
        """Count a matching request. Return whether the fault acts on it."""
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.left is not None:
            self.left -= 1
        return True

    @property
    def is_spent(self) -> bool:
        return self.left is not None and self.left <= 0


_CHAOS_ACTS: Mapping[str, Act] = {
    "cut": Act.CUT_BEFORE_BODY,
    "cut_after": Act.CUT_AFTER_ACCEPT,
    "hang": Act.HANG,
    "hang_after": Act.HANG_AFTER_ACCEPT,
    "slow": Act.SLOW,
}


def chaos_fault(kind: str, chaos: Chaos) -> Fault:
    """Return the fault of a chaos kind. Raises ValueError for an unknown kind."""
    if kind in _CHAOS_ACTS:
        return Fault(act=_CHAOS_ACTS[kind], seconds=chaos.slow_seconds)
    number, _, after = kind.partition("_")
    if not number.isdigit() or after not in ("", "after"):
        raise ValueError(
            f"unknown kind of chaos: {kind!r}; use a status such as '429' or '504_after', or one of {list(_CHAOS_ACTS)}"
        )
    status = int(number)
    headers = {"Retry-After": str(chaos.retry_after_seconds)} if status in (429, 503) else {}
    return Fault(act=Act.ACCEPT_THEN if after else Act.RESPOND, status=status, headers=headers)


class Script:
    """The faults of a stand-in, in the order they were added; the first match acts."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._chaos: Chaos | None = None
        self._random = random.Random(0)  # noqa: S311 (repeatable faults, not secrets)
        self.acted: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        self._rules.append(_Rule(fault))

    def respond(
        self,
        status: int,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **matching: Unpack[Matching],
    ) -> None:
        """Respond like this to the next `times` matching requests instead of serving them."""
        self.add(Fault(act=Act.RESPOND, status=status, body=body, headers=dict(headers or {}), **matching))

    def accept_then(
        self,
        status: int,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **matching: Unpack[Matching],
    ) -> None:
        """Accept the message but respond with an error (as a gateway does that lost the response)."""
        self.add(Fault(act=Act.ACCEPT_THEN, status=status, body=body, headers=dict(headers or {}), **matching))

    def cut_before_body(self, **matching: Unpack[Matching]) -> None:
        self.add(Fault(act=Act.CUT_BEFORE_BODY, **matching))

    def cut_after_accept(self, **matching: Unpack[Matching]) -> None:
        self.add(Fault(act=Act.CUT_AFTER_ACCEPT, **matching))

    def hang(self, *, after_accept: bool = False, **matching: Unpack[Matching]) -> None:
        self.add(Fault(act=Act.HANG_AFTER_ACCEPT if after_accept else Act.HANG, **matching))

    def slow(self, seconds: float, **matching: Unpack[Matching]) -> None:
        self.add(Fault(act=Act.SLOW, seconds=seconds, **matching))

    def chaos(self, seed: int, rates: Mapping[str | int, float], *, operation: str = "send") -> None:
        """Produce random faults at these rates from now on, in an order determined by the seed."""
        self.set_chaos(Chaos(seed=seed, rates={str(k): v for k, v in rates.items()}, operation=operation))

    def set_chaos(self, chaos: Chaos | None) -> None:
        """Replace the random faults; None ends them. Raises ValueError for invalid kinds or rates."""
        if chaos is not None:
            for kind in chaos.rates:
                chaos_fault(kind, chaos)
            if min(chaos.rates.values(), default=0) < 0 or sum(chaos.rates.values()) > 1:
                raise ValueError("chaos rates must not be negative, and their sum must not exceed 1")
            self._random = random.Random(chaos.seed)  # noqa: S311 (repeatable, not secret)
        self._chaos = chaos

    def clear(self) -> None:
        self._rules.clear()
        self._chaos = None

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """Return the faults that can still act."""
        return tuple(rule.fault for rule in self._rules)

    @property
    def needs_recipients(self) -> bool:
        return any(rule.fault.recipient is not None for rule in self._rules)

    def take(self, operation: str, recipients: Sequence[str] | None = None) -> Fault | None:
        """Return the fault for this request, or None.

        With recipients None (the body is not read yet), only rules without a recipient match, and
        chaos; with recipients, only the rules that have one. So each rule sees a request once.
        """
        fault = self._take_rule(operation, recipients)
        if fault is None and recipients is None:
            fault = self._take_chaos(operation)
        if fault is not None:
            self.acted[fault.act] = self.acted.get(fault.act, 0) + 1
        return fault

    def _take_rule(self, operation: str, recipients: Sequence[str] | None) -> Fault | None:
        for rule in self._rules:
            if (rule.fault.recipient is None) != (recipients is None):
                continue
            if rule.matches(operation, recipients or ()) and rule.take():
                self._rules = [r for r in self._rules if not r.is_spent]
                return rule.fault
        return None

    def _take_chaos(self, operation: str) -> Fault | None:
        if self._chaos is None or not covers(self._chaos.operation, operation):
            return None
        point = self._random.random()
        for kind, rate in self._chaos.rates.items():
            if point < rate:
                return chaos_fault(kind, self._chaos)
            point -= rate
        return None
