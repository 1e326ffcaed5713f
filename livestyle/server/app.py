"""The web application: the page, the WebSocket of its viewers, and the HTTP API."""

import mimetypes
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from livestyle.server.api import HANDLERS, Api
from livestyle.server.guard import Guard
from livestyle.server.service import Service
from livestyle.server.viewer import serve_viewer
from livestyle.server.webrtc import WebRtc

STATIC = Path(__file__).parent / "static"
mimetypes.add_type("text/javascript", ".js")  # Windows' registry may say text/plain, and browsers then refuse the page's scripts


def make_app(service: Service, hosts: Iterable[str], token: str | None) -> Starlette:
    """The application of a service.

    hosts: the names and IP addresses that requests may be for. token: what requests must contain; None if they need none.
    """
    api, webrtc = Api(service), WebRtc(service)

    async def viewer(websocket: WebSocket) -> None:
        await serve_viewer(websocket, service, token)

    routes = [
        Route("/", _file("index.html")),
        Route("/docs", _file("docs.html")),
        Route("/openapi.json", _file("openapi.json")),
        Mount("/static", StaticFiles(directory=STATIC)),
        WebSocketRoute("/ws", viewer),
        Route("/api/styles", api.styles),
        Route("/api/styles/{name}/thumbnail", api.thumbnail),
        Route("/api/sessions/{id}", api.session),
        Route("/api/sessions/{id}", api.change_session, methods=["POST"]),
        Route("/api/sessions/{id}/styles", api.add_style, methods=["POST"]),
        Route("/api/paint", api.paint, methods=["POST"]),
        Route("/stream.mjpg", api.mjpeg),
        Route("/metrics", api.metrics),
        Route("/whip", webrtc.publish, methods=["POST"]),
        Route("/whep", webrtc.watch, methods=["POST"]),
        Route("/whip/{id}", webrtc.end, methods=["DELETE"]),
        Route("/whep/{id}", webrtc.end, methods=["DELETE"]),
    ]
    guard = Middleware(Guard, hosts=tuple(hosts), token=token)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=HANDLERS)


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that returns a file of the page."""

    async def endpoint(request: Request) -> Response:
        return FileResponse(STATIC / name)

    return endpoint
