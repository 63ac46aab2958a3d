"""Read the arguments of commands."""

import re

_PATH = re.compile(
    r"""\s*(?:<(?:@[^<>:"]*:)?((?:"(?:[^"\\]|\\.)*"|[^<>"\s])*)>|((?:"(?:[^"\\]|\\.)*"|[^<>"\s])+))(?:\s+(.*))?\s*""",
    re.DOTALL,
)
"""A path with or without its brackets, a source route (which is ignored), and parameters."""
_AUTH_PARAMETER = re.compile(r"(?i)(?:^|\s)AUTH=\S*")


def read_path(text: str) -> tuple[str | None, str | None]:
    """Split the argument of MAIL or RCPT into the address and its parameters (RFC 5321 section 4.1.2); None if it is no path.

    The empty path keeps its brackets, as aiosmtpd expects.
    """
    path = _PATH.fullmatch(text)
    if path is None:
        return (None, None) if text else ("", "")
    return path[1] or path[2] or "<>", path[3] or ""


def without_auth(parameters: str) -> str:
    """Drop AUTH= of MAIL: a server takes the parameter, and may ignore it (RFC 4954 section 5)."""
    return _AUTH_PARAMETER.sub("", parameters)


def read_chunk_size(arg: str) -> tuple[int | None, bool]:
    """Return the size of a chunk, and whether it is the last, from the argument of BDAT (RFC 3030); None if it is not valid."""
    found = re.fullmatch(r"([0-9]{1,18})(?:\s+(LAST))?", arg.strip(), re.IGNORECASE)
    return (int(found[1]), found[2] is not None) if found else (None, False)
