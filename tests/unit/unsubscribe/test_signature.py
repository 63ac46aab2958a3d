"""Which DKIM signatures of a received mail cover the unsubscribe link."""

import pytest

from relay.unsubscribe.signature import inspect

FIELDS = "List-Unsubscribe: <https://relay.example/unsubscribe/1-a-b/c>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
EXCHANGE = "From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck"


def received(*signed: str, fields: str = FIELDS) -> bytes:
    signatures = "".join(
        f"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d{number}.example; s=s1;\r\n h={each}; bh=x=; b=y=\r\n"
        for number, each in enumerate(signed)
    )
    return f"{signatures}From: a@example.com\r\n{fields}\r\nHello\r\n".encode()


@pytest.mark.parametrize(
    ("signed", "missing"),
    [
        ("from:to:list-unsubscribe:list-unsubscribe-post", ()),
        ("From:To:List-Unsubscribe: \r\n\tList-Unsubscribe-Post", ()),
        ("from:to:list-unsubscribe", ("List-Unsubscribe-Post",)),
        (EXCHANGE, ("List-Unsubscribe", "List-Unsubscribe-Post")),
    ],
)
def test_fields_that_a_signature_leaves_out_are_named(signed: str, missing: tuple[str, ...]) -> None:
    found = inspect(received(signed))
    [signature] = found.signatures
    assert (signature.domain, signature.missing, found.is_covered) == ("d0.example", missing, not missing)


def test_one_signature_must_cover_both_fields() -> None:
    assert not inspect(received("from:list-unsubscribe", "from:list-unsubscribe-post")).is_covered
    assert inspect(received("from", "from:list-unsubscribe:list-unsubscribe-post")).is_covered


def test_mail_without_the_fields_or_a_signature_is_not_covered() -> None:
    both = "from:list-unsubscribe:list-unsubscribe-post"
    assert inspect(received(both, fields="")).absent == ("List-Unsubscribe", "List-Unsubscribe-Post")
    assert not inspect(received(both, fields="")).is_covered
    assert not inspect(received()).is_covered
    assert not inspect(b"").is_covered
