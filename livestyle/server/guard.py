"""Refuse requests from other sites and for other hosts, and add the security headers to every response.

A page of another site that is open in a browser on this machine can send requests to the server, and with DNS rebinding (a name
of the attacker that resolves to 127.0.0.1) it could read the answers. The Host header and the Origin tell such requests apart.
"""

import hmac
import re
from collections.abc import Iterable
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "permissions-policy": "camera=(self), fullscreen=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
HOST = re.compile(r"(?:\[([0-9a-f]*:[0-9a-f:.]*)\]|([\w.-]+))(?::\d{1,5})?", re.ASCII | re.IGNORECASE)
OPEN_PATHS = ("/", "/docs", "/openapi.json")
"""Paths without a token, besides those below /static/: they hold nothing secret. /ws has its token in its first message."""
PATHS_OF_LINKS = ("/", "/docs")
"""Paths that links of other sites may open."""


def host_name(host: str) -> str:
    """The name or IP address in a Host header, in lower case, without the port. Empty if the header is none."""
    match = HOST.fullmatch(host)
    return (match[1] or match[2]).lower().rstrip(".") if match else ""


def _is_own(origin: str, host: str, scheme: str) -> bool:
    """Whether an Origin is that of the page at this host. scheme: of the request; a proxy may turn https into http."""
    prefixes = ("https://",) if scheme in ("https", "wss") else ("https://", "http://")
    return origin.lower() in [prefix + host.lower() for prefix in prefixes]


def is_token(found: str, token: str) -> bool:
    """Whether a token from outside is the server's, compared in constant time."""
    return hmac.compare_digest(found.encode("utf-8", "replace"), token.encode())


class Guard:
    """ASGI middleware that refuses requests for other hosts, from pages of other sites, and without the token.

    hosts: the names and IP addresses that requests may be for.

    token: None if no token is needed.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str | None) -> None:
        self._app, self._hosts, self._token = app, frozenset(host.lower() for host in hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-cache" if scope["path"].startswith("/static/") else "no-store")
            await send(message)

        status, reason = self._verdict(scope)
        if status == 200:
            await self._app(scope, receive, send_with_headers)
        else:
            await JSONResponse({"error": reason}, status)(scope, receive, send_with_headers)

    def _verdict(self, scope: Scope) -> tuple[int, str]:
        """The status of a response, 200 if the request may pass, and the reason if it may not."""
        headers, path = Headers(scope=scope), scope["path"]
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_name(hosts[0]) not in self._hosts:
            return 403, "this server does not answer for this host name; add it to the allowed hosts"
        origin = headers.get("origin")
        if origin is not None and not _is_own(origin, hosts[0], scope["scheme"]):
            return 403, "requests from pages of other sites are refused"
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not (path in PATHS_OF_LINKS and headers.get("sec-fetch-mode") == "navigate"):
            return 403, "requests from pages of other sites are refused"
        is_open = path in OPEN_PATHS or path.startswith("/static/") or scope["type"] == "websocket"
        if self._token is not None and not is_open and not is_token(_found_token(scope, headers), self._token):
            return 401, "the token is missing or wrong; open the link that the server printed"
        return 200, ""


def _found_token(scope: Scope, headers: Headers) -> str:
    """The token of a request: in its Authorization header; for /stream.mjpg, which OBS opens, also in the query."""
    kind, _, token = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return token.strip()
    if scope["path"] != "/stream.mjpg":
        return ""
    return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get("token", [])), "")
