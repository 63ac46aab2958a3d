"""`python -m devhost`: runs the function app of a folder."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from devhost.logs import set_up_logging
from devhost.settings import (
    HostConfigurationError,
    HostSettings,
    apply_local_settings,
    force_development,
    read_host_json,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 stopped, 1 could not start or failed, 3 a function ran over its time."""
    options = _parser().parse_args(arguments)
    app_root = Path(options.app_root).resolve()
    try:
        port, settings = _configure(app_root, options.port)
    except HostConfigurationError as error:
        print(f"The host cannot start. {error}", file=sys.stderr)
        return 1
    # Imported after the settings are read: the app's environment must be complete before any of its libraries load.
    from devhost.host import Host, Options, bind, unsupported_notes

    try:
        sock = bind(options.address, port)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        print(f"Port {port} on {options.address} {why}; choose another with --port.", file=sys.stderr)
        return 1
    port = sock.getsockname()[1]
    force_development(os.environ, app_root, port)
    set_up_logging(settings.log_level)
    for note in unsupported_notes(settings):
        print(note, file=sys.stderr)
    os.chdir(app_root)
    host_options = Options(
        app_root=app_root,
        runs_over_dequeued_poison=options.poison_trigger == "5.3.8",
        renewal_seconds=options.renewal_seconds,
    )

    async def run() -> int:
        host = Host(host_options, settings, os.environ)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, host.stop)
        return await host.run(sock)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(run())


def _configure(app_root: Path, port: int | None) -> tuple[int, HostSettings]:
    """Reads both files. The port: argument, then local.settings.json, then 7071."""
    host_json = app_root / "host.json"
    if not host_json.exists():
        raise HostConfigurationError(f"There is no host.json in {app_root}.")
    local = apply_local_settings(app_root / "local.settings.json", os.environ)
    for name in local.skipped:
        print(f"Skipping '{name}' from local settings as it's already defined.", file=sys.stderr)
    settings = read_host_json(host_json.read_text(encoding="utf-8-sig"), os.environ, os.cpu_count() or 1)
    chosen = port if port is not None else int(local.host.get("LocalHttpPort") or 7071)
    return chosen, settings


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.Loop


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devhost", description="A local Azure Functions host for Python apps.")
    parser.add_argument("--app-root", default=".", help="the folder with host.json and function_app.py")
    parser.add_argument("--port", type=int, help="default 7071; 0 takes a free port")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument(
        "--poison-trigger",
        choices=["5.3.7", "5.3.8"],
        default="5.3.7",
        help="how a function on a -poison queue treats over-dequeued messages: skipped (5.3.7) or run (5.3.8)",
    )
    parser.add_argument(
        "--renewal-seconds",
        type=float,
        default=300.0,
        help="between renewals of a message's lease; for tests",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
