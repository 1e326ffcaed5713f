"""One viewer's WebSocket: control messages and frames in, the state and paintings out.

The client sends a frame only when the answer to the last one came (one frame of credit), so the delay is bounded on any link.
"""

import asyncio
import json
import struct
import time
from contextlib import suppress
from fractions import Fraction

from starlette.websockets import WebSocket, WebSocketDisconnect

from livestyle.errors import InputError, LivestyleError, StyleError
from livestyle.frame import Frame, Image
from livestyle.pictures.compressed_frames import decode_frame, encode_frame
from livestyle.server.guard import is_token
from livestyle.server.limits import Limits, Rate
from livestyle.server.service import BusyError, Service
from livestyle.server.session import Session

STAMP_BYTES = 8
"""Length of the client's own bytes in front of a frame, which come back in front of its painting."""
SERVER_TIME = struct.Struct("<I")  # milliseconds
GOING_AWAY, POLICY, INTERNAL_ERROR, TRY_AGAIN = 1001, 1008, 1011, 1013
"""WebSocket close codes (RFC 6455, section 7.4, and IANA's registry)."""


class PolicyError(Exception):
    """A message breaks a limit, or the token is wrong: the connection ends."""


async def serve_viewer(websocket: WebSocket, service: Service, token: str | None) -> None:
    """Run a viewer's session until the client or the server ends it, or until a limit is broken."""
    await websocket.accept()
    try:
        source = await _first_message(websocket, service, token)
        with service.session() as session:
            await _Viewer(websocket, service, session, source).run()
    except WebSocketDisconnect:
        pass
    except BusyError as error:
        service.metrics.refused.labels("full").inc()
        await _close(websocket, TRY_AGAIN, str(error))
    except PolicyError as error:
        service.metrics.refused.labels("message").inc()
        await _close(websocket, POLICY, str(error))
    except TimeoutError:
        await _close(websocket, GOING_AWAY, "the connection was idle for too long")


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):  # the client has closed it already
        await websocket.close(code, reason.encode()[:120].decode(errors="ignore"))  # at most 123 bytes


async def _first_message(websocket: WebSocket, service: Service, token: str | None) -> str:
    """Receive the first message and check its token. Returns the source that it names: "camera" or "server"."""
    async with asyncio.timeout(service.limits.request_seconds):
        message = await _receive(websocket)
    if not isinstance(message, str):
        raise PolicyError("the first message must be text")
    try:
        first = _parsed(message, service.limits)
    except InputError as error:
        raise PolicyError(str(error)) from error
    found = first.get("token", "") if isinstance(first, dict) else ""
    if token is not None and not (isinstance(found, str) and is_token(found, token)):
        raise PolicyError("the token is missing or wrong; open the link that the server printed")
    source = first.get("source") if isinstance(first, dict) else None
    if source not in ("camera", "server"):
        raise PolicyError('the first message must name a source: "camera" or "server"')
    if source == "server" and service.feed is None:
        raise PolicyError("this server has no source of its own; use a camera")
    return str(source)


async def _receive(websocket: WebSocket) -> str | bytes:
    """Wait for a message. Raises WebSocketDisconnect if the connection has ended."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    data: str | bytes | None = message.get("text")
    return message["bytes"] if data is None else data


def _parsed(text: str, limits: Limits) -> object:
    """Parse a text message as JSON. Raises PolicyError if it is too long, InputError if it is not JSON."""
    if len(text) > limits.text_bytes:
        raise PolicyError(f"a control message has at most {limits.text_bytes} bytes")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("the message is not JSON") from error


class SourceEndedError(Exception):
    """The server's own source gives no more frames: the connection ends."""


class _Viewer:
    """The running session of one viewer."""

    def __init__(self, websocket: WebSocket, service: Service, session: Session, source: str) -> None:
        self._websocket, self._service, self._session = websocket, service, session
        self._limits = service.limits
        self._paint = self._paint_camera if source == "camera" else self._paint_source
        self._painting: asyncio.Task[None] | None = None
        self._shape: tuple[int, ...] = ()
        self._last_frame: Frame | None = None
        self._messages = Rate(self._limits.messages_per_second, 1)
        self._sizes = Rate(self._limits.sizes_per_minute, 60)

    async def run(self) -> None:
        """Answer messages until the connection ends, or raise PolicyError or TimeoutError."""
        await self._send_json(self._hello())
        announcing = asyncio.create_task(self._announce_changes())
        try:
            while True:
                message = await self._next_message()
                if isinstance(message, str):
                    await self._control(message)
                else:
                    await self._take(message)
        finally:
            for task in filter(None, (announcing, self._painting)):
                task.cancel()
                with suppress(asyncio.CancelledError, WebSocketDisconnect):
                    await task  # raises its error, if it has failed

    async def _next_message(self) -> str | bytes:
        """Wait for a message. Raises TimeoutError if none comes for a while, unless the viewer sends its frames by WebRTC."""
        while True:
            try:
                async with asyncio.timeout(self._limits.idle_seconds):
                    return await _receive(self._websocket)
            except TimeoutError:
                if not self._session.has_publisher:
                    raise

    async def _announce_changes(self) -> None:
        """Send the state each time that another client has changed it, through the HTTP API."""
        state = None
        while True:
            state = await self._session.changed_by_others.after(state)
            await self._send_json({"state": state})

    def _hello(self) -> dict[str, object]:
        limits = ("frame_bytes", "frame_pixels", "picture_bytes")
        return {
            "session": self._session.id,
            "server_source": self._service.feed is not None,
            "predicts": bool(self._service.stylizer.gallery.predictors),
            "webrtc": self._service.has_webrtc,
            "limits": {name: getattr(self._limits, name) for name in limits},
            "state": self._session.state(),
        }

    async def _control(self, message: str) -> None:
        if not self._messages.allows():
            raise PolicyError(f"more than {self._limits.messages_per_second} control messages in a second")
        try:
            self._session.change(_parsed(message, self._limits))
        except (InputError, StyleError) as error:
            await self._send_json({"error": str(error)})
        else:
            await self._send_json({"state": self._session.state()})

    async def _take(self, message: bytes) -> None:
        """Begin to answer a binary message. A client that sends one before the last one is answered has to wait."""
        if not STAMP_BYTES <= len(message) <= STAMP_BYTES + self._limits.frame_bytes:
            raise PolicyError(f"a frame has {STAMP_BYTES} bytes and a picture of at most {self._limits.frame_bytes} bytes")
        if self._painting is not None:
            await self._painting
        self._painting = asyncio.create_task(self._answer_frame(message[:STAMP_BYTES], message[STAMP_BYTES:]))

    async def _answer_frame(self, stamp: bytes, data: bytes) -> None:
        """Send the painting of a frame. If that fails, close the connection, so that `run` ends."""
        try:
            await self._send_painting(stamp, data, time.monotonic())
        except WebSocketDisconnect:
            pass  # `run` receives it too
        except SourceEndedError as error:
            await _close(self._websocket, GOING_AWAY, str(error))
        except Exception:
            await _close(self._websocket, INTERNAL_ERROR, "the server failed; its log says why")
            raise

    async def _send_painting(self, stamp: bytes, data: bytes, arrived_at: float) -> None:
        try:
            frame, painting = await self._paint(data, arrived_at)
        except LivestyleError as error:
            await self._send_json({"error": str(error), "frame": True})
            return
        jpeg = await self._service.run_codec(encode_frame, painting)
        seconds = self._service.count(self._session, frame, len(jpeg))
        await self._send(stamp + SERVER_TIME.pack(min(round(seconds * 1000), 2**32 - 1)) + jpeg)

    async def _paint_camera(self, data: bytes, arrived_at: float) -> tuple[Frame, Image]:
        """Decode and paint the client's frame."""
        photo = await self._service.run_codec(decode_frame, data, self._limits.frame_pixels)
        if photo.shape != self._shape:  # the engine prepares itself for each size
            if not self._sizes.allows():
                raise InputError(f"the size of the frames changed more than {self._limits.sizes_per_minute} times in a minute")
            self._shape = photo.shape
        return Frame(photo, Fraction(0), captured_at=arrived_at), await self._session.paint(photo)

    async def _paint_source(self, data: bytes, arrived_at: float) -> tuple[Frame, Image]:
        """Wait for a newer frame of the server's source, and paint it."""
        assert self._service.feed is not None
        try:
            self._last_frame = frame = await self._service.feed.frames.after(self._last_frame)
        except LivestyleError as error:
            raise SourceEndedError(str(error)) from error
        return frame, await self._session.paint(frame.image)

    async def _send_json(self, message: dict[str, object]) -> None:
        await self._send(json.dumps(message))

    async def _send(self, message: str | bytes) -> None:
        """Send a message. Raises WebSocketDisconnect if the connection has ended."""
        try:
            if isinstance(message, str):
                await self._websocket.send_text(message)
            else:
                await self._websocket.send_bytes(message)
        except RuntimeError as error:  # it has been closed, perhaps by uvicorn, after a malformed message
            raise WebSocketDisconnect from error
