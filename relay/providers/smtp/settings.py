"""Check and read the settings of an SMTP route."""

import ipaddress
import re
from collections.abc import Sequence

from relay.core.settings import Pace, RouteSettings
from relay.platform.entra_tokens import KEYS, identity_problems
from relay.platform.secrets import reference_problem
from relay.providers.smtp.connection import Server

_TLS = ("starttls", "implicit", "none")
_AUTH = ("plain", "login", "xoauth2", "none")
SETTINGS = (
    *("host", "port", "tls", "username", "password", "auth", "ca_file", "ehlo_name", "connections", "private", "scope"),
    *KEYS,
)
_TEXTS = ("username", "ca_file", "ehlo_name", "scope")
PRIVATE_NAMES = (".local", ".internal", ".intranet", ".lan", ".corp", ".home.arpa", ".localhost")
_DEFAULT_CONNECTIONS = 8
_EXCHANGE_ONLINE = ".office365.com"
MESSAGES_A_MINUTE = 30
"""Exchange Online's message rate limit of a mailbox (exchange-online-limits), for SMTP and Graph together."""
_HOST_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_EHLO_NAME = re.compile(r"[!-~]{1,255}")


def check_settings(settings: RouteSettings) -> Sequence[str]:
    """Return all problems of a route's settings, each as `key: sentence`."""
    known = ", ".join(SETTINGS)
    problems = [f"{key}: is not a setting of smtp (known: {known})" for key in settings if key not in SETTINGS]
    problems += [f"{key}: must be text" for key in _TEXTS if not isinstance(settings.get(key, ""), str)]
    host = settings.get("host")
    if not isinstance(host, str) or not (_HOST_NAME.fullmatch(host) or _address(host)):
        return [*problems, "host: must be the server's name or address alone, such as smtp.office365.com"]
    if not _EHLO_NAME.fullmatch(str(settings.get("ehlo_name", "relay"))):
        problems.append("ehlo_name: must be printable ASCII without spaces")
    return [*problems, *_place_problems(settings), *_auth_problems(settings), *_number_problems(settings)]


def server_of(settings: RouteSettings) -> Server:
    """Return where and how to connect. Defaults: STARTTLS on 587, or 465 for implicit TLS."""
    tls = settings.get("tls", "starttls")
    return Server(
        host=settings["host"],
        port=settings.get("port", 465 if tls == "implicit" else 587),
        tls=tls,
        auth=settings.get("auth", "" if settings.get("username") else "none"),
        username=settings.get("username", ""),
        # The name that smtplib uses without a host name. Submission servers ignore it.
        ehlo_name=settings.get("ehlo_name", "[127.0.0.1]"),
    )


def connections_of(settings: RouteSettings) -> int:
    """Return the maximum of connections: Exchange Online allows three for a mailbox, other servers commonly ten."""
    default = 3 if _is_exchange_online(settings) else _DEFAULT_CONNECTIONS
    return int(settings.get("connections", default))


def default_paces(settings: RouteSettings) -> tuple[Pace, ...]:
    """Return Exchange Online's rate limit for a mailbox, shared with Graph. Other servers have no known limit."""
    if not _is_exchange_online(settings):
        return ()
    return (Pace(count=MESSAGES_A_MINUTE, seconds=60, resource=f"mailbox:{settings.get('username', '').lower()}"),)


def _is_exchange_online(settings: RouteSettings) -> bool:
    return str(settings["host"]).lower().rstrip(".").endswith(_EXCHANGE_ONLINE)


def is_private(settings: RouteSettings) -> bool:
    """Return whether the host is known to be in a private network: by its address, its name, or the setting `private`."""
    host = str(settings["host"]).lower().rstrip(".")
    if settings.get("private") is True:
        return True
    address = _address(host)
    return address.is_private if address else "." not in host or host.endswith(PRIVATE_NAMES)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _place_problems(settings: RouteSettings) -> list[str]:
    problems = []
    tls, port = settings.get("tls", "starttls"), settings.get("port", 587)
    if tls not in _TLS:
        problems.append(f"tls: must be one of {', '.join(_TLS)}")
    if settings.get("private", False) not in (True, False):
        problems.append("private: must be true or false")
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65_536:
        problems.append("port: must be a number from 1 to 65535")
    elif port == 25 and not is_private(settings):
        problems.append(
            "port: 25 cannot work, because Azure blocks outbound port 25; use 587 (STARTTLS) or 465 (implicit TLS), or set"
            " private to true when the host is reached through a virtual network or a hybrid connection"
        )
    if tls == "none" and not is_private(settings):
        problems.append("tls: none is allowed only for a host in a private network (private: true)")
    return problems


def _auth_problems(settings: RouteSettings) -> list[str]:
    auth = settings.get("auth", "plain" if settings.get("username") else "none")
    if auth not in _AUTH:
        return [f"auth: must be one of {', '.join(_AUTH)}"]
    unused = {"none": ("username", "password", "scope", *KEYS), "xoauth2": ("password",)}.get(auth, ("scope", *KEYS))
    problems = [f"{key}: is not used when auth is {auth}" for key in unused if settings.get(key)]
    if auth == "none":
        return problems
    if settings.get("tls") == "none":
        problems.append("auth: must be none without TLS, because a password would cross the network in the clear")
    if not settings.get("username"):
        problems.append("username: must be given with auth")
    if auth == "xoauth2":
        return [*problems, *identity_problems(settings)]
    if problem := reference_problem(settings.get("password")):
        problems.append(f"password: {problem}")
    return problems


def _number_problems(settings: RouteSettings) -> list[str]:
    count = settings.get("connections", 1)
    if isinstance(count, int) and not isinstance(count, bool) and 1 <= count <= 100:
        return []
    return ["connections: must be a number from 1 to 100"]
