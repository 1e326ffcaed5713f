"""The addresses at which the server can be reached, and its links."""

import re
import socket
from collections.abc import Sequence
from ipaddress import ip_address

import psutil

from livestyle.errors import InputError

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
HOST_NAME = re.compile(r"[a-z0-9_]([\w-]*[a-z0-9_])?(\.[a-z0-9_]([\w-]*[a-z0-9_])?)*", re.ASCII)


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server at this host."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str, also: Sequence[str] = ()) -> list[str]:
    """The names and IP addresses by which a server that listens at this host is reached; those for other machines first.

    also: further names. Raises InputError if one is neither a host name nor an IP address.
    """
    further = [_as_sent(name) for name in also]
    for name, sent in zip(also, further, strict=True):
        if not sent:
            raise InputError(f"{name!r} is neither a host name nor an IP address; write it without https:// and without a port")
    if is_local(host):
        names = [*further, host, *LOCAL_NAMES]
    elif is_every_address(host):
        machine = socket.gethostname().removesuffix(".local")
        names = [*further, *_own_addresses(), machine, f"{machine}.local", *LOCAL_NAMES]
    else:
        names = [*further, host]
    return list(dict.fromkeys(sent for name in names if (sent := _as_sent(name))))


def _as_sent(name: str) -> str:
    """A host name or an IP address as browsers send it: in ASCII and in lower case. Empty if it is neither."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        sent = name.encode("idna").decode().lower().rstrip(".")
    except UnicodeError:
        return ""
    return sent if HOST_NAME.fullmatch(sent) else ""


def is_every_address(host: str) -> bool:
    """Whether a server at this host listens at all addresses of the machine: 0.0.0.0 or ::."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _own_addresses() -> list[str]:
    """The addresses of this machine in its networks, IPv4 only, as links are read and typed by people."""
    found = [each.address for addresses in psutil.net_if_addrs().values() for each in addresses if each.family == socket.AF_INET]
    return [address for address in found if not ip_address(address).is_loopback]


def link(name: str, port: int, secure: bool, token: str | None) -> str:
    """The link to the page. The token is in the fragment, which browsers do not send."""
    host = f"[{name}]" if ":" in name else name  # an IPv6 address
    return f"{'https' if secure else 'http'}://{host}:{port}/" + (f"#token={token}" if token else "")
