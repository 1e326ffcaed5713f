"""Seek in files, and correct packet times where the clock of a file jumps."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.container import InputContainer
from av.packet import Packet

DISCONTINUOUS_FORMATS = ("mpegts", "mpeg", "flv")
"""FFmpeg's names of containers in which recordings may be joined end to end, and times may wrap around. The same time may then
occur twice, so that seeking by time does not work."""

JUMP_BACK_SECONDS = Fraction(1, 10)
"""A smaller step back is an overlap of two segments, not a jump. FFmpeg treats it the same way."""

JUMP_AHEAD_SECONDS = 10
"""In MPEG-TS and MPEG-PS, a larger step ahead with no packet of any stream in between is a jump, not a pause."""

REMEMBERED_OFFSETS = 8
"""How many of the latest offsets to keep: packets of other streams may still need one from before the latest jump."""

MIN_SEEK_SECONDS = 1
"""To reach a time closer to the beginning than this, read on: seeking would skip audio before the first video frame."""


def seek_before(container: InputContainer, seconds: Fraction) -> None:
    """Seek to this time of the file, or to an earlier one. If seeking does not work, stay at the beginning."""
    begin = Fraction(container.start_time or 0, av.time_base)
    if container.format.name not in DISCONTINUOUS_FORMATS and seconds - begin > MIN_SEEK_SECONDS:
        container.seek(int(seconds * av.time_base))


@dataclass
class _Position:
    """Position up to which a stream has been read. All times are in seconds."""

    offset: Fraction
    """Seconds to add to the times in the file, to correct them after a jump of the clock."""
    decoded: Fraction | None = None
    """The latest decoding time of a packet, in corrected seconds."""
    end: Fraction | None = None
    """The latest end of a packet, in corrected seconds."""


class Timeline:
    """Corrects packet times where the clock jumps: recordings joined in one file, times that wrap around.

    The part after a jump is shifted to the end of the part before it; all streams get the same offset. Pass the packets of all
    streams, in demuxing order, so that two readers of the same file get the same times.

    container: FFmpeg's name of the format.
    """

    def __init__(self, container: str) -> None:
        self._closes_gaps = container in ("mpegts", "mpeg")  # a large step ahead is a jump
        self._offsets = deque([Fraction(0)], maxlen=REMEMBERED_OFFSETS)
        self._positions: dict[int, _Position] = {}
        self._offset = Fraction(0)
        self.jumped = False
        """Whether the latest packet's clock jumped."""

    def demux(self, container: InputContainer) -> "Iterator[Packet[Any]]":
        """Yield all packets of a container, with corrected times. After an error it may be called again to read on."""
        try:
            for packet in container.demux(list(container.streams)):
                if packet.size or packet.pts is not None:  # otherwise it is the packet with which PyAV flushes a decoder
                    self.jumped = self.correct(packet)
                    yield packet
        except IndexError:  # raised by PyAV at the end of a file if a stream was added while reading it
            return

    def correct(self, packet: "Packet[Any]") -> bool:
        """Shift the packet's times in place. Returns whether its stream's clock jumped here."""
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is None:
            return False
        jumped = False
        if packet.stream.type in ("video", "audio"):
            position = self._positions.setdefault(packet.stream.index, _Position(self._offset))
            decoded = None if packet.dts is None else packet.dts * packet.time_base
            if decoded is not None and not self._follows(position, decoded + position.offset):
                jumped = True
                position.offset = self._offset_after_jump(position, decoded, shown * packet.time_base)
            if decoded is not None:
                corrected = decoded + position.offset
                position.decoded = corrected if position.decoded is None else max(position.decoded, corrected)
            end = (shown + (packet.duration or 0)) * packet.time_base + position.offset
            position.end = end if position.end is None else max(position.end, end)
            self._offset = position.offset
        ticks = round(self._offset / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        return jumped

    def _follows(self, position: _Position, decoded: Fraction) -> bool:
        """Whether a corrected decoding time continues the stream without a jump."""
        if position.decoded is None:
            return True
        if self._closes_gaps and decoded > self._end() + JUMP_AHEAD_SECONDS:
            return False
        return decoded >= position.decoded - JUMP_BACK_SECONDS

    def _offset_after_jump(self, position: _Position, decoded: Fraction, shown: Fraction) -> Fraction:
        """Find the offset of a packet after a jump. decoded, shown: its uncorrected times of decoding and presentation."""
        assert position.decoded is not None
        for offset in reversed(self._offsets):  # another stream jumped first, or a single packet had a wrong time
            if position.decoded - JUMP_BACK_SECONDS <= decoded + offset <= position.decoded + JUMP_AHEAD_SECONDS:
                return offset
        offset = self._end() - shown
        self._offsets.append(offset)
        return offset

    def _end(self) -> Fraction:
        """The latest end of a packet of any stream, in corrected seconds."""
        return max(position.end for position in self._positions.values() if position.end is not None)
