"""Check names and keys at the relay, with a small cache, and slow down clients that try wrong keys."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from relay.acceptance.policy import may_call_from
from relay.api.login_throttle import LoginThrottle
from relay.clients.keys import key_id_of
from relay.clients.policy import Policy
from relay.core.errors import Refusal
from relay.submission.refusals import RefusalKind
from relay.submission.relay_api import Caller, Refused, RelayApi

LIFETIME = timedelta(seconds=30)
"""How long an answer of the relay is used. The relay itself refuses a removed key after this time at the latest."""
MAX_KNOWN = 1_000
_KEY = re.compile(r"[!-~]{1,200}")

WRONG = "535 5.7.8 Wrong name or key: the user is a client's name, the password its key"
UNREACHABLE = "454 4.7.0 The relay cannot check the key now; retry later"
TOO_MANY = "454 4.7.0 Too many wrong keys from this address; retry later"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A client that sends. Without a policy the relay checks everything at the end."""

    key: str
    name: str = ""
    policy: Policy | None = None

    def __repr__(self) -> str:
        return f"Login(name={self.name!r})"


class Logins:
    """Finds the clients of keys."""

    def __init__(self, api: RelayApi, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._clock = clock
        self._throttle = LoginThrottle(clock)
        self._known: OrderedDict[bytes, tuple[Caller, datetime]] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Caller | Refused]] = {}

    async def check(self, name: str, key: str, address: str) -> Login | str:
        """Return the client with this name and key, or the reply to a client at this address that may not send."""
        if not _KEY.fullmatch(key) or key_id_of(key) is None:
            # This costs the relay nothing. If it counted, dictionary attacks would lock out others who share the address.
            return WRONG
        try:
            self._throttle.check(address)
        except Refusal:
            # Many clients may share an address (NAT, a load balancer): a client whose key was right before may still sign in.
            if _mark(key) not in self._known:
                return TOO_MANY
        found = await self._caller(key)
        if isinstance(found, Refused) and found.kind is RefusalKind.RETRY:
            return UNREACHABLE
        if not isinstance(found, Caller) or found.name != name.strip().lower():
            return self._wrong(address)
        if not found.may_send:
            return "535 5.7.8 The role of this client may not send mail"
        if found.policy is not None and not may_call_from(found.policy, address):
            return "535 5.7.8 This client may not send from this address (policy: ip_ranges)"
        return Login(key=key, name=found.name, policy=found.policy)

    async def of_key(self, key: str) -> Login:
        """Return the client of the server's own key. If the relay does not respond or refuses it, posting will report that."""
        found = await self._caller(key)
        return Login(key=key, name=found.name, policy=found.policy) if isinstance(found, Caller) else Login(key=key)

    async def close(self) -> None:
        """Cancel the running calls to the relay."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _wrong(self, address: str) -> str:
        self._throttle.note(address)
        return WRONG

    async def _caller(self, key: str) -> Caller | Refused:
        mark = _mark(key)
        if mark in self._known:
            known, until = self._known[mark]
            if until > self._clock():
                return known
        if mark not in self._asking:
            task = self._asking[mark] = asyncio.create_task(self._ask(mark, key))
            task.add_done_callback(lambda _: self._asking.pop(mark, None))
        return await asyncio.shield(self._asking[mark])

    async def _ask(self, mark: bytes, key: str) -> Caller | Refused:
        found = await self._api.caller(key)
        if isinstance(found, Caller):
            self._known[mark] = (found, self._clock() + LIFETIME)
            self._known.move_to_end(mark)
            if len(self._known) > MAX_KNOWN:
                self._known.popitem(last=False)
        elif found.kind is not RefusalKind.RETRY:
            self._known.pop(mark, None)
        return found


def _mark(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
