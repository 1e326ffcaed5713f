"""The HTTP API: styles, pictures, the looks of sessions, metrics, and MJPEG. static/openapi.json describes it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from livestyle.errors import InputError, LivestyleError, TooLargeError
from livestyle.look import Look
from livestyle.pictures.compressed_frames import encode_frame
from livestyle.server.guard import HEADERS
from livestyle.server.metrics import CONTENT_TYPE
from livestyle.server.service import BusyError, Service
from livestyle.server.session import Session
from livestyle.style_files.thumbnail import thumbnail_jpeg

FORMATS = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
LARGEST_STROKES = 10.0
BOUNDARY = "frame"
PART_BYTES = 2**16


class Api:
    """The endpoints of the HTTP API of one service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def styles(self, request: Request) -> Response:
        """List the styles, with the origin and the licence of their pictures."""
        gallery, listed = self._service.stylizer.gallery, []
        for name in self._service.styles:
            header = gallery.files_of(name)[0]
            info = {key: header.info.get(key, "") for key in ("origin", "licence")}
            thumbnail = f"/api/styles/{quote(name)}/thumbnail" if header.has_thumbnail else None
            listed.append({"name": name, **info, "thumbnail": thumbnail})
        return JSONResponse({"styles": listed})

    async def thumbnail(self, request: Request) -> Response:
        """Return the thumbnail of a style."""
        name = request.path_params["name"]
        if name not in self._service.styles:
            raise HTTPException(404, "there is no such style")
        data = await asyncio.to_thread(thumbnail_jpeg, self._service.stylizer.gallery.files_of(name)[0])
        if data is None:
            raise HTTPException(404, "this style has no thumbnail")
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def session(self, request: Request) -> Response:
        """Return the state of a session."""
        session = session_of(self._service, request.path_params["id"])
        return JSONResponse(session.state() | session.figures())

    async def change_session(self, request: Request) -> Response:
        """Change the look of a session, and return its state."""
        session = session_of(self._service, request.path_params["id"])
        try:
            settings = json.loads(await read_body(request, self._service, self._service.limits.text_bytes))
        except (ValueError, RecursionError) as error:
            raise InputError("the body is not JSON") from error
        session.change(settings)
        session.changed_by_others.publish(state := session.state())
        return JSONResponse(state)

    async def add_style(self, request: Request) -> Response:
        """Make a style of the picture of a painting, for one session."""
        session = session_of(self._service, request.path_params["id"])
        with self._service.picture_place():
            data = await read_body(request, self._service, self._service.limits.picture_bytes)
            name = await self._service.add_style(session, data, request.query_params.get("name", "painting"))
        return JSONResponse({"style": name}, 201)

    async def paint(self, request: Request) -> Response:
        """Paint a picture at full size, in the look of a session or in a named style."""
        query = request.query_params
        kind = query.get("format", "jpg")
        if kind not in FORMATS:
            raise InputError(f"format is one of {', '.join(FORMATS)}, not {kind!r:.60}")
        stroke_size = _number(query.get("stroke_size", "1"), "stroke_size", 1.0, LARGEST_STROKES)
        look = session_of(self._service, query["session"]).look if "session" in query else look_of(self._service, request)
        with ExitStack() as held:
            held.enter_context(self._service.picture_place())
            data = await read_body(request, self._service, self._service.limits.picture_bytes)
            painted = await self._service.paint_picture(data, look, stroke_size, f".{kind}")
            return _HeldResponse(painted, held.pop_all(), FORMATS[kind])

    async def mjpeg(self, request: Request) -> Response:
        """Stream the paintings of a session, or those of the server's source, as MJPEG."""
        if "session" in request.query_params:
            parts = self._followed(session_of(self._service, request.query_params["session"]))
        elif self._service.feed is None:
            raise InputError("this server has no source of its own; name a viewer to follow: ?session=ID")
        else:
            parts = self._painted_feed(look_of(self._service, request))
            self._service.check_room()
        return StreamingResponse(parts, media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    async def _followed(self, session: Session) -> AsyncIterator[bytes]:
        painting = None
        with suppress(InputError):  # the viewer has left
            while True:
                painting = await session.painted.after(painting)
                yield _part(await self._service.run_codec(encode_frame, painting))

    async def _painted_feed(self, look: Look) -> AsyncIterator[bytes]:
        assert self._service.feed is not None
        with suppress(InputError, BusyError), self._service.session(look) as session:  # the source has ended; others were faster
            frame = None
            while True:
                frame = await self._service.feed.frames.after(frame)
                jpeg = await self._service.run_codec(encode_frame, await session.paint(frame.image))
                self._service.count(session, frame, len(jpeg))
                yield _part(jpeg)

    async def metrics(self, request: Request) -> Response:
        """Return figures for Prometheus."""
        return Response(self._service.metrics.text(), media_type=CONTENT_TYPE)


def session_of(service: Service, session_id: str) -> Session:
    """The session with this ID. Raises HTTPException if there is none."""
    try:
        return service.sessions[session_id]
    except KeyError:
        raise HTTPException(404, "there is no such session; it ends with its page") from None


def look_of(service: Service, request: Request) -> Look:
    """The look that the query names: style, strength, keep_colors. Raises InputError, StyleError."""
    query = request.query_params
    keep_colors = query.get("keep_colors", "false")
    if keep_colors not in ("true", "false"):
        raise InputError("keep_colors is true or false")
    strength = _number(query.get("strength", "1"), "strength", 0.0, 1.0)
    return service.look(query.get("style"), strength, keep_colors == "true")


async def read_body(request: Request, service: Service, most_bytes: int) -> bytes:
    """The whole body. Raises TooLargeError if it is longer, before all of it is received; TimeoutError."""
    data = bytearray()
    async with asyncio.timeout(service.limits.body_seconds):
        async for part in request.stream():
            data += part
            if len(data) > most_bytes:
                raise TooLargeError(f"the body has more than {most_bytes} bytes")
    return bytes(data)


class _HeldResponse(Response):
    """A response that leaves a context when the client has received nearly all of it, as its body takes memory until then."""

    def __init__(self, content: bytes, held: ExitStack, media_type: str) -> None:
        super().__init__(content, media_type=media_type)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._held:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            for at in range(0, len(self.body), PART_BYTES):  # `send` waits while more than this waits for the client
                part = self.body[at : at + PART_BYTES]
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _part(jpeg: bytes) -> bytes:
    """One picture of an MJPEG stream."""
    header = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return header.encode() + jpeg + b"\r\n"


def _number(text: str, name: str, least: float, most: float) -> float:
    try:
        number = float(text[:20])
    except ValueError:
        number = float("nan")
    if not least <= number <= most:
        raise InputError(f"{name} is a number from {least:g} to {most:g}, not {text!r:.60}")
    return number


STATUS = {TooLargeError: 413, BusyError: 503, TimeoutError: 408}
"""Error -> status of the response; other LivestyleErrors are 400."""


async def explain(request: Request, error: Exception) -> Response:
    """The response to a request that failed: the error as JSON."""
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)
    message = "the body did not arrive in time" if isinstance(error, TimeoutError) else str(error)
    return JSONResponse({"error": message}, STATUS.get(type(error), 400))


async def apologize(request: Request, error: Exception) -> Response:
    """The response to a request that failed through an error of the server. Starlette sends it past the Guard."""
    return JSONResponse({"error": "the server failed; its log has the reason"}, 500, HEADERS)


HANDLERS: dict[Any, Any] = dict.fromkeys((HTTPException, LivestyleError, TimeoutError, ClientDisconnect), explain)
HANDLERS[Exception] = apologize
