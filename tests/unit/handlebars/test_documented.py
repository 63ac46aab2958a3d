"""Each construct that SendGrid documents, as a golden file with our own texts
(twilio.com/docs/sendgrid/for-developers/sending-email/using-handlebars).
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.handlebars.template import Part
from relay.rendering.work import WorkBudget
from tests.unit.handlebars.oracle import missing, oracle

FILES = sorted((Path(__file__).parent / "documented").glob("*.json"))
OWN = ("format-date",)
"""Examples of a helper that the oracle does not have: its tokens are in the documentation's table."""


def read(path: Path) -> Any:
    return msgspec.json.decode(path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_documented_construct_gives_its_output(path: Path) -> None:
    example = read(path)
    part = Part(example["template"])
    for case in example["cases"]:
        assert part.render(case["data"], WorkBudget()) == case["output"]


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_handlebars_js_gives_the_same_outputs() -> None:
    with oracle() as js:
        examples = [read(path) for path in FILES if not path.stem.startswith(OWN)]
        assert len(examples) > 25
        for example in examples:
            for case in example["cases"]:
                assert js.render(example["template"], case["data"]) == case["output"]
