"""Azure Storage tables behind the port `Tables`."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from relay.errors import AlreadyExists, NotFound
from relay.storage import limits
from relay.storage.azure_errors import Boundary
from relay.storage.azure_session import AzureSession
from relay.storage.azure_settings import Service
from relay.storage.ports import Entity, Page, Query, Value

_TRANSACTION_ROWS = 100
_INT64 = "Edm.Int64"
_KEYS = ("PartitionKey", "RowKey")


class AzureTables:
    """The port `Tables`. The SDK is imported at the first call."""

    def __init__(self, session: AzureSession) -> None:
        self._session = session
        self._clients: dict[str, Any] = {}

    async def create(self, table: str) -> None:
        """See the port."""
        with suppress(AlreadyExists):
            async with Boundary("table create"):
                await self._client(table).create_table()

    async def insert(self, table: str, entity: Entity) -> str:
        """See the port."""
        fields = _fields(entity)
        client = self._client(table)
        async with Boundary("table insert"):
            # Without this the service sends the whole row back.
            written = await client.create_entity(fields, response_preference="return-no-content")
        return str(written["etag"])

    async def get(self, table: str, partition: str, row: str) -> Entity:
        """See the port."""
        client = self._client(table)
        async with Boundary("table get"):
            found = await client.get_entity(partition, row)
        return _entity(found)

    async def merge(self, table: str, entity: Entity, *, etag: str | None = None) -> str:
        """See the port."""
        fields = _fields(entity)
        client = self._client(table)
        async with Boundary("table merge"):
            written = await client.update_entity(fields, mode="merge", **_condition(etag))
        return str(written["etag"])

    async def upsert(self, table: str, entity: Entity) -> str:
        """See the port."""
        fields = _fields(entity)
        client = self._client(table)
        async with Boundary("table upsert"):
            written = await client.upsert_entity(fields, mode="replace")
        return str(written["etag"])

    async def upsert_all(self, table: str, entities: Sequence[Entity]) -> None:
        """See the port."""
        rows = [("upsert", _fields(entity), {"mode": "replace"}) for entity in entities]
        client = self._client(table)
        for start in range(0, len(rows), _TRANSACTION_ROWS):
            async with Boundary("table upsert_all"):
                await client.submit_transaction(rows[start : start + _TRANSACTION_ROWS])

    async def delete(self, table: str, partition: str, row: str, *, etag: str | None = None) -> None:
        """See the port."""
        client = self._client(table)
        with suppress(NotFound):
            async with Boundary("table delete"):
                await client.delete_entity({"PartitionKey": partition, "RowKey": row}, **_condition(etag))

    async def delete_all(self, table: str, partition: str, rows: Sequence[str]) -> None:
        """See the port."""
        distinct = list(dict.fromkeys(rows))
        for start in range(0, len(distinct), _TRANSACTION_ROWS):
            await self._delete_together(table, partition, distinct[start : start + _TRANSACTION_ROWS])

    async def _delete_together(self, table: str, partition: str, rows: Sequence[str]) -> None:
        try:
            await self._submit_deletes(table, partition, rows)
        except NotFound:
            # One missing row fails them all, and they may be many: delete those that are there, each by itself.
            for row in await self._present(table, partition, rows):
                await self.delete(table, partition, row)

    async def _submit_deletes(self, table: str, partition: str, rows: Sequence[str]) -> None:
        client = self._client(table)
        async with Boundary("table delete_all"):
            await client.submit_transaction([("delete", {"PartitionKey": partition, "RowKey": row}) for row in rows])

    async def _present(self, table: str, partition: str, rows: Sequence[str]) -> Sequence[str]:
        query = Query(partition=partition, row_from=min(rows), row_before=max(rows) + "!", select=())
        wanted, present, cursor = set(rows), list[str](), None
        while True:
            page = await self.query(table, query, cursor=cursor)
            present += [entity.row for entity in page.entities if entity.row in wanted]
            cursor = page.next
            if cursor is None:
                return present

    async def query(self, table: str, query: Query, *, most: int = 1000, cursor: str | None = None) -> Page:
        """See the port."""
        limits.check_range("most", most, 1, limits.MAX_PAGE_ROWS)
        client = self._client(table)
        # The ETag is made from the time of writing, so that a projection must name it.
        select = None if query.select is None else [*_KEYS, "Timestamp", *query.select]
        condition = filter_text(query)
        token = None if cursor is None else _token(cursor)
        async with Boundary("table query"):
            found = (
                client.query_entities(condition, results_per_page=most, select=select)
                if condition
                else client.list_entities(results_per_page=most, select=select)
            )
            pages = found.by_page(continuation_token=token)
            entities = [_entity(each) async for each in await anext(pages)]
        following = pages.continuation_token
        return Page(entities=entities, next=json.dumps(following) if following else None)

    def _client(self, table: str) -> Any:
        client = self._clients.get(table)
        if client is None:
            from azure.data.tables.aio import TableClient

            client = self._session.client(TableClient, Service.TABLE, table)
            self._clients[table] = client
        return client


def _token(cursor: str) -> dict[str, str | None]:
    """The SDK's continuation token. Raises `ValueError` for what is none."""
    try:
        return msgspec.json.decode(cursor, type=dict[str, str | None])
    except msgspec.MsgspecError as error:
        raise ValueError("no cursor of a page") from error


def filter_text(query: Query) -> str:
    """The query in OData, or nothing when it wants every row."""
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


def _condition(etag: str | None) -> Mapping[str, Any]:
    if etag is None:
        return {}
    from azure.core import MatchConditions

    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _fields(entity: Entity) -> dict[str, Any]:
    fields: dict[str, Any] = {"PartitionKey": entity.partition, "RowKey": entity.row}
    for name, value in entity.properties.items():
        stored = limits.as_stored(value)
        # The SDK takes an int for one of 32 bits unless told otherwise.
        fields[name] = (stored, _INT64) if type(stored) is int else stored
    return fields


def _entity(found: Any) -> Entity:
    properties = {name: _value(value) for name, value in found.items() if name not in _KEYS and value is not None}
    return Entity(
        partition=found["PartitionKey"], row=found["RowKey"], properties=properties, etag=found.metadata["etag"]
    )


def _value(value: Any) -> Value:
    if isinstance(value, tuple):
        value = value[0]
    if isinstance(value, datetime):
        # The SDK's own subclass compares and prints as its base does; what we give out is plain.
        return datetime.fromtimestamp(value.timestamp(), value.tzinfo)
    plain: Value = value
    return plain
