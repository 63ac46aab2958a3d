"""Reads what the tests need from Bicep text. Not a parser: it relies on how the files of this project are written."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
INFRA = ROOT / "infra"


def bicep(name: str) -> str:
    """A file's text without comments."""
    text = (INFRA / name).read_text()
    return re.sub(r"^\s*//.*\n", "", text, flags=re.MULTILINE)


def texts(source: str) -> list[str]:
    """Every text literal."""
    return re.findall(r"'([^']*)'", source)


def text_list(source: str, variable: str) -> list[str]:
    """The texts of `var <variable> = [ … ]`."""
    [body] = re.findall(rf"^var {variable} = \[\n(.*?)^\]", source, flags=re.MULTILINE | re.DOTALL)
    return texts(body)


def members(source: str, name: str) -> dict[str, str]:
    """The members of the object `<name>: { … }`, each with its expression, where a line holds one of them."""
    [body] = re.findall(rf"^( *){name}: \{{\n(.*?)^\1\}}", source, flags=re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\s*(\w+): (.+)$", body[1], flags=re.MULTILINE))


def parameters(source: str) -> dict[str, str]:
    """Every parameter with its default as written; empty where there is none."""
    found = re.findall(r"^param (\w+) \w+(?: = (.+))?$", source, flags=re.MULTILINE)
    return dict(found)


def modules() -> dict[str, set[str]]:
    """Every registry module that is used, with the versions it is used at."""
    used: dict[str, set[str]] = {}
    for path in INFRA.glob("*.bicep"):
        for module, version in re.findall(r"'br/public:(avm/[\w/-]+):([^']*)'", path.read_text()):
            used.setdefault(module, set()).add(version)
    return used
