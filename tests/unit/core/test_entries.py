"""The queue's formats: what an entry weighs, what is refused, and samples of every version that stay readable."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core import entries
from relay.core.errors import NewerVersion, UnreadableEntry
from relay.core.model import Address, Attachment, DeliveryGuarantee, Message, Submission, Unsubscribe
from tests.depth import examples

SAMPLES = Path(__file__).parents[2] / "samples"
HOSTS_OWN = {"id", "dequeuecount", "popreceipt", "expirationtime", "insertiontime", "nextvisibletime", "queuetrigger"}
"""Names that the host would copy over the trigger's metadata, in any case."""

BATCH = "019c9e5e7a107a3b8c4d5e6f70819203"
ACCEPTED = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
MESSAGE = Message(
    sender=Address(email="orders@example.org", name="Bestellungen München"),
    to=(Address(email="ada@example.com", name="Ada Lovelace"), Address(email="bob@example.com")),
    cc=(Address(email="c@example.com"),),
    bcc=(Address(email="d@example.com"),),
    reply_to=(Address(email="help@example.org"),),
    subject="Rechnung <4711> & mehr: 請求書",
    text="Guten Tag\r\n\tgrüß\ufffe Gott\uffff",
    html="<p>Guten Tag</p>",
    headers={"X-Order": "4711"},
    attachments=(
        Attachment(name="a.txt", type="text/plain", content=b"\x00\xff", size=2),
        Attachment(
            name="logo.png", type="image/png", blob="20260301/b", size=9, disposition="inline", content_id="logo"
        ),
    ),
    tags=("invoice",),
    metadata={"order": "4711"},
    return_path="bounces@example.org",
    options={"sendgrid": {"asm": {"group_id": 12}}},
)
EVERYTHING = Submission(
    client="shop",
    client_id="5e2f0a9b1c7d4e36",
    expires_at=ACCEPTED + timedelta(days=1),
    message=MESSAGE,
    size=2_345,
    delivery=DeliveryGuarantee.AT_MOST_ONCE,
    send_at=ACCEPTED + timedelta(hours=2),
    route="main",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    suppressed={1: "bounced"},
    features=("headers", "x_headers"),
)
CLAIMED = Submission(
    client="shop",
    client_id="5e2f0a9b1c7d4e36",
    expires_at=ACCEPTED + timedelta(days=1),
    message=Message(sender=Address(email="orders@example.org"), to=(Address(email="ada@example.com"),), subject="Big"),
    blob="20260301/019c9e5e7a107a3b8c4d5e6f70819204",
    size=9_876_543,
)


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def test_entry_of_a_message_about_a_topic_matches_its_sample() -> None:
    link = "https://relay.example/unsubscribe/1-5e2f0a9b1c7d4e36-YT5QBYOd"
    about = msgspec.structs.replace(CLAIMED, unsubscribe=Unsubscribe(topic="news", link=link))
    written = entries.join_batch(BATCH, "bulk", ["0f" * 8], [entries.encode_submission(about)])
    assert written == sample("batch-entry-1.1.json")
    decoded = entries.decode_entry(written)
    assert isinstance(decoded, entries.BatchEntry)
    assert decoded.messages == (about,)


def test_batch_entry_matches_its_sample() -> None:
    written = entries.join_batch(
        BATCH,
        "transactional",
        ["0f" * 8, "1e" * 8],
        [entries.encode_submission(each) for each in (EVERYTHING, CLAIMED)],
    )
    assert written == sample("batch-entry-1.json")
    assert entries.decode_entry(written) == entries.BatchEntry(
        relay=1, batch=BATCH, lane="transactional", macs=("0f" * 8, "1e" * 8), messages=(EVERYTHING, CLAIMED)
    )


def test_reference_entry_matches_its_sample() -> None:
    written = entries.encode_reference(BATCH, "bulk", [0, 3, 31], 2)
    assert written == sample("reference-entry-1.json")
    assert entries.decode_entry(written) == entries.ReferenceEntry(
        relay=1, ref=BATCH, lane="bulk", indices=(0, 3, 31), attempt=2
    )


def test_fan_out_entry_matches_its_sample() -> None:
    written = entries.encode_fan_out("20260301/019c9e5e7a107a3b8c4d5e6f70819204", "bulk")
    assert written == sample("fan-out-entry-1.json")
    assert entries.decode_entry(written) == entries.FanOutEntry(
        relay=1, fan_out="20260301/019c9e5e7a107a3b8c4d5e6f70819204", lane="bulk"
    )


def test_entry_with_content_in_a_shared_blob_matches_its_sample() -> None:
    pair = [msgspec.structs.replace(CLAIMED, span=span) for span in ((0, 1_200), (1_200, 34_567))]
    written = entries.join_batch(
        BATCH, "bulk", ["0f" * 8, "1e" * 8], [entries.encode_submission(each) for each in pair], has_spans=True
    )
    assert written == sample("batch-entry-2.json")
    assert entries.decode_entry(written) == entries.BatchEntry(
        relay=2, batch=BATCH, lane="bulk", macs=("0f" * 8, "1e" * 8), messages=tuple(pair)
    )
    entries.check_version(written)


@pytest.mark.parametrize("name", ["batch-entry-1.json", "reference-entry-1.json", "fan-out-entry-1.json"])
def test_entry_uses_no_member_name_of_the_host(name: str) -> None:
    assert not HOSTS_OWN & {key.lower() for key in json.loads(sample(name))}


@pytest.mark.parametrize("name", ["batch-entry-1.json", "reference-entry-1.json", "fan-out-entry-1.json"])
def test_unknown_fields_are_ignored(name: str) -> None:
    entry = json.loads(sample(name))
    assert entries.decode_entry(json.dumps({**entry, "later": {"id": 1}}).encode()) == entries.decode_entry(
        sample(name)
    )


@pytest.mark.parametrize("body", [b'{"relay":3}', b'{"relay":4,"batch":{"ref":[]},"ref":{},"fan_out":1}'])
def test_newer_entry_version_is_detected_by_its_number(body: bytes) -> None:
    for read in (entries.decode_entry, entries.check_version):
        with pytest.raises(NewerVersion):
            read(body)


def _changed(name: str, **fields: Any) -> bytes:
    return json.dumps({**json.loads(sample(name)), **fields}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"relay":1,"x":' + b"[" * 100_000,
        b'{"relay":2,"batch":"x"}',
        b'{"relay":"1"}',
        b'{"to":"ada@example.com"}',
        _changed("batch-entry-1.json", batch="../../secret"),
        _changed("batch-entry-1.json", batch="f" * 32),
        _changed("batch-entry-1.json", macs=["0f" * 8]),
        _changed("batch-entry-1.json", macs=["0f" * 8, "x"]),
        _changed("batch-entry-1.json", macs=[], messages=[]),
        _changed("batch-entry-1.json", lane="l" * 33),
        _changed("reference-entry-1.json", indices=[32]),
        _changed("reference-entry-1.json", indices=[-1]),
        _changed("reference-entry-1.json", ref=""),
        _changed("reference-entry-1.json", attempt="two"),
    ],
)
def test_foreign_entry_is_refused_without_quoting_it(body: bytes) -> None:
    with pytest.raises(UnreadableEntry) as refused:
        entries.decode_entry(body)
    assert "ada" not in str(refused.value)
    assert "secret" not in str(refused.value)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=examples(60))
@given(st.lists(TEXTS, min_size=1, max_size=32), st.sampled_from(["bulk", "l" * 32]))
def test_size_of_an_entry_follows_from_its_submissions(texts: list[str], lane: str) -> None:
    encoded = [
        entries.encode_submission(msgspec.structs.replace(CLAIMED, message=msgspec.structs.replace(MESSAGE, text=text)))
        for text in texts
    ]
    body = entries.join_batch(BATCH, lane, ["0f" * 8] * len(encoded), encoded)
    element = ET.Element("MessageText")
    element.text = body.decode()
    put = len(ET.tostring(element, encoding="utf-8")) - len("<MessageText></MessageText>")
    weighed = sum(map(entries.weight, encoded))
    assert entries.weight(body) == put
    assert put <= weighed + entries.entry_overhead(len(encoded))
    entry = entries.decode_entry(body)
    assert isinstance(entry, entries.BatchEntry)
    assert [each.message.text for each in entry.messages if each.message] == texts


@pytest.mark.parametrize("name", ["batch-entry-1.json", "reference-entry-1.json"])
def test_revived_entry_differs_only_by_its_mark(name: str) -> None:
    body = sample(name)
    entry, revived = entries.decode_entry(body), entries.decode_entry(entries.revive(body))
    assert isinstance(revived, entries.BatchEntry | entries.ReferenceEntry)
    assert revived.revived
    assert msgspec.structs.replace(revived, revived=False) == entry
