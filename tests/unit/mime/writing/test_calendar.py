"""Which texts are calendar invitations."""

import pytest

from relay.mime.writing.calendar import METHODS, calendar_problem, method_of

WHOLE = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{}BEGIN:VEVENT\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"


@pytest.mark.parametrize("method", METHODS)
def test_invitation_has_one_known_method(method: str) -> None:
    text = WHOLE.format(f"METHOD:{method}\r\n")
    for written in (text, text.replace("\r\n", "\n"), text.replace("METHOD", "method"), "\n" + text):
        assert (calendar_problem(written), method_of(written)) == ("", method)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "BEGIN:VCALENDAR"),
        ("BEGIN:VCALENDAR\r\nMETHOD:REQUEST", "END:VCALENDAR"),
        (WHOLE.format(""), "needs a METHOD"),
        (WHOLE.format("METHOD:INVITE\r\n"), "Known methods: PUBLISH, REQUEST"),
        (WHOLE.format("METHOD:REQUEST\r\nMETHOD:CANCEL\r\n"), "several METHOD"),
        (WHOLE.format("X-METHOD:REQUEST\r\n"), "needs a METHOD"),
    ],
)
def test_other_text_is_refused_with_the_reason(text: str, problem: str) -> None:
    assert problem in calendar_problem(text)
