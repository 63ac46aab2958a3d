"""Pack items into groups by weight: messages into one queue entry, values into one row."""

from collections.abc import Callable, Iterable, Iterator


def packed[T](
    items: Iterable[T], weight: Callable[[T], int], *, room: int, limit: int | None = None
) -> Iterator[list[T]]:
    """Yield the items in order, in groups of at most `limit` items and `room` weight. A heavier item is a group of its own."""
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
