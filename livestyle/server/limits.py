"""Limits of the server, so that no client can use up its memory, its time or its connections."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any


def _limit(default: int, text: str) -> Any:
    return field(default=default, metadata={"text": text})


@dataclass(frozen=True)
class Limits:
    """What one client, one message and the whole server may use. `lines` describes each limit."""

    viewers: int = _limit(8, "viewers at a time")
    connections: int = _limit(128, "connections at a time")
    connections_per_address: int = _limit(64, "connections at a time from one address")
    request_seconds: int = _limit(10, "seconds until the headers of a request, or the first message of a viewer, have arrived")
    body_seconds: int = _limit(60, "seconds until the body of a request has arrived")
    send_seconds: int = _limit(10, "seconds in which a client must receive 64 KiB of what waits; a slower one is disconnected")
    idle_seconds: int = _limit(600, "seconds without a message after which a viewer is disconnected")
    text_bytes: int = _limit(2_000, "bytes of a control message")
    messages_per_second: int = _limit(60, "control messages of one viewer a second")
    frame_bytes: int = _limit(1_000_000, "bytes of a frame")
    frame_pixels: int = _limit(1280 * 720, "pixels of a frame")
    sizes_per_minute: int = _limit(30, "changes of one viewer's frame size a minute")
    picture_bytes: int = _limit(32 * 2**20, "bytes of a picture to paint, or of a painting to use as a style")
    picture_pixels: int = _limit(24_000_000, "pixels of such a picture")
    picture_scans: int = _limit(64, "scans of a progressive JPEG")
    pictures: int = _limit(8, "pictures at a time that arrive, wait, or are painted")
    offer_bytes: int = _limit(65_536, "bytes of a WebRTC offer")
    connect_seconds: int = _limit(15, "seconds until a WebRTC connection is established")
    silent_seconds: int = _limit(10, "seconds without a frame after which a WebRTC publisher is disconnected")
    styles: int = _limit(12, "paintings that one viewer can use as styles")

    def lines(self) -> Iterator[str]:
        """Yield one line for each limit: the number and what it limits."""
        for each in fields(self):
            yield f"{getattr(self, each.name):>12,} {each.metadata['text']}"


class Rate:
    """Allows at most `most` events within any `seconds`, on average (a token bucket)."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._per_second = most, most / seconds
        self._left, self._at = float(most), time.monotonic()

    def allows(self) -> bool:
        """Whether another event is allowed now; if so, counts it."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
