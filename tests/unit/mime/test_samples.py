"""Every sample mail is read as people should see it."""

import pytest

from relay.mime import reader
from relay.mime.addresses import mailboxes, spelling
from relay.mime.parts import field_text, parse
from tests.samples.mail.all import SAMPLES
from tests.samples.mail.sample import Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])
def test_sample_is_read_as_people_should_see_it(sample: Sample) -> None:
    reading = reader.read(sample.raw)
    fields = {name.lower(): value for name, value in reversed(reading.headers)}
    if sample.subject is not None:
        assert fields["subject"] == sample.subject
    if sample.text is not None:
        assert reading.text == sample.text
    if sample.html is not None:
        assert reading.html == sample.html
    if sample.files is not None:
        assert [(file.name, file.type, file.content) for file in reading.files] == list(sample.files)


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.people is not None],
    ids=lambda sample: sample.name,
)
def test_mailboxes_of_sample_are_read(sample: Sample) -> None:
    fields = [field for field in parse(sample.raw).root.fields if field.name in ("from", "to")]
    found = [mailbox for field in fields for mailbox in mailboxes(field_text(field)) if "@" in mailbox.email]
    written = [(mailbox.name, spelling(mailbox.email)) for mailbox in found]
    assert [name for name, _ in written] == [name for name, _ in sample.people or ()]
    plain = [(own, right) for (_, own), (_, right) in zip(written, sample.people or (), strict=True) if own.isascii()]
    assert [own for own, _ in plain] == [right for _, right in plain]
