"""The console, the inbox and the landing page say everything in every language, and nothing beside their messages."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from relay.api.errors import CODES
from relay.api.pages.console import FOLDER
from relay.api.shapes.messages import RecipientStatus, RecordState
from relay.clients.keys import Role
from relay.core.arrival.arrivals import Arrival
from relay.core.arrival.recipient_states import BounceType
from relay.core.events import EventKind
from relay.core.model import DeliveryGuarantee, State
from relay.core.outcomes import CAUSES
from relay.operations.audit.record import AuditOutcome
from relay.operations.doctor.findings import Health
from relay.routes.hold_rows import RouteState

SCRIPT = Path(__file__).parent / "console_texts.mjs"
PLACEHOLDER = re.compile(r"\{(\w+)\}")
BY_VARIABLE = {"i18n.js", "landing.js"}
"""Scripts that pass on keys of others."""
NO_MESSAGES = {
    "Bearer ", "API ↗", "Relay", "English", "Handlebars", "relay_", "Hello", "It works.", "Shop <orders@example.com>",
}  # fmt: skip
"""Names, examples, and a part of a header."""
SAME_IN_JAPANESE = {
    "field.html", "field.id", "field.url", "unit.kB", "unit.MB", "unit.ms", "audit.jsonLines", "shell.version", "page.webhooks",
}  # fmt: skip


class _Page(HTMLParser):
    """The visible texts of a page, each with the key of its message, or with its language inside `noscript`."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[Mapping[str, str | None]] = []
        self.texts: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append({"tag": tag, **dict(attrs)})

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Ignore elements without content."""

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        tags = [each["tag"] for each in self.open]
        if data.strip() and "noscript" not in tags and tags[-1] not in ("title", "script"):
            self.texts.append((data.strip(), self.open[-1].get("data-t")))


def read(folder: Path) -> Any:
    node = shutil.which("node")
    assert node is not None, "Node.js not found"
    done = subprocess.run([node, SCRIPT, folder], capture_output=True, check=True)
    return json.loads(done.stdout)


@cache
def console() -> Any:
    return read(FOLDER / "js")


def messages(language: str) -> Mapping[str, str | Mapping[str, str]]:
    found: Mapping[str, str | Mapping[str, str]] = console()["languages"][language]["messages"]
    return found


def forms(message: str | Mapping[str, str]) -> Sequence[str]:
    return [message] if isinstance(message, str) else list(message.values())


def placeholders(message: str | Mapping[str, str]) -> set[str]:
    return set().union(*(PLACEHOLDER.findall(form) for form in forms(message)))


def page_texts() -> Sequence[tuple[str, str | None]]:
    found = []
    for path in FOLDER.glob("*.html"):
        page = _Page()
        page.feed(path.read_text())
        found += page.texts
    return found


def used() -> tuple[set[str], set[str]]:
    """Return the keys that are used, and the beginnings of those that are put together."""
    keys = {key for _, key in page_texts() if key is not None}
    prefixes = set()
    for use in console()["uses"]:
        for each in use["keys"]:
            if "key" in each:
                keys.add(each["key"])
            elif use["where"].partition(":")[0] not in BY_VARIABLE:
                assert each["prefix"], use
                prefixes.add(each["prefix"])
    return keys, prefixes


def test_languages_have_the_same_messages_with_the_same_values() -> None:
    english, japanese = messages("en"), messages("ja")
    assert list(english) == list(japanese)
    assert {key: placeholders(message) for key, message in english.items()} == {
        key: placeholders(message) for key, message in japanese.items()
    }


@pytest.mark.parametrize("language", ["en", "ja"])
def test_message_with_a_count_has_a_form_for_each_plural(language: str) -> None:
    plurals = set(console()["languages"][language]["plurals"])
    for key, message in messages(language).items():
        assert isinstance(message, str) or (set(message) == plurals and "count" in placeholders(message)), key


def test_every_message_is_used_and_every_used_one_exists() -> None:
    keys, prefixes = used()
    assert keys - set(messages("en")) == set()
    unused = {key for key in messages("en") if key not in keys and not key.startswith(tuple(prefixes))}
    assert unused == set()


def test_every_use_gives_the_values_of_its_message() -> None:
    for use in console()["uses"]:
        if use["given"] is not None:
            for each in use["keys"]:
                assert placeholders(messages("en").get(each.get("key", ""), "")) <= set(use["given"]), use


def test_no_script_shows_a_text_that_is_no_message() -> None:
    found = {each["text"]: each["where"] for each in console()["texts"]}
    assert {text: where for text, where in found.items() if text not in NO_MESSAGES} == {}


def test_texts_of_pages_are_the_english_messages() -> None:
    texts = page_texts()
    assert len(texts) > 5
    assert [text for text, key in texts if key is None and text not in NO_MESSAGES] == []
    assert [(text, messages("en")[key]) for text, key in texts if key is not None and messages("en")[key] != text] == []


def test_japanese_messages_are_in_japanese() -> None:
    same = {key for key, message in messages("ja").items() if not re.search(r"[ぁ-んァ-ヶ一-龠]", forms(message)[0])}
    assert {key for key in same if re.search(r"[a-z]{2}", PLACEHOLDER.sub("", forms(messages("ja")[key])[0]))} <= (
        SAME_IN_JAPANESE
    )


def test_words_of_the_api_have_messages() -> None:
    enums = (State, RecordState, RecipientStatus, Arrival, EventKind, RouteState, Health, AuditOutcome, Role)
    words = {f"word.{member.value}" for enum in (*enums, DeliveryGuarantee) for member in enum}
    words |= {f"arrival.{each.value}{end}" for each in Arrival for end in ("", ".meaning")}
    words |= {f"bounce.{each.value}" for each in BounceType}
    assert words - set(messages("en")) == set()


def test_every_cause_has_a_japanese_name_meaning_and_fix() -> None:
    causes = console()["causes"]
    assert list(causes) == list(CAUSES)
    assert all(set(cause) == {"name", "meaning", "fix"} for cause in causes.values())


def test_japanese_messages_of_errors_belong_to_codes() -> None:
    assert set(console()["errors"]) - set(CODES) == set()


def test_check_finds_texts_and_unknown_values(tmp_path: Path) -> None:
    (tmp_path / "messages").mkdir()
    for name in ("en.js", "ja.js", "causes.ja.js", "errors.ja.js"):
        (tmp_path / "messages" / name).write_text("export default {};")
    (tmp_path / "page.js").write_text("""
        h("p", { class: "muted small", title: "all" }, isOn ? "on" : `${count} messages`);
        toast("It is saved.");
        if (event.key === "Escape") dataTable("Routes", t(isOn ? "a" : "b", { name }));
    """)
    found = read(tmp_path)
    assert [each["text"].strip() for each in found["texts"]] == ["all", "on", "messages", "It is saved.", "Routes"]
    assert found["uses"] == [{"where": "page.js:4", "keys": [{"key": "a"}, {"key": "b"}], "given": ["name"]}]
