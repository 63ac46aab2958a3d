"""Every sample mail is accepted as raw MIME or refused with the right code, and its reading survives storage and delivery."""

import pytest

from relay.acceptance.draft import Draft, Limits
from relay.api.http import Request
from relay.api.reading.raw.message import parse_raw
from relay.core.errors import Refusal
from relay.mime import reader
from tests.api.harness import NOON
from tests.samples.mail.all import SAMPLES
from tests.samples.mail.sample import Sample


def parsed(sample: Sample) -> Draft:
    return parse_raw(Request(method="POST", path="/v1/messages", body=sample.raw), now=NOON, limits=Limits())


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.refused], ids=lambda sample: sample.name)
def test_ambiguous_sample_is_refused(sample: Sample) -> None:
    with pytest.raises(Refusal) as refused:
        parsed(sample)
    assert [problem.code for problem in refused.value.problems] == [sample.refused]


@pytest.mark.parametrize(
    "sample", [sample for sample in SAMPLES if sample.refused == ""], ids=lambda sample: sample.name
)
def test_sample_is_accepted_with_the_right_reading(sample: Sample) -> None:
    draft = parsed(sample)
    reading = reader.read(draft.message.raw or b"")
    if sample.text is not None and b"\r\n" in sample.raw:
        assert reading.text == sample.text
    if sample.subject is not None:
        assert draft.message.subject == " ".join(sample.subject.split())
    if sample.people is not None:
        people = [draft.message.sender, *draft.message.to]
        assert [(each.name, each.email) for each in people] == list(sample.people)
    if sample.files:
        assert {name for name, _, _ in sample.files if name} <= set(draft.file_names)
