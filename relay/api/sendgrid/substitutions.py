"""Replace substitution tags, SendGrid's older form of templates, so that the mail can leave by any route.

A tag is any text. In the subject, the bodies and Reply-To its value replaces it: unescaped, once, the longest tag first.
Sections are values shared by all recipients, which may contain tags themselves
(twilio.com/docs/sendgrid/for-developers/sending-email/substitution-tags and …/section-tags).

A small request can cause much work: one section used a thousand times, or ten thousand tags to look for. So the texts are read in
one pass, and both the search and the result have a limit.
"""

import re
from collections.abc import Collection, Mapping, Sequence

MAX_GROWTH = 4_194_304
"""Characters that the values of tags may add to one text: forty times what a large mail program shows of a mail."""
MAX_WORK = 20_000_000
"""Steps of all searches and replacements of a request: two or three seconds at worst."""
_CHARACTERS_PER_STEP = 64
"""Characters without a tag are skipped at this rate."""
_LOOK = 8
"""Steps of a check at a place where a tag may begin, besides the steps for each length of tag."""
_REPLACED = 8
"""Steps of a found tag: it and the text before it become strings of their own."""
_KEPT_TEXTS = 8


class TooMuch(Exception):
    """Replacing the tags would take too many steps, or make a text too long; the text says which, and the limit."""


class FillBudget:
    """The steps that are left for replacing the tags of one request."""

    def __init__(self) -> None:
        self._left = MAX_WORK

    def charge(self, steps: int) -> None:
        """Take steps. Raises `TooMuch`."""
        self._left -= steps
        if self._left < 0:
            raise TooMuch(
                f"Replacing the tags takes too long (limit {MAX_WORK} steps). Use fewer tags, of a rare first character."
            )


class TagSets:
    """The tags of one request. Messages with the same tags share the search for them."""

    def __init__(self, sections: Mapping[str, str]) -> None:
        self._budget = FillBudget()
        self._sections = _without_empty(sections)
        self._section_search = _Search(self._sections.keys(), self._budget)
        self._last = _Search((), self._budget)

    def charge(self, steps: int) -> None:
        """Take steps for other work on the result. Raises `TooMuch`."""
        self._budget.charge(steps)

    def of(self, substitutions: Mapping[str, str]) -> "Tags":
        """Return the tags of one message."""
        values = _without_empty(substitutions)
        if values.keys() != self._last.tags:
            self._last = _Search(values.keys(), self._budget)
        own, shared = (self._last, values), (self._section_search, self._sections)
        steps = [step for step in (own, shared) if step[1]]
        # First a section that a value refers to, then the tags within the section.
        return Tags([*steps, own] if len(steps) > 1 else steps)


class Tags:
    """The tags of one message, ready for replacement."""

    def __init__(self, steps: Sequence[tuple["_Search", Mapping[str, str]]]) -> None:
        self._steps = steps

    def __bool__(self) -> bool:
        return bool(self._steps)

    def fill(self, text: str) -> str:
        """Replace every tag in a text by its value. Raises `TooMuch`."""
        for search, values in self._steps:
            text = search.fill(text, values)
        return text


NO_TAGS = Tags([])


class _Search:
    """Finds a set of tags in texts, each in one pass, and caches the results of the last few texts."""

    def __init__(self, tags: Collection[str], budget: FillBudget) -> None:
        self.tags = frozenset(tags)
        self._budget = budget
        self._found: dict[str, Sequence[str]] = {}
        lengths: dict[str, set[int]] = {}
        for tag in self.tags:
            lengths.setdefault(tag[0], set()).add(len(tag))
        self._lengths = {first: sorted(each, reverse=True) for first, each in lengths.items()}
        # A tag of n characters costs n / 64 of a step to compare, as skipped text does.
        self._costs = {
            first: _LOOK + sum(1 + length // _CHARACTERS_PER_STEP for length in each)
            for first, each in self._lengths.items()
        }
        self._begins = re.compile(f"[{''.join(map(re.escape, self._lengths))}]") if self._lengths else None

    def fill(self, text: str, values: Mapping[str, str]) -> str:
        """Replace the tags. Raises `TooMuch`."""
        pieces = list(self._split(text))
        if len(pieces) == 1:
            return text
        self._budget.charge(len(pieces) // 2)
        pieces[1::2] = [values[tag] for tag in pieces[1::2]]
        growth = sum(map(len, pieces)) - len(text)
        if growth > MAX_GROWTH:
            raise TooMuch(f"Replacing the tags adds {growth} characters to one text (limit {MAX_GROWTH}).")
        return "".join(pieces)

    def _split(self, text: str) -> Sequence[str]:
        """Return the text in pieces: every second one is a tag."""
        if text not in self._found:
            if len(self._found) >= _KEPT_TEXTS:
                self._found.clear()
            self._found[text] = self._searched(text)
        return self._found[text]

    def _searched(self, text: str) -> list[str]:
        self._budget.charge(1 + len(text) // _CHARACTERS_PER_STEP)
        pieces: list[str] = []
        done = 0
        for begin in self._begins.finditer(text) if self._begins else ():
            at = begin.start()
            if at < done:
                continue
            self._budget.charge(self._costs[begin[0]])
            for length in self._lengths[begin[0]]:
                tag = text[at : at + length]
                if tag in self.tags:
                    self._budget.charge(_REPLACED)
                    pieces += text[done:at], tag
                    done = at + length
                    break
        return [*pieces, text[done:]]


def _without_empty(values: Mapping[str, str]) -> Mapping[str, str]:
    return {tag: value for tag, value in values.items() if tag}
