"""What all requests of the server share: the stylizer, the sessions, the source, and the threads that do the slow work."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TypeVar

from livestyle.errors import InputError, LivestyleError, StyleError, TooLargeError
from livestyle.frame import Frame
from livestyle.look import Look
from livestyle.pictures.reading import Picture, decode_untrusted
from livestyle.pictures.strokes import paint_larger
from livestyle.pictures.writing import encode_picture
from livestyle.server.feed import Feed
from livestyle.server.limits import Limits
from livestyle.server.metrics import Metrics
from livestyle.server.painter import SharedPainter
from livestyle.server.session import Session
from livestyle.stylizer import Stylizer

T = TypeVar("T")


class BusyError(LivestyleError):
    """The server has no room for another viewer or picture."""


class Service:
    """The sessions of one server, and what they share. Use it only in the thread of the event loop; close it after use.

    stylizer: paints; its default look is the first look of a session. Not closed.
    feed: the server's own source; None if it has none. Closed by the service.
    """

    def __init__(self, stylizer: Stylizer, limits: Limits, feed: Feed | None = None) -> None:
        self.stylizer, self.limits, self.feed = stylizer, limits, feed
        self.styles = stylizer.load_all()
        self.sessions: dict[str, Session] = {}
        self.peers: dict[str, asyncio.Task[None]] = {}
        """The tasks of the WebRTC connections, by ID."""
        self.has_webrtc = find_spec("aiortc") is not None
        self.metrics = Metrics(lambda: len(self.sessions), lambda: len(self.peers))
        self._painter = SharedPainter(stylizer.engine)
        self._codecs = ThreadPoolExecutor(max(2, os.cpu_count() or 1), "livestyle-codec")
        self._pictures = ThreadPoolExecutor(1, "livestyle-picture")
        self._pictures_now = 0

    @contextmanager
    def session(self, look: Look | None = None, session_id: str | None = None) -> Iterator[Session]:
        """A session of a new viewer, for as long as the block runs. Raises BusyError if there are too many.

        look: the first look; None for the stylizer's default look. session_id: one that is not in use; None for a random one.
        """
        self.check_room()
        session = Session(self.stylizer, self._painter, self.styles, look or self.stylizer.default_look, self.limits, session_id)
        self.sessions[session.id] = session
        try:
            yield session
        finally:
            del self.sessions[session.id]
            session.painted.end(InputError("the viewer has left"))

    def check_room(self) -> None:
        """Raise BusyError if as many viewers are connected as the limits allow."""
        if len(self.sessions) >= self.limits.viewers:
            raise BusyError(f"{len(self.sessions)} of {self.limits.viewers} viewers are connected; try again later")

    async def run_codec(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function that takes milliseconds, such as decoding a frame, in another thread."""
        return await asyncio.get_running_loop().run_in_executor(self._codecs, function, *arguments)

    @contextmanager
    def picture_place(self) -> Iterator[None]:
        """A place for a picture, from the arrival of its bytes until it is painted. Raises BusyError if all are taken."""
        if self._pictures_now >= self.limits.pictures:
            raise BusyError(f"{self._pictures_now} pictures are being painted; try again later")
        self._pictures_now += 1
        try:
            yield
        finally:
            self._pictures_now -= 1

    async def _run_for_picture(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function that takes seconds in the thread for pictures."""
        return await asyncio.get_running_loop().run_in_executor(self._pictures, function, *arguments)

    def look(self, style: str | None, strength: float, keep_colors: bool) -> Look:
        """The look for a style of the gallery; unlike `Stylizer.look`, it reads no file that a client names.

        style: None for that of the stylizer's default look. Raises StyleError if there is no such style.
        """
        if style is not None and style not in self.styles:
            raise StyleError(f"there is no style {style!r:.60}; there are {', '.join(self.styles)}")
        return self.stylizer.look(style, strength=strength, keep_colors=keep_colors)

    async def paint_picture(self, data: bytes, look: Look, stroke_size: float, suffix: str) -> bytes:
        """Paint a picture file at full size -> the bytes of a file of the format that the suffix names.

        Raises InputError, TooLargeError, and OutputError.
        """

        def paint() -> bytes:
            picture = self._decode(data)
            painting = paint_larger(lambda photo: self.stylizer(photo, look), picture.image, stroke_size)
            return encode_picture(painting, suffix, picture.alpha)

        painted = await self._run_for_picture(paint)
        self.metrics.pictures.inc()
        return painted

    async def add_style(self, session: Session, data: bytes, file_name: str) -> str:
        """Predict a style from the picture file of a painting, for one session only. Returns its name.

        Raises InputError, StyleError, and TooLargeError.
        """
        session.check_style_room()
        look = await self._run_for_picture(lambda: self.stylizer.predict(self._decode(data).image, "the painting"))
        name = session.free_name(file_name)  # now, as another painting of this name may have come first
        session.add_style(replace(look, name=name))
        self.metrics.styles.inc()
        return name

    def _decode(self, data: bytes) -> Picture:
        limits = self.limits
        try:
            return decode_untrusted(data, "the picture", limits.picture_pixels, limits.picture_scans)
        except MemoryError as error:
            raise TooLargeError("the picture does not fit in memory") from error

    def count(self, session: Session, frame: Frame, jpeg_bytes: int = 0) -> float:
        """Count a painting that is sent now. Returns the time since the frame arrived or was captured, in seconds.

        jpeg_bytes: the size of its JPEG, if it is sent as one.
        """
        seconds = time.monotonic() - (frame.captured_at or 0.0)
        session.count(frame)
        self.metrics.frame_seconds.observe(seconds)
        self.metrics.frame_bytes.inc(jpeg_bytes)
        return seconds

    async def close(self) -> None:
        """End the WebRTC connections and the threads, and close the source. Idempotent."""
        peers = list(self.peers.values())
        for peer in peers:
            peer.cancel()
        await asyncio.gather(*peers, return_exceptions=True)
        if self.feed is not None:
            await self.feed.close()
        await asyncio.to_thread(self._painter.close)
        for executor in (self._codecs, self._pictures):
            await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
