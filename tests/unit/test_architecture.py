"""The shape of the code: rooms in one order, imports one way, one home for each SDK, nothing heavy before it is used."""

import ast
import graphlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

ROOMS = (
    "relay.core",
    "relay.platform",
    "relay.mime",
    "relay.rendering",
    "relay.handlebars",
    "relay.providers",
    "relay.clients",
    "relay.journal",
    "relay.routes",
    "relay.acceptance",
    "relay.events",
    "relay.unsubscribe",
    "relay.delivery",
    "relay.operations",
    "relay.api",
    "relay.api.shapes",
    "relay.api.reading",
    "relay.api.operator",
    "relay.api.messages",
    "relay.api.resources",
    "relay.api.pages",
    "relay.api.sendgrid",
    "relay.api.openapi",
    "relay.api.operations",
    "relay.bootstrap",
    "relay.submission",
    "relay.cli",
    "function_app",
)
"""Every room, bottom to top. A module may import from its own room and from those before it."""
PACKAGES = ("relay", "devhost", "standins", "bench", "hooks", "scripts")
MAX_FILES = 13
"""About as many files as a reader takes in at a glance; `__init__.py` not counted."""


class Import(NamedTuple):
    """One import, wherever it stands: at the top, in a function, under TYPE_CHECKING, or as a module's name in a string."""

    importer: str
    imported: str


def modules(package: str) -> Mapping[str, Path]:
    """Return every module of a top-level package by its dotted name."""
    paths = sorted((ROOT / package).rglob("*.py")) if package != "function_app" else [ROOT / "function_app.py"]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


DEPLOYED = {**modules("relay"), **modules("function_app")}
EVERYTHING = {**DEPLOYED, **{name: path for package in PACKAGES for name, path in modules(package).items()}}


@cache
def imports(name: str) -> frozenset[Import]:
    """Return every import of a module."""
    found = set()
    for node in ast.walk(ast.parse(EVERYTHING[name].read_text())):
        match node:
            case ast.Import():
                found |= {Import(name, alias.name) for alias in node.names}
            case ast.ImportFrom(module=str(module)):
                whole = (f"{module}.{alias.name}" for alias in node.names)
                found |= {Import(name, each if each in EVERYTHING else module) for each in whole}
            case ast.Constant(value=str(text)):
                found |= {Import(name, each) for each in _named_in(name, text)}
    return frozenset(each for each in found if each.imported != name)


def _named_in(importer: str, text: str) -> Iterator[str]:
    """Yield the modules that a string names for `import_module`: dotted in full, or `module:name` in an operations table."""
    if text in EVERYTHING and "." in text:
        yield text
    if is_in(importer, *LAZY_TABLES) and (found := re.fullmatch(r"([a-z_.]+):\w+(\[\])?", text)):
        yield f"relay.api.{found[1]}"


LAZY_TABLES = (
    "relay.api.operation",
    "relay.api.operations",
    "relay.api.pages.operations",
    "relay.api.pages.unsubscribe",
)
"""Modules that name handlers and shapes within relay.api, for loading when first used."""


def is_in(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def room_of(module: str) -> int:
    """Return the place in `ROOMS` of a module's room, the innermost that holds it."""
    return max((len(room), number) for number, room in enumerate(ROOMS) if is_in(module, room))[1]


def foreign() -> Iterator[Import]:
    """Yield the imports of packages that are neither ours nor Python's."""
    for name in DEPLOYED:
        for each in imports(name):
            if each.imported.split(".")[0] not in {*sys.stdlib_module_names, "relay", "function_app"} and each.imported:
                yield each


# ── rooms ──


def test_nested_and_string_imports_are_found() -> None:
    assert Import("function_app", "azure.functions") in imports("function_app")
    assert Import("function_app", "relay.bootstrap") in imports("function_app")  # in a function
    assert Import("relay.bootstrap.stores", "relay.journal.pending") in imports(
        "relay.bootstrap.stores"
    )  # TYPE_CHECKING
    assert Import("relay.providers.registry", "relay.providers.smtp.provider") in imports("relay.providers.registry")
    assert Import("relay.api.operations", "relay.api.operations.messages") in imports("relay.api.operations")
    rows = imports("relay.api.operations.messages")
    assert Import("relay.api.operations.messages", "relay.api.messages.send") in rows
    assert Import("relay.api.operations.messages", "relay.api.shapes.messages") in rows


def test_every_module_is_in_a_room() -> None:
    at_home = {name for name in DEPLOYED if any(is_in(name, room) for room in ROOMS)}
    assert DEPLOYED.keys() - at_home == {"relay"}


def test_modules_import_only_from_their_room_and_those_before_it() -> None:
    ours = {
        (name, each.imported)
        for name in DEPLOYED.keys() - {"relay"}
        for each in imports(name)
        if is_in(each.imported, "relay", "function_app") and each.imported != "relay"
    }
    assert sorted(f"{name}: {imported}" for name, imported in ours if room_of(imported) > room_of(name)) == []


def test_imports_have_no_circle() -> None:
    graph = {name: {each.imported for each in imports(name)} & EVERYTHING.keys() for name in EVERYTHING}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(EVERYTHING) > 300


def test_folders_stay_small() -> None:
    counts: dict[str, int] = {}
    for path in DEPLOYED.values():
        folder = path.parent.relative_to(ROOT).as_posix()
        counts[folder] = counts.get(folder, 0) + (path.name != "__init__.py")
    assert {folder: count for folder, count in counts.items() if count > MAX_FILES} == {}


def test_only_the_triggers_import_azure_functions() -> None:
    assert {each.importer for each in foreign() if is_in(each.imported, "azure.functions")} == {"function_app"}


def test_only_the_composition_root_and_the_command_line_import_an_adapter_of_storage() -> None:
    adapters = [name for name in DEPLOYED if is_in(name, "relay.platform.storage") and name.count(".") > 3]
    users = {name for name in DEPLOYED for each in imports(name) if each.imported in adapters and name not in adapters}
    assert users
    assert all(is_in(name, "relay.bootstrap", "relay.cli", "relay.platform.storage") for name in users)


# ── one home for each SDK ──

HOMES = {
    "aiohappyeyeballs": ["relay.platform.http.connect"],
    "aiosmtpd": ["relay.submission.protocol.connection", "relay.submission.protocol.dialogue"],
    "babel": ["relay.rendering.formats"],
    "azure.data": ["relay.platform.storage.azure.tables"],
    "azure.functions": ["function_app"],
    "azure.identity": ["relay.platform.entra_tokens"],
    "azure.keyvault": ["relay.platform.key_vault"],
    "azure.monitor": ["relay.platform.exporters"],
    "cryptography": [
        "relay.events.sendgrid",
        "relay.platform.entra_tokens",
        "relay.submission.certificates",
        "relay.unsubscribe.token",
    ],
    "dns": ["relay.operations.doctor.domains"],
    "email_validator": ["relay.api.reading.addresses"],
    "html_to_markdown": ["relay.mime.writing.plain_text"],
    "httptools": ["relay.platform.http.response"],
    # The command line calls a relay, and SendGrid for the import of templates.
    "httpx2": ["relay.cli.remote", "relay.cli.templates.sendgrid"],
    "idna": ["relay.mime.fields"],
    "jinja2": ["relay.clients.templates.filters", "relay.clients.templates.sandbox"],
    "rich": ["relay.cli"],
    "sendgrid": ["relay.providers.sendgrid.body"],
    "standardwebhooks": ["relay.events.webhooks.http_post"],
    "typer": ["relay.cli"],
    "uuid_utils": ["relay.core.ids"],
    # Its own structs are everywhere.
    "msgspec": ["relay"],
    # One SDK for blobs and one for queues.
    "azure.storage": ["relay.platform.storage.azure.blobs", "relay.platform.storage.azure.queues"],
    # Its errors, match conditions and HTTP transport are part of the interface of azure-identity and the SDKs of Key Vault and
    # storage.
    "azure.core": [
        "relay.platform.entra_tokens",
        "relay.platform.key_vault",
        "relay.platform.storage.azure.session",
        "relay.platform.storage.azure.tables",
    ],
    # What Azure's libraries send with: azure-identity and Key Vault's SDK by a session that bootstrap makes, the storage SDKs by
    # one with their own limit and no decompression. And the sessions of the submission server, which is a process of its own.
    "aiohttp": [
        "relay.bootstrap.connections",
        "relay.platform.storage.azure.session",
        "relay.submission.relay_api",
        "relay.submission.server",
    ],
    # `exporters` sets up export, `otel` records: two modules, so that the tests record without exporting.
    "opentelemetry": ["relay.platform.exporters", "relay.platform.otel"],
}
"""Where each foreign package may be imported: one module or room, and a reason where there are several."""


def home_of(imported: str) -> list[str]:
    names = [name for name in HOMES if is_in(imported, name)]
    return HOMES[names[0]] if names else []


def test_third_party_package_is_imported_only_by_its_owner() -> None:
    elsewhere = {
        f"{each.importer} imports {each.imported}"
        for each in foreign()
        if not is_in(each.importer, *home_of(each.imported))
    }
    assert elsewhere == set()


def test_every_owner_imports_its_package() -> None:
    used = {
        (package, home)
        for package in HOMES
        for home in HOMES[package]
        for each in foreign()
        if is_in(each.imported, package) and is_in(each.importer, home)
    }
    assert {(package, home) for package, homes in HOMES.items() for home in homes} - used == set()


# ── nothing before it is used ──

# fmt: off
HEAVY = (
    "aiohttp", "azure.core", "azure.data", "azure.identity", "azure.keyvault", "azure.storage",
    "babel", "cryptography", "email_validator", "jinja2", "sendgrid", "standardwebhooks", "uuid_utils", "httptools",
    "httpx", "typer", "rich", "opentelemetry",
)
# fmt: on


def loaded_by(code: str) -> set[str]:
    """Return every module that a fresh process has loaded after running this code."""
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


def test_indexing_the_app_loads_no_heavy_package(at_start: set[str]) -> None:
    assert "azure.functions" in at_start
    assert heavy(at_start) == set()


def test_indexing_the_app_loads_few_modules(at_start: set[str]) -> None:
    own = {name for name in at_start if is_in(name, "relay")}
    modules_of_packages = {"relay", "relay.core", "relay.platform"}
    assert own - modules_of_packages <= {
        "relay.core.errors",
        "relay.core.settings",
        "relay.platform.environment",
        "relay.platform.settings_checks",
    }


def test_process_that_only_accepts_loads_no_delivery_code() -> None:
    loaded = loaded_by("import relay.bootstrap")
    assert heavy(loaded) == set()
    assert not {
        name
        for name in loaded
        if is_in(name, "relay.delivery.delivery", "relay.delivery.attempts", "relay.providers.sendgrid.provider")
    }


DELIVER = """
import asyncio
from relay.bootstrap import Relay
from relay.bootstrap.stores import utc_now
from relay.platform.storage.memory.memory_storage import memory_storage
from tests.doubles import message_of, settings_of
from tests.send_requests import send_request_of
from relay.core.settings import Route

NOWHERE = "http://127.0.0.1:1"
ROUTES = {
    "sendgrid": {"api_key": "setting:KEY", "base_url": NOWHERE},
    "acs": {"access_key": "setting:KEY", "endpoint": NOWHERE},
    "smtp": {"host": "127.0.0.1", "port": 1, "username": "u", "password": "setting:KEY"},
}

async def run():
    routes = [Route(name=name, provider=name, settings=settings) for name, settings in ROUTES.items()]
    settings = settings_of(*routes, application={"KEY": "a2V5"}, webhooks_allow_loopback=True)
    relay = Relay(settings, memory_storage(utc_now))
    for name in ROUTES:
        outcome = await relay.provider(name).send(send_request_of(message_of()))
        assert outcome.code in ("unreachable", "connection_failed"), outcome
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    posted = await relay.poster.post(f"{NOWHERE}/hook", "e", b"{}", media_type="application/json", secrets=[secret])
    assert posted.error == "ConnectionRefusedError", posted
    await relay.close()

asyncio.run(run())
"""


def test_delivery_without_azure_identities_loads_no_http_client_library() -> None:
    loaded = loaded_by(DELIVER)
    assert {"relay.platform.http.client", "standardwebhooks", "relay.providers.smtp.session", "sendgrid"} <= loaded
    assert not {name for name in loaded if is_in(name, "aiohttp", "aiohappyeyeballs", "requests", "httpx", "azure")}


def test_process_without_handlebars_templates_loads_no_handlebars_code() -> None:
    loaded = loaded_by("import relay.api.messages.rendering, relay.api.resources.templates, relay.api.sendgrid.send")
    assert "relay.clients.templates.compiled" in loaded
    assert not {name for name in loaded if is_in(name, "relay.handlebars", "babel")}


# ── secrets ──


def test_digests_and_macs_are_compared_in_constant_time() -> None:
    secret = {"digest", "mac", "signature"}
    found = []
    for name, path in DEPLOYED.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
                words = {_word(side) for side in (node.left, *node.comparators)}
                if words & secret:
                    found.append(f"{name}:{node.lineno}")
    assert found == []


def _word(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
