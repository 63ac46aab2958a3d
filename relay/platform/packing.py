"""Groups as full as they may be: what travels together in one entry or lies together in one row."""

from collections.abc import Callable, Iterable, Iterator


def packed[T](
    items: Iterable[T], weight: Callable[[T], int], *, room: int, limit: int | None = None
) -> Iterator[list[T]]:
    """The items in order, in groups of at most so many that weigh no more than `room`; one that weighs more is alone."""
    group: list[T] = []
    left = room
    for item in items:
        weighs = weight(item)
        if group and (weighs > left or len(group) == limit):
            yield group
            group, left = [], room
        group.append(item)
        left -= weighs
    if group:
        yield group
