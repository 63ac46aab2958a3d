"""A page and its translation agree in everything that is not prose: commands, names in code, links, pictures."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OTHER_TERMS = re.compile(
    r"(サーバ|ブラウザ|プロバイダ|フォルダ|ユーザ|ヘッダ|コンテナ|エントリ|パラメータ|フィルタ)(?!ー)"
    r"|デプロイ|リドライブ|サプレッション|監査証跡|受信ボックス"
)
"""Words that the glossary of `relay/web/console/js/messages/ja.js` has another term for."""
TRANSLATIONS = sorted(ROOT.glob("*.ja.md")) + sorted(ROOT.glob("docs/**/*.ja.md"))


def original(page: Path) -> Path:
    return page.with_name(page.name.replace(".ja.md", ".md"))


def commands(text: str) -> list[str]:
    """The lines of indented and fenced blocks, without diagrams."""
    text = re.sub(r"^```mermaid\n.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    fenced = re.findall(r"^```\w*\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"^ {4}.*", text, flags=re.MULTILINE) + fenced


def in_code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def links(text: str) -> set[str]:
    """Every target, with the languages of a page taken for one."""
    own = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: (\S+)", text, flags=re.MULTILINE)
    return {re.sub(r"\.ja\.(md|svg|png)\b", r".\1", target) for target in own}


def test_there_are_translations() -> None:
    guides = ("leave-smtp-vm", "exchange-online", "sendgrid")
    assert {ROOT / "README.ja.md", *(ROOT / f"docs/how-to/{name}.ja.md" for name in guides)} <= set(TRANSLATIONS)


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.name)
def test_translation_has_the_commands_names_and_links_of_its_page(page: Path) -> None:
    there, here = original(page).read_text(), page.read_text()
    assert commands(here) == commands(there)
    assert in_code(here) == in_code(there)
    assert links(here) == links(there)


@pytest.mark.parametrize(
    "page", [*TRANSLATIONS, *ROOT.glob("relay/web/console/js/messages/*ja.js")], ids=lambda page: page.name
)
def test_japanese_text_uses_the_terms_of_the_glossary(page: Path) -> None:
    assert [found[0] for found in OTHER_TERMS.finditer(page.read_text())] == []
