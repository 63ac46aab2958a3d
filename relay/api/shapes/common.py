"""Types that response shapes share.

A response is a frozen struct whose name ends in `View`; the OpenAPI document names its schema without that ending. A member
that may be left out has the type `… | UnsetType` and the default `UNSET`: it is never null. A member that may be null has
the type `… | None` and is always there.
"""

from datetime import datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from relay.api.shapes.base import says

Time = Annotated[datetime, Meta(tz=True)]
"""A time with an offset, written as RFC 3339."""
Uri = Annotated[str, Meta(extra_json_schema={"format": "uri"})]
MessageName = Annotated[str, Meta(pattern="^msg_[0-9a-v]{40}$")]
NextLink = Annotated[Uri, says("The URL of the next page. Absent on the last page.")]


def given[T](value: T | None) -> T | UnsetType:
    """Return the value, or for None the mark that leaves a member out of the JSON."""
    return UNSET if value is None else value
