"""Upload a large attachment to a draft: an upload session with ranges in order, resumed after a failure.

Source: learn.microsoft.com/graph/outlook-large-attachments and /graph/api/attachment-createuploadsession.
"""

import re

from relay.core.model import Attachment
from relay.core.outcomes import Outcome
from relay.providers.graph.body import upload_session
from relay.providers.graph.mailbox import Mailbox, message_path
from relay.providers.graph.outcomes import before_sending
from relay.providers.http_exchange import HttpResponse, LostResponse

MIN_BYTES = 3 * 1024 * 1024
"""Smaller files are posted in one request."""
RANGE_BYTES = 320 * 1024 * 12
"""3.75 MiB: below the 4 MB that one PUT may have, in the multiples of 320 KiB that upload sessions ask for."""
MAX_RESUMES = 3
"""Failed ranges in a row, without progress, after which the attempt fails."""
_DIGITS = re.compile(r"\d+")


async def upload(mailbox: Mailbox, draft: str, place: int, item: Attachment) -> Outcome | None:
    """Upload one file, the draft's attachment number `place` (from 0). None on success, else the outcome (nothing was sent)."""
    begun = await mailbox.request(
        "POST", f"{message_path(draft)}/attachments/createUploadSession", upload_session(item)
    )
    decoded = begun.decoded() if isinstance(begun, HttpResponse) and begun.status == 201 else None
    url = decoded.get("uploadUrl") if isinstance(decoded, dict) else None
    if not isinstance(url, str):
        return before_sending(mailbox.outcome(begun))
    return await _Upload(mailbox, draft, place, item, url).run()


class _Upload:
    """One session. `uploadUrl` contains its own authorization and must not get Relay's token."""

    def __init__(self, mailbox: Mailbox, draft: str, place: int, item: Attachment, url: str) -> None:
        self._mailbox = mailbox
        self._draft = draft
        self._place = place
        self._content = item.content
        self._url = url

    async def run(self) -> Outcome | None:
        start = failures = 0
        while start < len(self._content):
            result = await self._put(start)
            if isinstance(result, HttpResponse) and result.status == 429:
                return self._mailbox.outcome(result)
            is_good = isinstance(result, HttpResponse) and result.status in (200, 201)
            reached = min(start + RANGE_BYTES, len(self._content)) if is_good else await self._reached(start)
            failures = 0 if reached > start else failures + 1
            if failures > MAX_RESUMES:
                return before_sending(self._mailbox.outcome(result))
            start = reached
        return None

    async def _put(self, start: int) -> HttpResponse | LostResponse:
        part = self._content[start : start + RANGE_BYTES]
        span = f"bytes {start}-{start + len(part) - 1}/{len(self._content)}"
        headers = {"Content-Type": "application/octet-stream", "Content-Range": span}
        return await self._mailbox.request_without_token("PUT", self._url, headers, part)

    async def _reached(self, start: int) -> int:
        """Ask the session where to continue after a failed range. A finished session no longer exists."""
        result = await self._mailbox.request_without_token("GET", self._url, {"Accept": "application/json"})
        if not isinstance(result, HttpResponse):
            return start
        if result.status == 404 and await self._is_attached():
            return len(self._content)
        decoded = result.decoded() if result.status == 200 else None
        ranges = decoded.get("nextExpectedRanges") if isinstance(decoded, dict) else None
        found = _DIGITS.match(str(ranges[0])) if isinstance(ranges, list) and ranges else None
        return int(found.group()) if found else start

    async def _is_attached(self) -> bool:
        result = await self._mailbox.request("GET", f"{message_path(self._draft)}/attachments?$select=id")
        decoded = result.decoded() if isinstance(result, HttpResponse) and result.status == 200 else None
        listed = decoded.get("value") if isinstance(decoded, dict) else None
        return isinstance(listed, list) and len(listed) > self._place
