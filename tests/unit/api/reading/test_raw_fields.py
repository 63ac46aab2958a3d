"""The expressions that read fields of a finished message take steps in proportion to the text.

The texts are so long that an expression which goes back over a run of blanks for each of them would not end within minutes.
"""

import pytest

from relay.api.reading.raw import fields

BLANKS = " " * 300_000


@pytest.mark.parametrize(
    ("text", "is_plain"),
    [
        (f"Shop{BLANKS}<shop@example.com>", True),
        (f'"Shop"{BLANKS}<shop@example.com>', True),
        ("Shop<shop@example.com>", True),
        ("shop@example.com", True),
        (f"Shop{BLANKS}x", False),
        (f'"Shop"{BLANKS}x', False),
        (f"{BLANKS}(Shop) shop@example.com", False),
    ],
    ids=["blanks", "blanks after quotes", "no blank", "bare", "no address", "no address after quotes", "comment"],
)
def test_author_with_many_blanks_is_judged_in_one_pass(text: str, is_plain: bool) -> None:
    assert bool(fields._PLAIN.fullmatch(text)) is is_plain


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("by a  for <jörg@example.com>; today", "by a; today"),
        (f"by a{BLANKS}for{BLANKS}jörg@example.com; today", "by a; today"),
        (f"by a{BLANKS}ö", f"by a{BLANKS}ö"),
        (f"by a for{BLANKS}b; ö", f"by a for{BLANKS}b; ö"),
    ],
    ids=["clause", "clause with many blanks", "no clause", "clause in ASCII"],
)
def test_clause_of_a_received_field_is_found_in_one_pass(text: str, kept: str) -> None:
    assert fields._FOR.sub("", text) == kept
