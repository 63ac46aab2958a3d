"""The shape of the code: imports point one way, every foreign SDK has one home, and nothing heavy loads before it is used."""

import ast
import graphlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Import(NamedTuple):
    """One import: who imports what, and whether that happens when the importer is imported."""

    importer: str
    imported: str
    is_early: bool


def modules() -> Mapping[str, Path]:
    """Every module of the deployed app by its dotted name."""
    paths = [ROOT / "function_app.py", *sorted((ROOT / "relay").rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imports() -> Iterator[Import]:
    """Every import but those that only the type checker sees."""
    for name, path in MODULES.items():
        yield from _imports_in(name, ast.parse(path.read_text()).body, is_early=True)


def _imports_in(importer: str, body: Sequence[ast.stmt], *, is_early: bool) -> Iterator[Import]:
    for node in body:
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, is_early) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield Import(importer, whole if whole in MODULES else node.module, is_early)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports_in(importer, node.orelse, is_early=is_early)
        else:
            is_late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = [each for each in getattr(node, field, []) if isinstance(each, ast.AST)]
                for each in inner:
                    nested = [each] if isinstance(each, ast.stmt) else getattr(each, "body", [])
                    yield from _imports_in(importer, nested, is_early=is_early and not is_late)


IMPORTS = tuple(imports())
OURS = [each for each in IMPORTS if each.imported.split(".")[0] in ("relay", "function_app")]
FOREIGN = [each for each in IMPORTS if each.imported.split(".")[0] not in {*sys.stdlib_module_names, "relay"}]


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def strays(importers: Sequence[str], allowed: Sequence[str], but: Sequence[str] = ()) -> list[str]:
    """Imports of our own that these packages make beyond what they may."""
    return sorted(
        {
            f"{each.importer} imports {each.imported}"
            for each in OURS
            if is_in(each.importer, *importers)
            and not is_in(each.importer, *but)
            and not is_in(each.imported, *importers, *allowed)
        }
    )


def test_the_reading_of_imports_reads_something() -> None:
    assert len(MODULES) > 80
    assert Import("function_app", "azure.functions", True) in IMPORTS
    assert Import("function_app", "relay.bootstrap", False) in IMPORTS
    assert Import("relay.acceptance.acceptance", "relay.core.entries", True) in IMPORTS


# ── one way ──


def test_only_the_triggers_know_azure_functions() -> None:
    assert {each.importer for each in FOREIGN if is_in(each.imported, "azure.functions")} == {"function_app"}


def test_the_triggers_know_the_application_and_no_sdk() -> None:
    own = {each.imported for each in IMPORTS if each.importer == "function_app"}
    assert all(is_in(name, "relay", "azure.functions") or name.split(".")[0] in sys.stdlib_module_names for name in own)


def test_nobody_imports_the_triggers() -> None:
    assert [each for each in OURS if each.imported == "function_app"] == []


def test_the_nouns_know_nothing_of_ours() -> None:
    assert strays(["relay.core.model", "relay.core.errors", "relay.core.outcomes", "relay.platform.log"], []) == []
    assert (
        strays(
            ["relay.core.ids", "relay.core.retry", "relay.routes.circuit_breaker", "relay.platform.settings_checks"], []
        )
        == []
    )


def test_storage_knows_the_nouns() -> None:
    assert strays(["relay.platform.storage"], ["relay.core.errors", "relay.platform.log"]) == []


def test_providers_know_the_nouns_and_how_to_write_mail() -> None:
    # fmt: off
    allowed = [
        "relay.core.model", "relay.core.errors", "relay.core.outcomes", "relay.platform.log", "relay.core.ids", "relay.mime.build", "relay.mime.raw",
        "relay.mime.fields", "relay.platform.secrets", "relay.platform.entra_tokens", "relay.core.settings", "relay.mime.size", "relay.providers.capture.inbox",
        "relay.platform.storage.ports",
    ]
    # fmt: on
    assert strays(["relay.providers"], allowed) == []


def test_use_cases_know_no_adapter_and_no_door() -> None:
    doors = ["relay.api", "relay.cli", "relay.bootstrap"]
    use_cases = [
        name
        for name in MODULES
        if name.count(".") == 1 and not is_in(name, *doors, "relay.platform.storage", "relay.providers")
    ]
    adapters = [
        name
        for name in MODULES
        if is_in(name, "relay.platform.storage")
        and name not in ("relay.platform.storage", "relay.platform.storage.ports")
    ]
    found = {
        f"{each.importer} imports {each.imported}"
        for each in OURS
        if each.importer in use_cases and is_in(each.imported, *doors, *adapters)
    }
    # What a valid request is, policy has to know; it is free of any HTTP.
    assert found <= {"relay.acceptance.policy imports relay.acceptance.draft"}


def test_use_cases_ask_providers_only_through_their_contract() -> None:
    found = {
        f"{each.importer} imports {each.imported}"
        for each in OURS
        if not is_in(each.importer, "relay.providers")
        and is_in(each.imported, "relay.providers")
        and each.imported not in ("relay.providers.contract", "relay.providers.registry")
    }
    # What a caller may ask of SendGrid is read where it is asked, and says what a route must be able to do.
    asked = {name for name in found if name.endswith("relay.providers.sendgrid.options")}
    assert found - asked == set()
    assert all(is_in(name.split()[0], "relay.api", "relay.routes.capabilities") for name in asked)


def test_only_the_composition_root_constructs_adapters() -> None:
    azure = [name for name in MODULES if is_in(name, "relay.platform.storage") and "azure" in name]
    users = {each.importer for each in OURS if is_in(each.imported, *azure) and not is_in(each.importer, *azure)}
    assert users <= {"relay.bootstrap", "relay.cli", *(name for name in MODULES if is_in(name, "relay.cli"))}
    assert "relay.bootstrap" in users


def test_no_module_needs_itself_to_be_imported() -> None:
    graph: dict[str, set[str]] = {name: set() for name in MODULES}
    for each in OURS:
        if each.is_early and each.imported in MODULES and each.imported != each.importer:
            graph[each.importer].add(each.imported)
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(MODULES)


# ── one home for each SDK ──

HOMES = {
    "azure.functions": ["function_app"],
    "azure.data": ["relay.platform.storage"],
    "azure.storage": ["relay.platform.storage"],
    "azure.core": ["relay.platform.storage", "relay.platform.entra_tokens", "relay.platform.key_vault"],
    "azure.identity": [
        "relay.platform.entra_tokens",
        "relay.platform.storage.azure.session",
        "relay.platform.storage.azure.settings",
    ],
    "azure.keyvault": ["relay.platform.key_vault"],
    "aiohttp": [
        "relay.bootstrap",
        "relay.providers.http_exchange",
        "relay.platform.storage.azure.session",
        "relay.platform.entra_tokens",
        "relay.events.webhooks",
    ],
    "httptools": ["relay.platform.storage.azure.http_pool"],
    "aiosmtplib": ["relay.providers"],
    "sendgrid": ["relay.providers"],
    "pydantic": ["relay.api"],
    "pydantic_core": ["relay.api"],
    "dns": ["relay.operations.doctor.domains"],
    "email_validator": ["relay.api.reading.addresses"],
    "jinja2": ["relay.clients"],
    "cryptography": ["relay.platform.entra_tokens", "relay.providers", "relay.api", "relay.events"],
    "standardwebhooks": ["relay.events.webhooks"],
    "uuid_utils": ["relay.core.ids"],
    "msgspec": ["relay"],
    "typer": ["relay.cli"],
    "rich": ["relay.cli"],
    "httpx2": ["relay.cli"],
    "aiosmtpd": ["relay.cli"],
    "idna": ["relay.mime.fields"],
    "opentelemetry": ["relay.platform.otel", "relay.platform.exporters"],
    "azure.monitor": ["relay.platform.exporters"],
}
"""Where each foreign package may be imported."""


def home_of(imported: str) -> list[str]:
    names = [name for name in HOMES if is_in(imported, name)]
    return HOMES[names[0]] if names else []


def test_every_foreign_package_has_its_home() -> None:
    lost = {
        f"{each.importer} imports {each.imported}"
        for each in FOREIGN
        if not is_in(each.importer, *home_of(each.imported))
    }
    assert lost == set()


# ── nothing before it is used ──

# fmt: off
HEAVY = (
    "aiohttp", "aiosmtplib", "azure.core", "azure.data", "azure.identity", "azure.keyvault", "azure.storage",
    "cryptography", "email_validator", "jinja2", "pydantic", "sendgrid", "standardwebhooks", "uuid_utils", "httptools",
    "httpx", "typer", "rich", "opentelemetry",
)
# fmt: on


def loaded_by(code: str) -> set[str]:
    """Every module that a fresh process has after this code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def heavy(loaded: set[str]) -> set[str]:
    return {name for name in HEAVY if any(is_in(module, name) for module in loaded)}


@pytest.fixture(scope="module")
def at_start() -> set[str]:
    return loaded_by("import function_app")


def test_the_host_indexes_the_app_without_anything_heavy(at_start: set[str]) -> None:
    assert "azure.functions" in at_start
    assert heavy(at_start) == set()


def test_the_host_indexes_the_app_with_little_of_ours(at_start: set[str]) -> None:
    own = {name for name in at_start if is_in(name, "relay")}
    assert own <= {"relay", "relay.core.errors", "relay.core.settings", "relay.platform.settings_checks"}


def test_a_process_that_only_accepts_loads_no_delivery() -> None:
    loaded = loaded_by("import relay.bootstrap")
    assert heavy(loaded) == set()
    assert not {
        name
        for name in loaded
        if is_in(name, "relay.delivery.delivery", "relay.delivery.attempts", "relay.providers.sendgrid.provider")
    }


# ── secrets ──


def test_digests_and_macs_are_compared_in_constant_time() -> None:
    secret = {"digest", "mac", "signature"}
    found = []
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
                words = {_word(side) for side in (node.left, *node.comparators)}
                if words & secret:
                    found.append(f"{name}:{node.lineno}")
    assert found == []


def _word(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
