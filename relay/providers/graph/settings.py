"""Check and read the settings of a Graph route, and state the rate limits of Exchange Online."""

from collections.abc import Sequence
from urllib.parse import quote

from relay.core.settings import Pace, RouteSettings
from relay.platform.entra_tokens import KEYS, identity_problems
from relay.providers.graph import external_recipients
from relay.providers.http_settings import is_address, limit_problems, timeout_problems

DEFAULT_URL = "https://graph.microsoft.com"
CLOUDS = (
    DEFAULT_URL,
    "https://graph.microsoft.us",
    "https://dod-graph.microsoft.us",
    "https://microsoftgraph.chinacloudapi.cn",
)
"""Graph's URLs. Each is also the resource of its tokens (learn.microsoft.com/graph/deployments)."""
DEFAULT_TIMEOUT_SECONDS = 60
SETTABLE_LIMITS = {"max_recipients": 1000}
"""A tenant takes up to 1,000 recipients in a message (exchange-online-limits)."""
SETTINGS = (
    "mailbox",
    "save_to_sent_items",
    "base_url",
    "timeout_seconds",
    external_recipients.KEY,
    *SETTABLE_LIMITS,
    *KEYS,
)
MESSAGES_A_MINUTE = 30
"""Exchange Online's message rate limit. It silently delays messages beyond it (exchange-online-limits)."""


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of a route's settings, each as `key: sentence`; empty if there are none."""
    known = ", ".join(SETTINGS)
    problems = [f"{key}: is not a setting of graph (known: {known})" for key in settings if key not in SETTINGS]
    mailbox = settings.get("mailbox", "")
    if not isinstance(mailbox, str) or any(character.isspace() or character == "/" for character in mailbox):
        problems.append(
            "mailbox: must be a mailbox's address or object id; without it, the From address is the mailbox"
        )
    if not isinstance(settings.get("save_to_sent_items", True), bool):
        problems.append("save_to_sent_items: must be true or false")
    if not is_address(settings.get("base_url", DEFAULT_URL)):
        problems.append(f"base_url: must be {DEFAULT_URL}, a national cloud's address or another https address")
    problems += external_recipients.budget_problems(settings)
    problems += limit_problems(settings, SETTABLE_LIMITS)
    problems += timeout_problems(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    return [*problems, *identity_problems(settings)]


def default_paces(settings: RouteSettings) -> tuple[Pace, ...]:
    """Return the rate limit of one mailbox, shared by all routes and instances that send from it."""
    mailbox = settings.get("mailbox") or "{sender}"
    return (Pace(count=MESSAGES_A_MINUTE, seconds=60, resource=f"mailbox:{mailbox.lower()}"),)


def base_url(settings: RouteSettings) -> str:
    """Return Graph's URL without a trailing slash."""
    return str(settings.get("base_url", DEFAULT_URL)).rstrip("/")


def scope_of(settings: RouteSettings) -> str:
    """Return the scope of a token for this route's Graph."""
    url = base_url(settings)
    return f"{url if url in CLOUDS else DEFAULT_URL}/.default"


def mailbox_of(settings: RouteSettings, sender: str) -> str:
    """Return the mailbox that sends for a From address."""
    return str(settings.get("mailbox") or sender)


def path_of(mailbox: str) -> str:
    """Return the path of a mailbox's resources."""
    return f"/v1.0/users/{quote(mailbox, safe='@')}"
