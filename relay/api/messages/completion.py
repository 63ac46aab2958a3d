"""Complete drafts that name a template or uploaded files. Each template and file is read once for a request."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from relay.acceptance.draft import Draft, Limits
from relay.api.problems import WHOLE, Problems
from relay.api.services import Call
from relay.core.model import Attachment, Submission
from relay.mime.size import estimate_size
from relay.rendering.work import WorkBudget

if TYPE_CHECKING:
    from relay.clients.uploads import Upload

HELD_AND_REDRIVEN = timedelta(days=40)
"""Time after its expiry in which a message may still need its files: ten days held, and thirty after a redrive."""
_UNKNOWN = "This client has no complete upload with this id; it may have expired. Upload the file again."
_OCTETS = "application/octet-stream"


class Completion:
    """Completes the drafts of one request. `messages` is the number of messages in it."""

    def __init__(self, call: Call, limits: Limits, messages: int = 1) -> None:
        self._call = call
        self._limits = limits
        self._budget = WorkBudget(messages)
        self._uploads: dict[str, Upload | None] = {}

    async def complete(self, draft: Draft) -> Draft:
        """Return the draft with its template filled in and its files. Raises `Refusal` with every problem found here."""
        is_rendered = draft.template is not None
        if is_rendered:
            from relay.api.messages.rendering import rendered

            draft = await rendered(self._call, draft, self._limits, self._budget)
        if not is_rendered and all(attachment.blob is None for attachment in draft.message.attachments):
            return draft
        problems = Problems()
        await self._find(attachment.blob for attachment in draft.message.attachments)
        files = tuple(
            self._filled(attachment, f"attachments[{number}].id", problems)
            for number, attachment in enumerate(draft.message.attachments)
        )
        message = msgspec.structs.replace(draft.message, attachments=files)
        size = estimate_size(message)
        draft = msgspec.structs.replace(draft, message=message, size=size)
        if not problems and size > self._limits.max_message_bytes:
            text = f"The message is too large: {size} bytes on the wire (limit {self._limits.max_message_bytes})."
            problems.add("message_too_large", WHOLE, text)
        problems.raise_any()
        return draft

    async def keep(self, submissions: Sequence[Submission]) -> None:
        """Keep the uploads of messages that will be accepted. Raises `Refusal` if an upload has expired."""
        if not self._uploads:
            return
        known = {upload.blob: upload for upload in self._uploads.values() if upload is not None}
        after = HELD_AND_REDRIVEN + timedelta(days=self._call.services.settings.retention_days)
        until: dict[str, datetime] = {}
        for submission in submissions:
            for attachment in submission.message.attachments if submission.message is not None else ():
                if attachment.blob in known:
                    needed = submission.expires_at + after
                    until[attachment.blob] = max(until.get(attachment.blob, needed), needed)
        problems = Problems()
        for blob, needed in until.items():
            if not await self._call.services.uploads.keep(known[blob], needed):
                problems.add("unknown_attachment", WHOLE, _UNKNOWN)
        problems.raise_any()

    async def _find(self, names: Iterable[str | None]) -> None:
        missing = [name for name in dict.fromkeys(names) if name is not None and name not in self._uploads]
        found: Mapping[str, Upload] = await self._call.services.uploads.find(self._call.client.id, missing)
        self._uploads.update({name: found.get(name) for name in missing})

    def _filled(self, attachment: Attachment, target: str, problems: Problems) -> Attachment:
        if attachment.blob is None:
            return attachment
        upload = self._uploads[attachment.blob]
        if upload is None:
            problems.add("unknown_attachment", target, _UNKNOWN)
            return attachment
        return msgspec.structs.replace(
            attachment,
            name=attachment.name or upload.name,
            type=upload.type if attachment.type == _OCTETS else attachment.type,
            blob=upload.blob,
            size=upload.size,
        )
