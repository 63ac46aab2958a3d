"""Collect all problems of a request, so that its caller can fix them in one go.

A target is a JSON path without `$.`: `to[3].email`, `headers['X-Id']`; `$` is the whole request. A message says what is wrong,
the value or its limit, and how to fix it. It never repeats an address or content, only its place.
"""

from collections.abc import Callable, Iterable

from relay.core.errors import Problem, Refusal

WHOLE = "$"
MAX_PROBLEMS = 1000
"""Problems reported in one response."""
_MAX_KEY = 80


def path(steps: Iterable[str | int]) -> str:
    """Join names and indices to a target."""
    target = ""
    for step in steps:
        target = f"{target}[{step}]" if isinstance(step, int) else member(target, step)
    return target or WHOLE


def member(target: str, name: str) -> str:
    """Return the target of a member of the object at `target` (empty: of the request)."""
    if len(name) <= _MAX_KEY and name.isidentifier() and name.isascii():
        return f"{target}.{name}" if target else name
    shown = name if len(name) <= _MAX_KEY else f"{name[:_MAX_KEY]}…"
    return f"{target}['{printable(shown)}']"


def printable(text: str) -> str:
    """Escape unprintable characters, for use in a response."""
    if text.isprintable() and "'" not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode().replace("'", "\\'")


class Problems:
    """The problems of one request, in the order of discovery. `place` converts a target to one within a larger request."""

    def __init__(self, *, limit: int = MAX_PROBLEMS, place: Callable[[str], str] | None = None) -> None:
        self._limit = limit
        self._place = place
        self._dropped = 0
        self.found: list[Problem] = []

    def __bool__(self) -> bool:
        return bool(self.found)

    def add(self, code: str, target: str, message: str) -> None:
        """Note a problem. Beyond the limit, further problems are only counted."""
        if len(self.found) >= self._limit:
            self._dropped += 1
            return
        shown = self._place(target) if self._place else target
        self.found.append(Problem(code=code, target=shown, message=message))

    def has(self, code: str) -> bool:
        """Check whether a problem with this code was noted."""
        return any(problem.code == code for problem in self.found)

    def refusal(self) -> Refusal:
        """Return the refusal with all problems: 413 if the size is the only problem, otherwise 400."""
        problems = self.found
        if self._dropped:
            text = f"Too many problems: {self._dropped} more are not listed."
            problems = [*problems, Problem(code="too_many_problems", target=WHOLE, message=text)]
        status, code = 400, "invalid_request"
        if {problem.code for problem in problems} == {"message_too_large"}:
            status, code = 413, "message_too_large"
        if len(problems) == 1:
            return Refusal(status, code, problems[0].message, target=problems[0].target, problems=problems)
        text = f"The request has {len(problems) + self._dropped} problems; `details` lists them."
        return Refusal(status, code, text, problems=problems)

    def raise_any(self) -> None:
        """Raise `Refusal` if a problem was noted."""
        if self.found:
            raise self.refusal()
