"""Graph's read operations on a mailbox: messages, their MIME, lists by filter, delta queries.

Sources: learn.microsoft.com/graph/api/message-get, /user-list-messages, /message-delta,
/message-list-attachments.
"""

import re
from datetime import timedelta
from typing import Any, Protocol

from aiohttp import web

from standins.graph.call import Call
from standins.graph.errors import GraphError
from standins.graph.filter import select
from standins.graph.mail import attachment_to_json, to_json
from standins.graph.mailbox import Mailbox
from standins.http import Clock, json_response
from standins.inbox import Mail
from standins.mime import write_mime

_PAGE = 10
_EXPANDED = re.compile(r"id eq 'String (0x[0-9a-f]{1,4})'", re.IGNORECASE)
_ON_REQUEST = ("internetMessageHeaders", "singleValueExtendedProperties")


def resource(mail: Mail, folder: str, chosen: str | None, expanded: str | None = None) -> dict[str, Any]:
    """Return a message resource with the properties in `$select`; headers and extended properties only if asked for."""
    full = to_json(mail, folder, is_draft=folder == "drafts")
    wanted = {f"string {int(number, 16):#x}" for number in _EXPANDED.findall(expanded or "")}
    full["singleValueExtendedProperties"] = [
        each for each in full["singleValueExtendedProperties"] if not wanted or each["id"].lower() in wanted
    ]
    if chosen:
        names = {"id", "@odata.etag", *(name.strip() for name in chosen.split(","))}
        names |= {"singleValueExtendedProperties"} if wanted else set()
        return {name: value for name, value in full.items() if name in names}
    return {name: value for name, value in full.items() if name not in _ON_REQUEST}


class ReadsOwner(Protocol):
    """The parts of a stand-in that its reading operations need."""

    clock: Clock
    url: str
    sent_items_lag: timedelta


class Reads:
    """The reading operations of one Graph stand-in."""

    def __init__(self, standin: ReadsOwner) -> None:
        self._standin = standin

    def show(self, call: Call) -> web.Response:
        folder, mail = call.box.find(call.message_id)
        return json_response(resource(mail, folder, call.query("$select"), call.query("$expand")))

    def show_mime(self, call: Call) -> web.Response:
        _, mail = call.box.find(call.message_id)
        return web.Response(body=mail.raw or write_mime(mail), content_type="text/plain")

    def attachments(self, call: Call) -> web.Response:
        _, mail = call.box.find(call.message_id)
        return json_response({"value": [attachment_to_json(item) for item in mail.attachments]})

    def show_folder(self, call: Call) -> web.Response:
        folder_name = call.request.match_info["folder"]
        mails = call.box.folders[call.box.folder(folder_name)]
        return json_response({"id": folder_name, "displayName": folder_name, "totalItemCount": len(mails)})

    def list_messages(self, call: Call) -> web.Response:
        """List messages, newest first unless `$orderby` says otherwise; `$top` and `$skip` select the page."""
        folder_name = call.request.match_info.get("folder")
        folders = [call.box.folder(folder_name)] if folder_name else list(call.box.folders)
        found = [
            (mail.accepted_at, resource(mail, folder, call.query("$select")))
            for folder in folders
            for mail in select(self._indexed(call.box, folder), call.query("$filter"))
        ]
        found.sort(key=lambda pair: pair[0], reverse="asc" not in (call.query("$orderby") or ""))
        skip, top = _number(call.query("$skip"), 0), _number(call.query("$top"), _PAGE)
        answer: dict[str, Any] = {"value": [item for _, item in found[skip : skip + top]]}
        if skip + top < len(found):
            answer["@odata.nextLink"] = str(call.request.url.update_query({"$skip": skip + top}))
        return json_response(answer)

    def _indexed(self, box: Mailbox, folder: str) -> list[Mail]:
        """Return the mails that searches find; sent mails only after `sent_items_lag`."""
        newest = self._standin.clock() - self._standin.sent_items_lag
        return [mail for mail in box.folders[folder] if folder != "sentitems" or mail.accepted_at <= newest]

    def delta(self, call: Call) -> web.Response:
        """Return a page of a folder's changes; the tokens are positions in them."""
        folder = call.box.folder(call.request.match_info["folder"])
        changes = call.box.changes[folder]
        token = call.query("$deltatoken") or call.query("$skiptoken") or "0"
        if not token.isdigit() or int(token) > len(changes):
            raise GraphError(410, "SyncStateNotFound", "The sync state generation is not found.")
        start = int(token)
        end = min(start + _page_size(call.request), len(changes))
        link, name = ("deltaLink", "$deltatoken") if end == len(changes) else ("nextLink", "$skiptoken")
        chosen = call.query("$select")
        kept = f"&$select={chosen}" if chosen else ""
        page = [_change(call.box, folder, mail_id, chosen) for mail_id in dict.fromkeys(changes[start:end])]
        where = f"{self._standin.url}{call.request.path}?{name}={end}{kept}"
        return json_response({"value": page, f"@odata.{link}": where})


def _change(box: Mailbox, folder: str, mail_id: str, chosen: str | None) -> dict[str, Any]:
    for mail in box.folders[folder]:
        if mail.id == mail_id:
            return resource(mail, folder, chosen)
    return {"id": mail_id, "@removed": {"reason": "deleted"}}


def _page_size(request: web.Request) -> int:
    preference = request.headers.get("Prefer", "")
    return _number(preference.rpartition("=")[2], _PAGE) if "odata.maxpagesize=" in preference else _PAGE


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdigit():
        raise GraphError(400, "BadRequest", "Invalid value for a query option; a whole number is expected.")
    return int(text)
