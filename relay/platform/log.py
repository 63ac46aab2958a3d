"""Write log lines: a constant event name and structured fields, one line for each submission and each attempt.

The Functions host ships the text of worker logs and drops `extra`, so the fields are JSON in the text; the alert
queries parse them from there. Never pass an address, a subject, a body, a token or a key.
"""

import json
import logging

_logger = logging.getLogger("relay")


def log_event(event: str, /, *, level: int = logging.INFO, **fields: str | int | float | bool | None) -> None:
    """Log `event {"field": …}`."""
    if _logger.isEnabledFor(level):
        _logger.log(level, "%s %s", event, json.dumps(fields, separators=(",", ":"), default=str))


def log_failure(event: str, /, **fields: str | int | float | bool | None) -> None:
    """Log the current exception with its traceback. For bugs only."""
    _logger.exception("%s %s", event, json.dumps(fields, separators=(",", ":"), default=str))
