"""Choose the columns of a table that a terminal has room for."""

from collections.abc import Collection, Iterable, Sequence

from rich.cells import cell_len

GAP = 2
"""Blanks between two columns."""
TEXT_WIDTH = 20
"""The least width of a column of texts, which are folded in it."""
_TEXTS = frozenset(
    ("URL", "address", "cause", "finding", "meaning", "name", "note", "reason", "recipient", "reply", "senders", "subject", "why")
)  # fmt: skip


def fit(
    columns: Sequence[str], rows: Collection[Sequence[str]], width: int, *, ids: Sequence[str], first: Sequence[str]
) -> dict[int, int]:
    """Return the widths of the columns to show, by index.

    Columns in `ids` are whole, so that an id can be copied. The others come by importance: `first`, then from left to right.
    A column is left out if there is no room for its longest word or, of texts, for `TEXT_WIDTH`. Then as many as possible get
    the width at which nothing is folded.
    """
    cells = [[name, *(row[index] for row in rows if index < len(row))] for index, name in enumerate(columns)]
    full = [_widest(line for cell in column for line in cell.splitlines()) for column in cells]
    words = [_widest(word for cell in column for word in cell.split()) for column in cells]
    widths: dict[int, int] = {}
    left = width + GAP
    for name in dict.fromkeys(name for name in (*ids, *first, *columns) if name in columns):
        index = columns.index(name)
        need = min(full[index], TEXT_WIDTH) if name in _TEXTS and name not in ids else words[index]
        if name in ids or 0 < need <= left - GAP:
            widths[index] = need
            left -= need + GAP
    for index in sorted(widths, key=lambda index: full[index] - widths[index]):
        missing = full[index] - widths[index]
        if 0 < missing <= left or (columns[index] in _TEXTS and left > 0):
            widths[index] += min(missing, left)
            left -= min(missing, left)
    return dict(sorted(widths.items()))


def _widest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)
