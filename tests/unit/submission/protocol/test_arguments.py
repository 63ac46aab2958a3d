"""Arguments of commands."""

import pytest

from relay.submission.protocol.arguments import read_path


@pytest.mark.parametrize(
    ("argument", "read"),
    [
        ("<ada@example.org>", ("ada@example.org", "")),
        ("<ada@example.org> SIZE=5 BODY=8BITMIME", ("ada@example.org", "SIZE=5 BODY=8BITMIME")),
        ("ada@example.org", ("ada@example.org", "")),
        (" <ada@example.org> ", ("ada@example.org", "")),
        ("<>", ("<>", "")),
        ("<@a.example,@b.example:ada@example.org>", ("ada@example.org", "")),
        ('<"xxx.yyy."@docomo.ne.jp>', ('"xxx.yyy."@docomo.ne.jp', "")),
        ("<aaa..bb@docomo.ne.jp>", ("aaa..bb@docomo.ne.jp", "")),
        ('<"a b"@example.com> SIZE=5', ('"a b"@example.com', "SIZE=5")),
        ("<jörg@example.org>", ("jörg@example.org", "")),
        ("<ada@example.org", (None, None)),
        ("<a b@example.org>", (None, None)),
        ("", ("", "")),
    ],
)
def test_path_is_split_from_its_parameters_and_keeps_its_quotes(
    argument: str, read: tuple[str | None, str | None]
) -> None:
    assert read_path(argument) == read
