"""The vocabulary of events, and bounce classes."""

import re
from pathlib import Path

import pytest

from relay.core.events import (
    BOUNCE_CLASSES,
    KINDS,
    BounceClass,
    EventKind,
    classify,
    enhanced_status,
)

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "events.md").read_text()


@pytest.mark.parametrize(
    ("status", "reply", "found"),
    [
        ("5.1.1", "", BounceClass.ADDRESS),
        ("5.1.10", "", BounceClass.ADDRESS),
        ("5.1.2", "", BounceClass.ADDRESS),
        ("5.1.8", "", BounceClass.POLICY),
        ("5.1.7", "", BounceClass.POLICY),
        ("5.2.1", "", BounceClass.MAILBOX),
        ("4.2.2", "", BounceClass.MAILBOX),
        ("5.2.3", "", BounceClass.CONTENT),
        ("5.3.4", "", BounceClass.CONTENT),
        ("5.4.4", "", BounceClass.NETWORK),
        ("5.4.1", "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", BounceClass.ADDRESS),
        ("5.4.1", "no answer from host", BounceClass.NETWORK),
        ("5.6.0", "", BounceClass.CONTENT),
        ("5.7.1", "user unknown", BounceClass.POLICY),
        ("5.7.26", "", BounceClass.POLICY),
        ("", "550 5.1.1 gone", BounceClass.ADDRESS),
        ("5.0.0", "550 no such user here", BounceClass.ADDRESS),
        ("", "552 mailbox full", BounceClass.MAILBOX),
        ("", "554 message looks like spam", BounceClass.CONTENT),
        ("", "your IP is on a block list", BounceClass.POLICY),
        ("", "connection timed out", BounceClass.NETWORK),
        ("5.5.2", "", BounceClass.UNKNOWN),
        ("", "", BounceClass.UNKNOWN),
    ],
)
def test_bounce_is_classified_by_status_and_reply(status: str, reply: str, found: BounceClass) -> None:
    assert classify(status, reply) is found


def test_enhanced_status_is_found_in_the_reply() -> None:
    assert enhanced_status("", "550-5.7.26 unauthenticated") == "5.7.26"
    assert enhanced_status("250 OK", "from 10.5.1.1 at 15.1.2") == ""


def rows(heading: str) -> dict[str, str]:
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", section, flags=re.MULTILINE))


def test_documentation_lists_event_kinds_and_bounce_classes() -> None:
    assert KINDS.keys() == set(EventKind)
    assert BOUNCE_CLASSES.keys() == set(BounceClass)
    assert rows("Kinds of events") == {str(kind): meaning for kind, meaning in KINDS.items()}
    assert rows("Bounce classes") == {str(each): meaning for each, meaning in BOUNCE_CLASSES.items()}
