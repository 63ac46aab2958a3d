"""The process: its settings, and how the Functions host runs it."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.operations.doctor.findings import Finding, fault, ok, warning

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

FOLDER = Path(__file__).parents[3]
_UNRESOLVED = "@Microsoft.KeyVault("
_SETTINGS_PAGE = "docs/reference/settings.md"


async def settings(services: "DoctorServices") -> Sequence[Finding]:
    """What the settings say that could be read but not be meant. Those that cannot be used stop the app by themselves."""
    found = list(_settings(services))
    return found or [ok("settings", f"{len(services.settings.routes)} routes, {len(services.settings.lanes)} lanes")]


def _settings(services: "DoctorServices") -> Iterator[Finding]:
    for name, value in sorted(services.settings.application.items()):
        if value.startswith(_UNRESOLVED):
            yield fault(
                "settings",
                f"{name} holds an unresolved Key Vault reference",
                "The platform did not replace it, so the text itself would be used as the key.",
                "Give the app's identity the role Key Vault Secrets User, or use vault:NAME (docs/reference/settings.md).",
            )
    captures = [route.name for route in services.settings.routes.values() if route.provider == "capture"]
    if captures and services.settings.application.get("WEBSITE_INSTANCE_ID"):
        yield fault(
            "settings",
            f"route {captures[0]} captures mail",
            "On Azure nobody reads the local inbox: this mail reaches nobody.",
            f"Declare a route to a provider in RELAY_ROUTES ({_SETTINGS_PAGE}).",
        )


async def host_json(folder: Path) -> Sequence[Finding]:
    """The settings of the host that Relay's promises rest on."""
    try:
        content = json.loads((folder / "host.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        text = f"cannot be read ({type(error).__name__})"
        return [
            fault("host.json", text, "The host would run with its defaults.", "Restore host.json from the repository.")
        ]
    found = list(_host_json(content))
    return found or [ok("host.json", "as it should be")]


def _host_json(content: dict[str, Any]) -> Iterator[Finding]:
    extensions = content.get("extensions", {})
    queues, http = extensions.get("queues", {}), extensions.get("http", {})
    if queues.get("messageEncoding") != "none":
        why = "Entries are plain JSON; the host would take each for damaged and move it to the poison queue."
        yield fault("host.json", "queues.messageEncoding is not none", why, 'Set it to "none".')
    if http.get("routePrefix") != "":
        why = "Every address would begin with /api: no caller and no SendGrid library would find it."
        yield fault("host.json", "http.routePrefix is not empty", why, 'Set it to "".')
    if queues.get("maxDequeueCount", 5) < 2:
        why = "An entry whose process died once would go to the poison queue."
        yield warning("host.json", "queues.maxDequeueCount is below 2", why, "Set it to 5.")
