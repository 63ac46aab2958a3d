"""Azure Storage tables behind the port `Tables`."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from relay.core.errors import AlreadyExists, Changed, NotFound
from relay.platform.storage import limits
from relay.platform.storage.azure.errors import Boundary
from relay.platform.storage.azure.requests import AzureRequests
from relay.platform.storage.azure.rows import decode_row, decode_rows, encode_row
from relay.platform.storage.azure.session import AzureSession
from relay.platform.storage.azure.settings import Service
from relay.platform.storage.azure.transactions import CONTENT_TYPE, Change, check_response, encode_transaction
from relay.platform.storage.ports import Entity, Page, Query

_TRANSACTION_ROWS = 100
_ANY = "*"
_READS = {"accept": "application/json;odata=minimalmetadata", "dataserviceversion": "3.0"}
_WRITES = {**_READS, "content-type": "application/json"}
_KEYS = ("PartitionKey", "RowKey")


class AzureTables:
    """The port `Tables`. Reads and writes of rows send their own requests; the rest uses the SDK, imported at the first call."""

    def __init__(self, session: AzureSession, requests: AzureRequests) -> None:
        self._session = session
        self._requests = requests
        self._clients: dict[str, Any] = {}

    async def create(self, table: str) -> None:
        """See the port."""
        with suppress(AlreadyExists):
            async with Boundary("table create"):
                await self._client(table).create_table()

    async def insert(self, table: str, entity: Entity) -> str:
        """See the port."""
        # Without this header the service returns the whole row.
        headers = {**_WRITES, "prefer": "return-no-content"}
        return await self._write("table insert", "POST", table, entity, headers)

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """See the port."""
        response = await self._requests.send("table get", "GET", _row_path(table, partition, row), headers=_READS)
        return decode_row(response.body)

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """See the port."""
        path = _row_path(table, entity.partition, entity.row)
        return await self._write("table merge", "PATCH", path, entity, {**_WRITES, "if-match": etag or _ANY})

    async def merge_with(self, table: str, entity: Entity, others: Sequence[Entity], *, etag: str) -> None:
        """See the port."""
        changes = [self._change(table, entity, etag=etag), *(self._change(table, other) for other in others)]
        await self._transact("table merge_with", changes)

    async def upsert(self, table: str, entity: Entity) -> str:
        """See the port."""
        path = _row_path(table, entity.partition, entity.row)
        return await self._write("table upsert", "PUT", path, entity, _WRITES)

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """See the port."""
        changes = [self._change(table, entity) for entity in entities]
        for start in range(0, len(changes), _TRANSACTION_ROWS):
            await self._transact("table upsert_all", changes[start : start + _TRANSACTION_ROWS])

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """See the port."""
        with suppress(NotFound):
            await self._requests.send(
                "table delete",
                "DELETE",
                _row_path(table, partition, row),
                headers={**_READS, "if-match": etag or _ANY},
            )

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        """See the port."""
        distinct = list(dict.fromkeys(rows))
        for start in range(0, len(distinct), _TRANSACTION_ROWS):
            await self._delete_together(table, partition, distinct[start : start + _TRANSACTION_ROWS])

    async def _delete_together(self, table: str, partition: str, rows: Sequence[str]) -> None:
        try:
            await self._submit_deletes(table, [(partition, row, {}) for row in rows])
        except NotFound:
            # One missing row fails the transaction, and many may be missing: delete the existing rows one by one.
            for row in await self._present(table, partition, rows):
                await self.delete(table, partition, row)

    async def delete_unchanged(self, table: str, entities: Sequence[Entity]) -> int:
        """See the port."""
        gone = 0
        for start in range(0, len(entities), _TRANSACTION_ROWS):
            gone += await self._delete_unchanged_together(table, entities[start : start + _TRANSACTION_ROWS])
        return gone

    async def _delete_unchanged_together(self, table: str, entities: Sequence[Entity]) -> int:
        from azure.core import MatchConditions

        same = MatchConditions.IfNotModified
        try:
            await self._submit_deletes(
                table, [(each.partition, each.row, {"etag": each.etag, "match_condition": same}) for each in entities]
            )
        except (Changed, NotFound):
            # One such row fails the transaction: the others are deleted one by one.
            return sum([await self._delete_unchanged_one(table, each) for each in entities])
        return len(entities)

    async def _delete_unchanged_one(self, table: str, entity: Entity) -> bool:
        try:
            await self.delete(table, entity.partition, entity.row, etag=entity.etag)
        except Changed:
            return False
        return True

    async def _submit_deletes(self, table: str, rows: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Delete rows, given by their keys and conditions, with one transaction."""
        client = self._client(table)
        async with Boundary("table delete"):
            await client.submit_transaction(
                [
                    ("delete", {"PartitionKey": partition, "RowKey": row}, condition)
                    for partition, row, condition in rows
                ]
            )

    async def _present(self, table: str, partition: str, rows: Sequence[str]) -> Sequence[str]:
        query = Query(partition=partition, row_from=min(rows), row_before=max(rows) + "!", select=())
        wanted, present, cursor = set(rows), list[str](), None
        while True:
            page = await self.query(table, query, cursor=cursor)
            present += [entity.row for entity in page.entities if entity.row in wanted]
            cursor = page.next
            if cursor is None:
                return present

    async def query(self, table: str, query: Query, *, limit: int = 1000, cursor: str | None = None) -> Page:
        """See the port."""
        limits.check_range("limit", limit, 1, limits.MAX_PAGE_ROWS)
        # The ETag is derived from the timestamp, so a projection must select it.
        select = () if query.select is None else (*_KEYS, "Timestamp", *query.select)
        parameters = {
            "$filter": filter_text(query),
            "$select": ",".join(select),
            "$top": str(limit),
            **(_after(cursor) if cursor is not None else {}),
        }
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items() if value)
        response = await self._requests.send("table query", "GET", f"{table}()?{text}", headers=_READS)
        return Page(entities=decode_rows(response.body), next=_cursor(response.headers))

    async def _write(self, what: str, method: str, path: str, entity: Entity, headers: Mapping[str, str]) -> str:
        response = await self._requests.send(what, method, path, headers=headers, body=encode_row(entity))
        return response.headers["etag"]

    def _change(self, table: str, entity: Entity, *, etag: str | None = None) -> Change:
        path = _row_path(table, entity.partition, entity.row)
        return Change(url=f"{self._requests.address}/{path}", row=encode_row(entity), etag=etag)

    async def _transact(self, what: str, changes: Sequence[Change]) -> None:
        headers = {**_READS, "content-type": CONTENT_TYPE}
        response = await self._requests.send(what, "POST", "$batch", headers=headers, body=encode_transaction(changes))
        check_response(what, response.body, len(changes))

    def _client(self, table: str) -> Any:
        client = self._clients.get(table)
        if client is None:
            from azure.data.tables.aio import TableClient

            client = self._session.client(TableClient, Service.TABLE, table)
            self._clients[table] = client
        return client


def _row_path(table: str, partition: str, row: str) -> str:
    return f"{table}(PartitionKey={_key(partition)},RowKey={_key(row)})"


def _key(key: str) -> str:
    return quote("'" + key.replace("'", "''") + "'", safe="'")


def _after(cursor: str) -> dict[str, str]:
    """Return the parameters that request the cursor's page. Raises `ValueError` for an invalid cursor."""
    try:
        keys = msgspec.json.decode(cursor, type=dict[str, str | None])
    except msgspec.MsgspecError as error:
        raise ValueError("not a page cursor") from error
    return {f"Next{name}": keys[name] or "" for name in _KEYS if keys.get(name)}


def _cursor(headers: Mapping[str, str]) -> str | None:
    keys = {name: headers.get(f"x-ms-continuation-next{name.lower()}") for name in _KEYS}
    return json.dumps(keys) if any(keys.values()) else None


def filter_text(query: Query) -> str:
    """Return the query as an OData filter. Empty if it selects every row."""
    ranges: tuple[tuple[str, str, str | int | bool | None], ...] = (
        ("PartitionKey", "eq", query.partition),
        ("PartitionKey", "ge", query.partition_from),
        ("PartitionKey", "lt", query.partition_before),
        ("RowKey", "eq", query.row),
        ("RowKey", "ge", query.row_from),
        ("RowKey", "lt", query.row_before),
        *((name, "eq", value) for name, value in query.equals.items()),
    )
    return " and ".join(f"{name} {operator} {_literal(value)}" for name, operator, value in ranges if value is not None)


def _literal(value: str | int | bool) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}L"
        case _:
            return "'" + value.replace("'", "''") + "'"
