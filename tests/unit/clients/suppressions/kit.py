"""Suppressions of one process and of another, and what they say of addresses."""

from relay.clients.suppressions.store import Suppressions
from relay.core.model import Address
from relay.core.settings import SUPPRESSION_RULES
from tests.doubles import Place

DAY = 86_400.0


def another(place: Place) -> Suppressions:
    """The suppressions of another process."""
    return Suppressions(place.storage.tables, place.time, SUPPRESSION_RULES)


async def among(lists: Suppressions, *emails: str, client: str = "shop") -> list[str]:
    known = await lists.known_to(client)
    found = known.among([Address(email=email) for email in emails])
    return [found.get(number, "") for number in range(len(emails))]
