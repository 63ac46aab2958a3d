"""Store the mails of `capture` routes as blobs: the local inbox.

Each mail is two blobs: `mail/<name>.eml` (RFC 5322 bytes) and `list/<name>.json` (its list entry). A name begins with an
inverted timestamp, so that listing names returns the newest first. The list blob is written last and deleted first, so a
listed mail always has its content.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Set
from datetime import datetime

import msgspec

from relay.core import ids
from relay.core.errors import NotFound
from relay.platform import resources
from relay.platform.log import log_event
from relay.platform.storage.ports import Blobs

CONTAINER = resources.INBOX_CONTAINER
_LIST, _MAIL = "list/", "mail/"
_LAST_MILLISECOND = 9_999_999_999_999


class CapturedMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail's list entry. `message` is Relay's message id, `recipients` the envelope."""

    name: str
    message: str
    caught_at: datetime
    sender: str
    recipients: tuple[str, ...]
    subject: str
    size: int
    attempt: int = 1

    def belongs_to(self, mac_key: bytes) -> bool:
        """Return whether the message was submitted by the client with this key."""
        return ids.belongs_to(ids.parse(self.message), mac_key)


class Inbox:
    """Stores and finds mails."""

    def __init__(self, blobs: Blobs, clock: Callable[[], datetime]) -> None:
        self._blobs = blobs
        self._clock = clock

    async def keep(
        self, *, message: str, attempt: int, sender: str, recipients: tuple[str, ...], subject: str, mime: bytes
    ) -> CapturedMail:
        """Store a mail and return its list entry."""
        now = self._clock()
        caught = CapturedMail(
            name=f"{_LAST_MILLISECOND - int(now.timestamp() * 1000):013d}-{message}-{attempt}",
            message=message,
            caught_at=now,
            sender=sender,
            recipients=recipients,
            subject=subject,
            size=len(mime),
            attempt=attempt,
        )
        await self._blobs.put(CONTAINER, f"{_MAIL}{caught.name}.eml", mime, content_type="message/rfc822")
        listed = msgspec.json.encode(caught)
        await self._blobs.put(CONTAINER, f"{_LIST}{caught.name}.json", listed, content_type="application/json")
        return caught

    async def page(self, *, limit: int, cursor: str | None = None) -> tuple[list[CapturedMail], str | None]:
        """Return one page of mails, newest first, and the next cursor. Costs one storage operation plus one for each mail."""
        return await self._page(limit, cursor, frozenset())

    async def all(self, *, but: Set[str] = frozenset()) -> AsyncIterator[CapturedMail]:
        """Yield all mails, newest first. Mails named in `but` are not read."""
        cursor: str | None = None
        while True:
            mails, cursor = await self._page(100, cursor, but)
            for mail in mails:
                yield mail
            if cursor is None:
                return

    async def _page(self, limit: int, cursor: str | None, but: Set[str]) -> tuple[list[CapturedMail], str | None]:
        found, cursor = await self._blobs.list(CONTAINER, prefix=_LIST, limit=limit, cursor=cursor)
        names = [blob.name.removeprefix(_LIST).removesuffix(".json") for blob in found]
        mails = await asyncio.gather(*(self._listed(name) for name in names if name not in but))
        return [mail for mail in mails if mail is not None], cursor

    async def _listed(self, name: str) -> CapturedMail | None:
        try:
            return await self.get(name)
        except NotFound:  # deleted since it was listed
            return None
        except msgspec.MsgspecError:  # not readable by this version: it must not hide the others
            log_event("inbox_mail_unreadable", level=logging.WARNING)
            return None

    async def get(self, name: str) -> CapturedMail:
        """Return a mail's list entry by name. Raises `NotFound`."""
        return msgspec.json.decode(await self._blobs.get(CONTAINER, f"{_LIST}{name}.json"), type=CapturedMail)

    async def mime(self, name: str) -> bytes:
        """Return a mail's RFC 5322 bytes. Raises `NotFound`."""
        return await self._blobs.get(CONTAINER, f"{_MAIL}{name}.eml")

    async def delete(self, name: str) -> None:
        """Delete a mail if it exists."""
        await self._blobs.delete(CONTAINER, f"{_LIST}{name}.json")
        await self._blobs.delete(CONTAINER, f"{_MAIL}{name}.eml")
