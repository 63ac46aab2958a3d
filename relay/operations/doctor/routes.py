"""The routes: their keys, a probe of each, and what its provider has to say about senders."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from relay.core.errors import SettingsError
from relay.core.outcomes import CAUSES, Sent
from relay.operations.doctor.findings import Finding, Health, fault, ok, warning
from relay.platform.secrets import reference_fault
from relay.routes.holds import RouteState

if TYPE_CHECKING:
    from relay.operations.doctor.services import DoctorServices

_FIXES = {
    "bad_credentials": "Make a new key and put it where the route's settings point; no restart is needed.",
    "missing_permission": "Give the key or the identity the right to send (docs/how-to/).",
    "sender_not_verified": "Verify the sender or authenticate its domain at the provider.",
    "account_restricted": "Answer the provider's review; Relay keeps the mail and goes on by itself.",
    "credits_exhausted": "Wait for the next period or raise the plan; Relay keeps the mail and goes on by itself.",
    "mailbox_unavailable": "Create the mailbox, or name an existing one in the route's settings.",
    "secret_unavailable": "Give the app's identity the role Key Vault Secrets User, and see that the secret exists.",
    "unreachable": "Look at the network: DNS, firewall, and for a private smart host the virtual network.",
    "misconfigured": "Correct the route's settings (docs/reference/settings.md).",
}


async def route(services: "DoctorServices", name: str, senders: Sequence[str]) -> Sequence[Finding]:
    """Everything about one route. Nothing is sent."""
    about = f"route {name}"
    found = [finding async for finding in _secrets(services, name)]
    if any(finding.health is Health.FAULT for finding in found):
        return found
    provider = services.provider(name)
    answer = await provider.probe()
    if isinstance(answer, Sent):
        found.append(ok(about, f"{services.settings.routes[name].provider} would take mail"))
    else:
        text = f"{CAUSES.get(answer.code, answer.code)} {answer.reply}".strip()
        fix = _FIXES.get(answer.code, "The provider's words tell what to do.")
        found.append(fault(about, text, "Mail by this route waits until it can leave.", fix))
    found += await _held(services, name)
    examine = getattr(provider, "examine", None)
    if examine is not None and isinstance(answer, Sent):
        found += [
            Finding(about=about, health=Health(remark.health), what=remark.what, why=remark.why, fix=remark.fix)
            for remark in await examine(senders)
        ]
    return found


async def _held(services: "DoctorServices", name: str) -> list[Finding]:
    holds = await services.holds.all(fresh=True)
    return [
        warning(
            f"route {name}",
            f"is {hold.state} since {hold.since:%Y-%m-%d %H:%M}Z: {CAUSES.get(hold.code, hold.code)}"
            + (" (one sender only)" if hold.sender else ""),
            "Its mail waits, and loses neither attempts nor time.",
            f"It is probed by itself. After mending the cause: `relay routes probe {name}`.",
        )
        for hold in holds.values()
        if hold.route == name and hold.state is not RouteState.ACTIVE and hold.since is not None
    ]


async def _secrets(services: "DoctorServices", name: str) -> Any:
    for key, reference in _references(services.settings.routes[name].settings):
        try:
            await services.secrets.get(reference)
        except SettingsError as error:
            why = "Without it the provider refuses everything."
            yield fault(f"route {name}", f"{key}: {error}", why, _FIXES["secret_unavailable"])
        else:
            if reference.startswith("vault:"):
                yield ok(f"route {name}", f"{key} can be read from Key Vault")


def _references(settings: Any) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if isinstance(value, str) and value.startswith(("setting:", "vault:")) and not reference_fault(value):
            yield key, value
