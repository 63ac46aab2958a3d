"""Report arrivals: rates of bounces and complaints by client, tag, route, recipient domain, hour or day."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import groupby

import msgspec

from relay.api.http import Response, csv_response, json_response
from relay.api.problems import Problems
from relay.api.reading.query import check_names, read_choice, read_time
from relay.api.services import Call
from relay.api.shapes.system import ArrivalCountsView, ArrivalListView, ArrivalRowView
from relay.core.arrival.counts import OTHERS, Counts, Dimension, summed, worst_first
from relay.journal.counts.hours import Hour

MAX_SPAN = timedelta(days=31)
DEFAULT_SPAN = timedelta(hours=24)
PARAMETERS = ("by", "since", "before", *Dimension)
COLUMNS = ("name", "at", *Counts.__struct_fields__, "bounce_rate", "complaint_rate")


class By(StrEnum):
    """The dimension of the rows."""

    CLIENT = "client"
    TAG = "tag"
    ROUTE = "route"
    DOMAIN = "domain"
    HOUR = "hour"
    DAY = "day"


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    by: By
    since: datetime
    before: datetime
    only: tuple[Dimension, str] | None


async def show(call: Call) -> Response:
    """Handle GET /v1/arrivals."""
    return json_response(await _list(call))


async def export(call: Call) -> Response:
    """Handle GET /v1/arrivals/export: the rows as CSV."""
    found = (await _list(call)).value
    rows = [[_cell(getattr(row, column)) for column in COLUMNS] for row in found]
    return csv_response("arrivals.csv", COLUMNS, rows)


async def _list(call: Call) -> ArrivalListView:
    wanted = _wanted(call.request.query, call.services.clock())
    dimensions = _dimensions(wanted)
    hours = await call.services.arrival_hours.between(wanted.since, wanted.before, dimensions)
    rows = list(_rows(wanted, hours))
    return ArrivalListView(
        by=str(wanted.by),
        since=wanted.since,
        before=wanted.before,
        counted_at=max((hour.counted_at for hour in hours), default=None),
        share=min((hour.share for hour in hours), default=1.0),
        total=counts_view(_total(wanted, hours)),
        value=rows,
    )


def _dimensions(wanted: _Wanted) -> Sequence[Dimension]:
    if wanted.by not in (By.HOUR, By.DAY):
        return [Dimension(wanted.by)]
    return [] if wanted.only is None else [wanted.only[0]]


def _wanted(query: Mapping[str, str], now: datetime) -> _Wanted:
    problems = Problems()
    check_names(query, PARAMETERS, problems)
    by = read_choice(query, "by", By, problems) or By.CLIENT
    before = read_time(query, "before", problems) or now
    since = read_time(query, "since", problems) or before - DEFAULT_SPAN
    if since > before:
        problems.add("out_of_range", "since", "This must not be later than `before` (by default now).")
    elif before - since > MAX_SPAN:
        problems.add("out_of_range", "since", f"The span is too long: at most {MAX_SPAN.days} days.")
    named = [dimension for dimension in Dimension if dimension in query]
    if named and by not in (By.HOUR, By.DAY):
        problems.add("not_applicable", str(named[0]), "Use it with `by=hour` or `by=day`.")
    if len(named) > 1:
        problems.add("not_applicable", str(named[1]), f"Use only one of: {', '.join(Dimension)}.")
    problems.raise_any()
    only = (named[0], query[named[0]]) if named else None
    return _Wanted(by=by, since=since, before=before, only=only)


def _rows(wanted: _Wanted, hours: Sequence[Hour]) -> Iterator[ArrivalRowView]:
    if wanted.by not in (By.HOUR, By.DAY):
        for name, counts in worst_first(summed(hour.counts for hour in hours).by.get(Dimension(wanted.by), {})):
            yield _row(counts, name=None if name == OTHERS else name)
        return
    for at, own in groupby(hours, key=lambda hour: hour.at if wanted.by is By.HOUR else hour.at.replace(hour=0)):
        yield _row(_total(wanted, list(own)), at=at)


def _total(wanted: _Wanted, hours: Sequence[Hour]) -> Counts:
    total = summed(hour.counts for hour in hours)
    if wanted.only is None:
        return total.total
    dimension, name = wanted.only
    return total.by.get(dimension, {}).get(name, Counts())


def counts_view(counts: Counts) -> ArrivalCountsView:
    """Show counts with their rates."""
    return msgspec.convert(_fields(counts), ArrivalCountsView)


def _row(counts: Counts, *, name: str | None = None, at: datetime | None = None) -> ArrivalRowView:
    return msgspec.convert({"name": name, "at": at, **_fields(counts)}, ArrivalRowView)


def _fields(counts: Counts) -> Mapping[str, float]:
    rates = {"bounce_rate": round(counts.bounce_rate, 6), "complaint_rate": round(counts.complaint_rate, 6)}
    return {**msgspec.structs.asdict(counts), **rates}


def _cell(value: object) -> object:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else "" if value is None else value
