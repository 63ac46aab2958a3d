"""Check the settings of a SendGrid route."""

from collections.abc import Sequence

from relay.core.settings import RouteSettings
from relay.platform.secrets import reference_problem
from relay.providers.http_settings import is_address, timeout_problems
from relay.providers.sendgrid.options import options_problems

DEFAULT_KEY = "setting:SENDGRID_API_KEY"
DEFAULT_URL = "https://api.sendgrid.com"
EU_URL = "https://api.eu.sendgrid.com"
DEFAULT_TIMEOUT_SECONDS = 30
SETTINGS = ("api_key", "base_url", "sandbox_mode", "activity_feed", "timeout_seconds", "options")


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of a route's settings, each as `key: sentence`; empty if there are none."""
    known = ", ".join(SETTINGS)
    problems = [f"{key}: is not a setting of sendgrid (known: {known})" for key in settings if key not in SETTINGS]
    if problem := reference_problem(settings.get("api_key", DEFAULT_KEY)):
        problems.append(f"api_key: {problem}")
    if not is_address(settings.get("base_url", DEFAULT_URL)):
        problems.append(f"base_url: must be {DEFAULT_URL}, {EU_URL} (regional subusers) or another https address")
    switches = ("sandbox_mode", "activity_feed")
    problems += [f"{key}: must be true or false" for key in switches if not isinstance(settings.get(key, False), bool)]
    problems += timeout_problems(settings.get("timeout_seconds", DEFAULT_TIMEOUT_SECONDS))
    return [*problems, *options_problems(settings.get("options", {}), "options")]
