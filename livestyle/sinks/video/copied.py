"""Packets that are written as they were read, at their times in the output."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.sinks.video.audio import SoundEncoder, open_encoder
from livestyle.sinks.video.time_range import TimeRange

EQUAL_TIMES = 0x20000
"""FFmpeg's flag (AVFMT_TS_NONSTRICT) of a container in which two packets of a stream may have one time."""

ADTS_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1"}
ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)


class Clock:
    """Gives the packets of one output stream their times: rounded once, to the stream's own ticks, and never falling.

    A packet that is not after the last one is moved to it, or one tick after it where the container wants that. The next
    one is not moved with it, so that corrections do not add up.
    """

    def __init__(self, stream: Stream, output: OutputContainer) -> None:
        self._stream = stream
        self._step = 0 if output.format.flags & EQUAL_TIMES else 1
        self._last_dts: int | None = None

    def set(self, packet: "Packet[Any]", origin_seconds: Fraction) -> "Packet[Any]":
        """The packet, for the output's stream. Construct the output's header first: it chooses the ticks."""
        assert packet.pts is not None
        tick = cast(Fraction, self._stream.time_base)
        pts = dts = round((packet.pts * packet.time_base - origin_seconds) / tick)
        if packet.dts is not None:
            dts = round((packet.dts * packet.time_base - origin_seconds) / tick)
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + self._step)
        self._last_dts = dts
        duration = round((packet.duration or 0) * packet.time_base / tick)
        packet.time_base = tick
        packet.pts, packet.dts, packet.duration = max(pts, dts), dts, duration
        packet.stream = self._stream
        return packet


class Copied:
    """Packets as they are, shifted."""

    def __init__(self, stream: Stream, output: OutputContainer, window: TimeRange) -> None:
        self._window = window
        self.stream: Stream = output.add_stream_from_template(stream)
        self.stream.codec_context.open(strict=False)  # PyAV 14.0.0 opens an encoder, which writes headers of its own
        self.stream.codec_context.extradata = stream.codec_context.extradata
        self._clock = Clock(self.stream, output)
        self._end: int | None = None

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        if packet.pts is None:
            packet.pts = self._end if packet.dts is None else packet.dts
        if packet.pts is None:
            raise ValueError("it has no time")
        self._end = packet.pts + (packet.duration or 0)
        if self._window.holds(packet.pts * packet.time_base):
            for ready in self._unpack(packet):
                yield self._clock.set(ready, self._window.origin_seconds)

    def _unpack(self, packet: "Packet[Any]") -> "list[Packet[Any]]":
        return [packet]

    def finish(self) -> Iterator["Packet[Any]"]:
        return iter(())


class CopiedAac(Copied):
    """AAC. Outputs have one header for all of it, so ADTS headers of the packets (MPEG-TS) are taken off.

    Where the layout or the rate changes, the rest is decoded and encoded again like the beginning, said in `notes`.
    """

    def __init__(self, stream: AudioStream, output: OutputContainer, window: TimeRange, notes: list[str]) -> None:
        super().__init__(stream, output, window)
        self._source = stream
        self._notes = notes
        header = stream.codec_context.extradata
        self._filter = None if header else BitStreamFilterContext("aac_adtstoasc", stream)
        self._first_format = _format_of_config(header) if header else None
        self._encoder: SoundEncoder | None = None
        self._since = Fraction(0)  # from when on it is encoded

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        if self._encoder is None and self._changes(packet):
            assert self._first_format is not None
            self._encoder = SoundEncoder(_like(*self._first_format), self._window)
            since = packet.pts * packet.time_base if packet.pts is not None else Fraction(0)
            self._since = since - self._window.origin_seconds
            self._notes.append(
                f"audio stream {self._source.index} changes its layout or sample rate at {float(since):.2f} s; "
                "from there on it is converted to what it was before"
            )
        if self._encoder is None:
            yield from super().convert(packet)
        else:
            for frame in self._source.codec_context.decode(packet):
                yield from self._set(self._encoder.encode(frame))

    def finish(self) -> Iterator["Packet[Any]"]:
        if self._encoder is not None:
            yield from self._set(self._encoder.finish())

    def _set(self, packets: Iterator["Packet[Any]"]) -> Iterator["Packet[Any]"]:
        for packet in packets:
            if packet.pts is not None and packet.pts * packet.time_base >= self._since:  # the encoder's priming is before it
                yield self._clock.set(packet, Fraction(0))

    def _unpack(self, packet: "Packet[Any]") -> "list[Packet[Any]]":
        if self._filter is None:
            return [packet]
        time_base = packet.time_base
        ready = self._filter.filter(packet)
        for unpacked in ready:
            unpacked.time_base = time_base
        return ready

    def _changes(self, packet: "Packet[Any]") -> bool:
        """Whether a packet has another format than the first one."""
        found = None
        if self._filter is not None:
            found = _format_of_adts(bytes(packet)[:4])
        elif hasattr(packet, "has_sidedata") and packet.has_sidedata("new_extradata"):  # from PyAV 16 on
            found = _format_of_config(bytes(packet.get_sidedata("new_extradata")))
        if self._first_format is None:
            self._first_format = found
        return found is not None and found != self._first_format


def _format_of_adts(header: bytes) -> tuple[int, int] | None:
    """(Index of the rate, number of the layout), of a packet that begins with such a header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xF0 != 0xF0:
        return None
    return (header[2] >> 2) & 0xF, (header[2] & 1) << 2 | header[3] >> 6


def _format_of_config(config: bytes) -> tuple[int, int] | None:
    """The same, of an AudioSpecificConfig (ISO 14496-3): 5 bits of the kind, 4 of the rate, 4 of the layout."""
    if len(config) < 2:
        return None
    return (config[0] & 7) << 1 | config[1] >> 7, (config[1] >> 3) & 0xF


def _like(rate: int, layout: int) -> AudioCodecContext:
    if rate >= len(ADTS_RATES) or layout not in ADTS_LAYOUTS:
        raise ValueError("its format changes, and cannot be encoded")
    return open_encoder("aac", ADTS_RATES[rate], ADTS_LAYOUTS[layout])
