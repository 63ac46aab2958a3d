"""Send HTTP requests with a secret, and replace a refused secret once."""

from collections.abc import Awaitable, Callable

from relay.core.errors import SettingsError
from relay.core.outcomes import RouteFault, reply_text
from relay.platform.secrets import Secrets
from relay.providers.http_exchange import HttpResponse, LostResponse


def _is_unauthorized(response: HttpResponse) -> bool:
    return response.status == 401


async def with_secret(
    secrets: Secrets,
    reference: str,
    request: Callable[[str], Awaitable[HttpResponse | LostResponse]],
    is_refused: Callable[[HttpResponse], bool] = _is_unauthorized,
) -> HttpResponse | LostResponse | RouteFault:
    """Call `request` with a secret. If the secret is refused, reread it, and call `request` once more if it has changed."""
    try:
        secret = await secrets.get(reference)
        result = await request(secret)
        if not isinstance(result, HttpResponse) or not is_refused(result):
            return result
        renewed = await secrets.refresh(reference)
    except SettingsError as error:
        return RouteFault(code="secret_unavailable", reply=reply_text(str(error)))
    return result if renewed == secret else await request(renewed)
