"""Log lines: the function's name, and indented further lines."""

import io
import logging
from collections.abc import Iterator

import pytest

from devhost.logs import QUIET, current_function, set_up_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Yield the stream of the root logger; restore all loggers at the end."""
    root = logging.getLogger()
    touched = [root, *(logging.getLogger(name) for name in QUIET)]
    handlers, levels = list(root.handlers), [logger.level for logger in touched]
    yield io.StringIO()
    root.handlers[:] = handlers
    for logger, level in zip(touched, levels, strict=True):
        logger.setLevel(level)


def test_log_line_has_time_level_function_and_message(stream: io.StringIO) -> None:
    set_up_logging("Information", stream)
    token = current_function.set("deliver")
    logging.getLogger("app").warning("first\nsecond")
    current_function.reset(token)
    logging.getLogger("app").info("of the host")
    logging.getLogger("app").debug("not seen")
    warned, indented, logged = stream.getvalue().splitlines()
    assert warned.endswith(" WARNING  [deliver] first")
    assert indented == "    second"
    assert logged.endswith(" INFO     [host] of the host")


def test_error_line_is_followed_by_its_traceback(stream: io.StringIO) -> None:
    set_up_logging("Error", stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("app").exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith(" ERROR    [host] failed")
    assert lines[-1] == "    ValueError: why"


def test_info_lines_of_sdks_are_dropped(stream: io.StringIO) -> None:
    set_up_logging("Trace", stream)
    logging.getLogger("azure.core").info("a request")
    logging.getLogger("app").debug("seen")
    assert stream.getvalue().splitlines()[0].endswith("seen")
