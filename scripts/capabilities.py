"""Generate docs/providers/capabilities.md from the capabilities in the code. Run by `make docs`."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from relay.providers.contract import FEATURES, Capabilities
from relay.providers.registry import MODULES, provider_module

PAGE = Path(__file__).parent.parent / "docs/providers/capabilities.md"
_HEAD = """# Compare what providers can send

`make docs` generates this page from `CAPABILITIES` of the provider modules. Relay uses the same data at submission: it refuses
a message that no route can carry, with the reasons, and skips routes that cannot carry it.
"""


def page() -> str:
    """Render the whole page."""
    known = {name: provider_module(name).CAPABILITIES for name in MODULES}
    return "\n".join([_HEAD, *_table(known)]) + "\n"


def _table(known: Mapping[str, Capabilities]) -> Iterator[str]:
    yield _row("", *(_name(name) for name in known))
    yield _row(*["---"] * (len(known) + 1))
    yield _row("largest message, in bytes on the wire", *(f"{one.max_bytes:,}" for one in known.values()))
    yield _row("largest text and HTML together", *map(_body_limit, known.values()))
    yield _row("largest finished MIME message", *map(_raw_limit, known.values()))
    yield _row("recipients of a message", *(f"{one.max_recipients:,}" for one in known.values()))
    for feature, meaning in FEATURES.items():
        marks = ("yes" if feature in one.features else "no" for one in known.values())
        yield _row(f"{meaning} (`{feature}`)", *marks)


def _name(provider: str) -> str:
    is_described = PAGE.with_name(f"{provider}.md").exists()
    return f"[{provider}]({provider}.md)" if is_described else provider


def _raw_limit(one: Capabilities) -> str:
    return _body_limit(one) if "raw_mime" in one.features else "none"


def _body_limit(one: Capabilities) -> str:
    return f"{one.max_body_bytes or one.max_bytes:,}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
