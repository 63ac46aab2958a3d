"""Store the folders of a mailbox (drafts, sent items, inbox) and their changes."""

import secrets

import msgspec

from standins.graph.errors import GraphError
from standins.inbox import Attachment, Mail

FOLDERS = {"drafts": "drafts", "sentitems": "sentitems", "inbox": "inbox"}
_IMMUTABLE = "AAkAL"


def new_id(*, is_immutable: bool = False) -> str:
    """Return an item id. An ordinary id changes when the item moves; an immutable one does not."""
    return (_IMMUTABLE if is_immutable else "AAMk") + secrets.token_urlsafe(24)


def id_after_move(mail_id: str) -> str:
    return mail_id if mail_id.startswith(_IMMUTABLE) else new_id()


class Mailbox:
    """The mails of one mailbox, by folder in order of arrival, and the changes of each folder."""

    def __init__(self) -> None:
        self.folders: dict[str, list[Mail]] = {name: [] for name in FOLDERS.values()}
        self.changes: dict[str, list[str]] = {name: [] for name in FOLDERS.values()}
        """Ids of mails that were added to or removed from a folder, oldest first, for delta queries."""
        self.in_flight = 0
        self.peak = 0

    def folder(self, name: str) -> str:
        """Return the folder of a well-known name. Raises GraphError."""
        key = FOLDERS.get(name.lower())
        if key is None:
            raise GraphError(400, "ErrorInvalidIdMalformed", "Id is malformed.")
        return key

    def find(self, mail_id: str) -> tuple[str, Mail]:
        """Return the folder and the mail of an id. Raises GraphError."""
        for name, mails in self.folders.items():
            for mail in mails:
                if mail.id == mail_id:
                    return name, mail
        raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")

    def draft(self, mail_id: str) -> Mail:
        name, mail = self.find(mail_id)
        if name != "drafts":
            raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return mail

    def put(self, folder: str, mail: Mail) -> None:
        self.folders[folder].append(mail)
        self.changes[folder].append(mail.id)

    def attach(self, mail_id: str, item: Attachment) -> None:
        draft = self.draft(mail_id)
        # The MIME from the draft's creation lacks later attachments.
        changed = msgspec.structs.replace(draft, attachments=(*draft.attachments, item), raw=None)
        drafts = self.folders["drafts"]
        drafts[:] = [changed if kept.id == mail_id else kept for kept in drafts]
        self.changes["drafts"].append(mail_id)

    def remove(self, mail_id: str) -> None:
        name, mail = self.find(mail_id)
        self.folders[name].remove(mail)
        self.changes[name].append(mail_id)
