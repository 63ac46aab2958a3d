"""docs/providers/capabilities.md matches the code."""

import re

from relay.providers.contract import FEATURES
from relay.providers.registry import MODULES, provider_module
from scripts.capabilities import PAGE, page


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_page_lists_every_feature_and_provider() -> None:
    head, _, *rows = [line for line in page().splitlines() if line.startswith("|")]
    named = re.findall(r"\(`(\w+)`\)", "\n".join(rows))
    assert named == list(FEATURES)
    assert [cell for name in MODULES for cell in head.split("|") if cell.strip().strip("[").startswith(name)]
    for row, feature in zip(rows[-len(FEATURES) :], FEATURES, strict=True):
        marks = [cell.strip() for cell in row.split("|")[2:-1]]
        assert marks == ["yes" if feature in provider_module(name).CAPABILITIES.features else "no" for name in MODULES]
