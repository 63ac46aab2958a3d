"""The moving picture of the README."""

from xml.etree import ElementTree

import pytest

from scripts.animation import FOLDER, PICTURES, RESUMED_AT, SECONDS, drawing, mails


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_the_one_that_the_script_draws(name: str) -> None:
    text = drawing(PICTURES[name])
    assert (FOLDER / name).read_text() == text, "run `make docs`"
    assert ElementTree.fromstring(text).tag.endswith("svg")  # noqa: S314 # written by the line above


def test_waiting_mail_is_sent_after_the_route_is_resumed() -> None:
    waiting = [mail for mail in mails() if mail.taken - mail.sent > 2]
    assert len(waiting) == 5
    assert all(RESUMED_AT < mail.taken < SECONDS for mail in waiting)
