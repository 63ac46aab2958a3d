"""Read times that a user writes."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

Until = Annotated[
    str | None,
    typer.Option(help="When it ends, in local time: 18:00 or 2026-03-01T18:00."),
]


def end_of(text: str | None, now: datetime | None = None) -> str | None:
    """Convert an end to the API's format. A time without a date means the next such time. Raises `typer.BadParameter`."""
    if text is None:
        return None
    now = (now or datetime.now()).astimezone()  # noqa: DTZ005 - the user's own zone
    try:
        if len(text) > 5:
            return datetime.fromisoformat(text).astimezone().isoformat()
        at = datetime.combine(now.date(), datetime.strptime(text, "%H:%M").time())  # noqa: DTZ007 - the user's own zone
    except ValueError as error:
        raise typer.BadParameter("Write a time as 18:00 or 2026-03-01T18:00.", param_hint="--until") from error
    at = at.astimezone()
    return (at if at > now else (at.replace(tzinfo=None) + timedelta(days=1)).astimezone()).isoformat()
