"""`python -m devhost`: run the function app of a folder."""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from devhost.host_json import HostSettings, read_host_json
from devhost.leases import LEASE_SECONDS
from devhost.logs import set_up_logging
from devhost.settings import HostConfigurationError, LocalSettings, apply_local_settings, force_development

DEFAULT_PORT = 7071
# How long Azure's front end waits for a response (learn.microsoft.com/azure/azure-functions/functions-scale).
FRONT_END_SECONDS = 230.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the host. Return the exit code: 0 stopped, 1 did not start or failed, 3 a function exceeded functionTimeout."""
    options = _parser().parse_args(arguments)
    options.app_root = Path(options.app_root).resolve()
    try:
        return _run(options)
    except HostConfigurationError as error:
        print(f"The host cannot start. {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    settings, local = _read_settings(options)
    sock = bind(options.address, options.port if options.port is not None else local.http_port or DEFAULT_PORT)
    force_development(os.environ, options.app_root, sock.getsockname()[1])
    set_up_logging(settings.log_level)
    for note in _notes(settings, local, os.environ):
        print(note, file=sys.stderr)
    os.chdir(options.app_root)
    # The host's storage client is in `relay`. A packed app has its own `relay`: use that one, not both.
    sys.path.insert(0, str(options.app_root))
    # Imported after the settings are read: the app's environment must be complete before any of its libraries load.
    import uvloop

    from devhost.host import Host, Options

    async def serve() -> int:
        host_options = Options(
            app_root=options.app_root,
            asks_for_keys=options.enable_auth,
            runs_over_dequeued_poison=options.poison_trigger == "5.3.8",
            lease_seconds=options.lease_seconds,
            stop_seconds=options.stop_seconds,
            front_end_seconds=FRONT_END_SECONDS if options.azure_front_end else None,
        )
        host = Host(host_options, settings, os.environ)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, host.stop)
        return await host.run(sock)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve())


def _read_settings(options: argparse.Namespace) -> tuple[HostSettings, LocalSettings]:
    """Read host.json, and add the values of local.settings.json to the environment."""
    host_json = options.app_root / "host.json"
    if not host_json.exists():
        raise HostConfigurationError(f"No host.json in {options.app_root}: pass the app's folder with --app-root.")
    local = apply_local_settings(options.app_root / "local.settings.json", os.environ)
    for name in local.skipped:
        print(f"Skipping '{name}' from local settings as it's already defined.", file=sys.stderr)
    settings = read_host_json(
        host_json.read_text(encoding="utf-8-sig"),
        os.environ,
        processors=os.cpu_count() or 1,
        shortens_polling=not options.azure_polling,
    )
    return settings, local


def _notes(settings: HostSettings, local: LocalSettings, environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each setting that this host ignores."""
    notes = [f"host.json: '{path}' has no effect in this local host." for path in settings.ignored]
    notes += [f"local.settings.json: '{path}' has no effect in this local host." for path in local.ignored]
    if environment.get("FUNCTIONS_WORKER_PROCESS_COUNT", "1") != "1":
        notes.append("FUNCTIONS_WORKER_PROCESS_COUNT has no effect in this local host: it runs one worker.")
    return notes


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket. Raises HostConfigurationError if the port is in use or not allowed."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
        sock.listen(2048)
    except (OSError, OverflowError) as error:
        sock.close()
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use" if is_taken else f"cannot be used ({error})"
        raise HostConfigurationError(f"Port {port} on {address} {why}; choose another with --port.") from error
    return sock


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="devhost", description="A local Azure Functions host for Python apps.")
    parser.add_argument("--app-root", default=".", help="folder with host.json and function_app.py")
    parser.add_argument("--port", type=int, help="default 7071; 0 chooses a free port")
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--enable-auth", action="store_true", help="require function keys, as Azure does")
    parser.add_argument(
        "--azure-polling",
        action="store_true",
        help="poll idle queues as rarely as Azure: keep a maxPollingInterval of one minute",
    )
    parser.add_argument(
        "--azure-front-end",
        action="store_true",
        help="return 502 after 230 seconds, as Azure's front end does; the function continues",
    )
    parser.add_argument(
        "--poison-trigger",
        choices=["5.3.7", "5.3.8"],
        default="5.3.7",
        help="whether a function on a -poison queue skips (5.3.7) or runs (5.3.8) messages above maxDequeueCount",
    )
    parser.add_argument(
        "--lease-seconds",
        type=int,
        default=LEASE_SECONDS,
        help="length of a message lease, renewed at half of it; shorten it for crash tests",
    )
    parser.add_argument(
        "--stop-seconds",
        type=float,
        default=10.0,
        help="time that running invocations have to end after SIGTERM; for tests",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
