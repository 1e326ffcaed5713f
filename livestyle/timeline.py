"""Times of a file's packets that keep growing where the file's clock jumps."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

JUMPING = ("mpegts", "mpeg", "flv")
"""FFmpeg's names of the containers in which recordings are joined end to end, and clocks wrap. To seek by time in them is
no use: the same time may be there twice."""

JUMP_BACK_SECONDS = Fraction(1, 10)
"""A smaller step back is an overlap of two segments, as FFmpeg sees it too."""

JUMP_AHEAD_SECONDS = 10
"""In MPEG-TS and MPEG-PS, where nothing else is in between, a larger step is another clock, not a pause."""

REMEMBERED_CLOCKS = 8

LEAST_SEEK_SECONDS = 1
"""Less is read: where the picture begins after the sound, seeking goes to the first picture at once."""


def skip_to(container: InputContainer, seconds: Fraction) -> None:
    """Seek to a time of the file, or before it: what comes first may be from its beginning."""
    begin = Fraction(container.start_time or 0, av.time_base)
    if container.format.name not in JUMPING and seconds - begin > LEAST_SEEK_SECONDS:
        container.seek(int(seconds * av.time_base))


@dataclass
class _Stream:
    """Where a stream is, in corrected seconds."""

    offset: Fraction
    decoded: Fraction | None = None
    """The latest decoding time."""
    end: Fraction | None = None
    """Of its packet that ends last."""


class Timeline:
    """Corrects packets where the clock jumps: recordings joined in one file, times that wrap.

    The part after a jump follows the end of the part before; all streams get the same offset. Give it every packet of
    the file, of all streams, in the order of demuxing: then two readers of one file get the same times.
    """

    def __init__(self, container: str) -> None:
        self._closes_gaps = container in ("mpegts", "mpeg")
        self._offsets = deque([Fraction(0)], maxlen=REMEMBERED_CLOCKS)
        self._streams: dict[int, _Stream] = {}
        self._offset = Fraction(0)
        self.jumped = False
        """Whether the latest packet's clock jumped."""

    def demux(self, container: InputContainer) -> "Iterator[Packet[Any]]":
        """All packets of a container, corrected. May be called again after an error, to read on."""
        try:
            for packet in container.demux(list(container.streams)):
                if packet.size or packet.pts is not None:  # else it is PyAV's call to flush a decoder
                    self.jumped = self.correct(packet)
                    yield packet
        except IndexError:  # of PyAV, at the end of a file in which a stream appeared on the way
            return

    def correct(self, packet: "Packet[Any]") -> bool:
        """Shift the packet's times in place. True if its stream's clock jumped here."""
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is None:
            return False
        jumped = False
        if packet.stream.type in ("video", "audio"):
            stream = self._streams.setdefault(packet.stream.index, _Stream(self._offset))
            decoded = None if packet.dts is None else packet.dts * packet.time_base
            if decoded is not None and not self._follows(stream, decoded + stream.offset):
                jumped = True
                stream.offset = self._other_offset(stream, decoded, shown * packet.time_base)
            if decoded is not None:
                moved = decoded + stream.offset
                stream.decoded = moved if stream.decoded is None else max(stream.decoded, moved)
            end = (shown + (packet.duration or 0)) * packet.time_base + stream.offset
            stream.end = end if stream.end is None else max(stream.end, end)
            self._offset = stream.offset
        ticks = round(self._offset / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return jumped

    def _follows(self, stream: _Stream, decoded: Fraction) -> bool:
        if stream.decoded is None:
            return True
        if self._closes_gaps and decoded > self._end() + JUMP_AHEAD_SECONDS:
            return False
        return decoded >= stream.decoded - JUMP_BACK_SECONDS

    def _other_offset(self, stream: _Stream, decoded: Fraction, shown: Fraction) -> Fraction:
        assert stream.decoded is not None
        for offset in reversed(self._offsets):  # another stream was first over the joint, or one packet had a wrong time
            if stream.decoded - JUMP_BACK_SECONDS <= decoded + offset <= stream.decoded + JUMP_AHEAD_SECONDS:
                return offset
        offset = self._end() - shown
        self._offsets.append(offset)
        return offset

    def _end(self) -> Fraction:
        return max(stream.end for stream in self._streams.values() if stream.end is not None)
