"""Collecting everything that is wrong with a request, so that its caller can fix it in one go.

A target is a JSON path without `$.`: `to[3].email`, `headers['X-Id']`; `$` is the whole. Messages say what is wrong, why,
and what would be right; they never repeat an address or a content, only where it stands.
"""

from collections.abc import Callable, Iterable

from relay.core.errors import Problem, Refusal

WHOLE = "$"
_MAX_KEY = 80


def path(steps: Iterable[str | int]) -> str:
    """A target from names and indices."""
    target = ""
    for step in steps:
        target = f"{target}[{step}]" if isinstance(step, int) else member(target, step)
    return target or WHOLE


def member(target: str, name: str) -> str:
    """The target of a member of the object at `target` (empty: of the request)."""
    if name.isidentifier() and name.isascii():
        return f"{target}.{name}" if target else name
    shown = name if len(name) <= _MAX_KEY else f"{name[:_MAX_KEY]}…"
    return f"{target}['{printable(shown)}']"


def printable(text: str) -> str:
    """Text that can be shown in an answer: what is not printable is escaped."""
    if text.isprintable() and "'" not in text and "\\" not in text:
        return text
    return text.encode("unicode_escape").decode().replace("'", "\\'")


class Problems:
    """The problems of one request, in the order they were found. `place` turns a target into that of a larger whole."""

    def __init__(self, limit: int, place: Callable[[str], str] | None = None) -> None:
        self._most = limit
        self._place = place
        self._dropped = 0
        self.problems: list[Problem] = []

    def __bool__(self) -> bool:
        return bool(self.problems)

    def add(self, code: str, target: str, message: str) -> None:
        """Note a problem; from `limit` on they are only counted."""
        if len(self.problems) >= self._most:
            self._dropped += 1
            return
        shown = self._place(target) if self._place else target
        self.problems.append(Problem(code=code, target=shown, message=message))

    def has(self, code: str) -> bool:
        """Whether a problem of this code was found."""
        return any(problem.code == code for problem in self.problems)

    def refusal(self) -> Refusal:
        """The answer: 413 when size is all that is wrong, else 400."""
        problems = self.problems
        if self._dropped:
            text = f"There are {self._dropped} more problems, which are not told here."
            problems = [*problems, Problem(code="too_many_problems", target=WHOLE, message=text)]
        status, code = 400, "invalid_request"
        if {problem.code for problem in problems} == {"message_too_large"}:
            status, code = 413, "message_too_large"
        if len(problems) == 1:
            return Refusal(status, code, problems[0].message, target=problems[0].target, problems=problems)
        text = f"The request was not accepted: {len(problems) + self._dropped} problems, each in `details`."
        return Refusal(status, code, text, problems=problems)

    def raise_any(self) -> None:
        """Raise `Refusal` if anything was found."""
        if self.problems:
            raise self.refusal()
