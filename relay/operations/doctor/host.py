"""Checks the app's settings and host.json."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.operations.doctor.findings import Finding, fault, ok, warning

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

FOLDER = Path(__file__).parents[3]
_UNRESOLVED = "@Microsoft.KeyVault("
_PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_SETTINGS_PAGE = "docs/reference/settings.md"


async def settings(services: "DoctorServices") -> Sequence[Finding]:
    """Find settings that are valid but certainly unintended. Invalid settings already stop the app at its start."""
    found = list(_settings(services))
    return found or [ok("settings", f"routes: {len(services.settings.routes)}, lanes: {len(services.settings.lanes)}")]


def _settings(services: "DoctorServices") -> Iterator[Finding]:
    for name, value in sorted(services.settings.application.items()):
        if value.startswith(_UNRESOLVED):
            yield fault(
                "settings",
                f"{name} holds an unresolved Key Vault reference",
                "The platform did not resolve it, so the text itself would be used as the key.",
                "Give the app's identity the role Key Vault Secrets User, or use vault:NAME (docs/reference/settings.md).",
            )
    if proxy := next((name for name in _PROXIES if services.settings.application.get(name)), None):
        yield warning(
            "settings",
            f"{proxy} is set, but Relay uses no proxy",
            "It connects directly to providers, webhook receivers and storage, which a network may allow to the proxy only.",
            "Let the network allow these connections (docs/deploy.md), and remove the setting.",
        )
    captures = [route.name for route in services.settings.routes.values() if route.provider == "capture"]
    if captures and services.settings.application.get("WEBSITE_INSTANCE_ID"):
        yield fault(
            "settings",
            f"route {captures[0]} uses the capture provider",
            "It only stores mail in the local inbox: on Azure this mail reaches no recipient.",
            f"Configure a route to a provider in RELAY_ROUTES ({_SETTINGS_PAGE}).",
        )


async def host_json(folder: Path) -> Sequence[Finding]:
    """Check the settings of the Functions host that Relay depends on."""
    try:
        content = json.loads((folder / "host.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        text = f"cannot be read ({type(error).__name__})"
        return [
            fault("host.json", text, "The host would run with its defaults.", "Restore host.json from the repository.")
        ]
    found = list(_host_json(content))
    return found or [ok("host.json", "all required values are set")]


def _host_json(content: dict[str, Any]) -> Iterator[Finding]:
    extensions = content.get("extensions", {})
    queues, http = extensions.get("queues", {}), extensions.get("http", {})
    if queues.get("messageEncoding") != "none":
        why = "Queue entries are plain JSON: the host could not decode them and would move each to the poison queue."
        yield fault("host.json", "queues.messageEncoding is not none", why, 'Set it to "none".')
    if http.get("routePrefix") != "":
        why = "Every URL would begin with /api, so callers and SendGrid libraries would get 404."
        yield fault("host.json", "http.routePrefix is not empty", why, 'Set it to "".')
    if queues.get("maxDequeueCount", 5) < 2:
        why = "One crashed process would already move its queue entries to the poison queue."
        yield warning("host.json", "queues.maxDequeueCount is below 2", why, "Set it to 5.")
