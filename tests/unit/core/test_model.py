"""The nouns: the state of a whole, the order of recipients, and what storage may count on."""

import itertools

import pytest

from relay.core.model import DEAD, FINAL, WAITING, Address, Message, MessageStatus, Part, State


def test_every_state_is_active_or_final() -> None:
    assert WAITING | FINAL | {State.QUEUED, State.SENDING} == set(State)
    assert not WAITING & FINAL
    assert DEAD < FINAL


@pytest.mark.parametrize("states", list(itertools.combinations(State, 2)))
def test_active_state_outranks_final_and_failure_outranks_success(states: tuple[State, State]) -> None:
    order = ["sending", "queued", "deferred", "held", "scheduled", "unknown", "failed", "expired", "cancelled", "sent"]
    expected = min(states, key=order.index)
    for shown in (states, reversed(states)):
        status = MessageStatus(parts=tuple(Part(route="main", state=state) for state in shown))
        assert status.state is expected


def test_recipients_are_numbered_across_to_cc_and_bcc() -> None:
    to, cc, bcc = (Address(email=f"{name}@example.com") for name in ("to", "cc", "bcc"))
    message = Message(sender=to, bcc=(bcc,), cc=(cc,), to=(to,))
    assert message.recipients == (to, cc, bcc)


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("ada@Example.COM", "example.com"),
        ('"a@b"@example.com', "example.com"),
        ("ada@münchen.example", "münchen.example"),
    ],
)
def test_domain_follows_the_last_at_sign(email: str, domain: str) -> None:
    assert Address(email=email).domain == domain
