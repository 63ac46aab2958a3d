"""Times that a user writes on the command line."""

from datetime import datetime

import pytest
import typer

from relay.cli.moments import end_of

NOW = datetime(2026, 3, 1, 17, 30).astimezone()


def local(text: str) -> str:
    return datetime.fromisoformat(text).astimezone().isoformat()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18:00", local("2026-03-01T18:00")),
        ("17:30", local("2026-03-02T17:30")),
        ("06:15", local("2026-03-02T06:15")),
        ("2026-03-05T18:00", local("2026-03-05T18:00")),
        ("2026-03-05 18:00", local("2026-03-05T18:00")),
        ("2026-03-05T18:00Z", local("2026-03-05T18:00+00:00")),
    ],
)
def test_end_is_local_time_unless_it_has_an_offset(text: str, expected: str) -> None:
    assert end_of(text, NOW) == expected


def test_no_end_is_none() -> None:
    assert end_of(None) is None


@pytest.mark.parametrize("text", ["soon", "25:00", "18h", "2026-03-41T18:00", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="18:00"):
        end_of(text, NOW)
