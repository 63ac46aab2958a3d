"""What the host writes for people: a line names its function, and what goes on beyond a line is indented."""

import io
import logging
from collections.abc import Iterator

import pytest

from devhost.logs import QUIET, current_function, set_up_logging


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the root logger writes; all loggers are in the end as they were."""
    root = logging.getLogger()
    touched = [root, *(logging.getLogger(name) for name in QUIET)]
    handlers, levels = list(root.handlers), [logger.level for logger in touched]
    yield io.StringIO()
    root.handlers[:] = handlers
    for logger, level in zip(touched, levels, strict=True):
        logger.setLevel(level)


def test_a_line_has_time_level_function_and_message(stream: io.StringIO) -> None:
    set_up_logging("Information", stream)
    token = current_function.set("deliver")
    logging.getLogger("app").warning("first\nsecond")
    current_function.reset(token)
    logging.getLogger("app").info("of the host")
    logging.getLogger("app").debug("not seen")
    warned, indented, told = stream.getvalue().splitlines()
    assert warned.endswith(" WARNING  [deliver] first")
    assert indented == "    second"
    assert told.endswith(" INFO     [host] of the host")


def test_an_error_is_followed_by_its_traceback(stream: io.StringIO) -> None:
    set_up_logging("Error", stream)
    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("app").exception("failed")
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith(" ERROR    [host] failed")
    assert lines[-1] == "    ValueError: why"


def test_the_sdks_own_lines_are_left_out(stream: io.StringIO) -> None:
    set_up_logging("Trace", stream)
    logging.getLogger("azure.core").info("a request")
    logging.getLogger("app").debug("seen")
    assert stream.getvalue().splitlines()[0].endswith("seen")
