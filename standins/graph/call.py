"""One authorized request to Graph, as an operation receives it."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from standins.graph.mailbox import Mailbox
from standins.http import Acceptance


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request about a mailbox. `user` is the mailbox's name in lower case, `box` that mailbox."""

    request: web.Request
    body: bytes
    user: str
    box: Mailbox

    @property
    def message_id(self) -> str:
        return self.request.match_info["message"]

    @property
    def wants_immutable_id(self) -> bool:
        return 'idtype="immutableid"' in self.request.headers.get("Prefer", "").replace(" ", "").lower()

    def query(self, name: str) -> str | None:
        return self.request.query.get(name)


type Examine = Callable[[Call], Acceptance | web.Response]
"""Decides on a request; raises GraphError if Graph refuses it."""
