"""Tracks whose packets are copied, shifted to their times in the output."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, cast

from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.sinks.video.audio import AudioEncoder, open_audio_encoder
from livestyle.sinks.video.time_range import TimeRange

TIMES_MAY_BE_EQUAL = 0x20000
"""FFmpeg's AVFMT_TS_NONSTRICT: in such a container two packets of a stream may have the same time."""

ADTS_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "7.1"}
"""Channel layouts by their number in an ADTS header."""
ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350)
"""Sample rates by their index in an ADTS header, in Hz."""

AacFormat = tuple[int, int]
"""Format of AAC audio: (index of the sample rate in ADTS_RATES, number of the channel layout in ADTS_LAYOUTS)."""


class MonotonicTimes:
    """Moves the packets of one stream to the output's time, with decoding times that never decrease.

    Times are rounded once, to the ticks of the output's stream. A packet that is not after the previous one is moved to
    the same time, or to one tick later where the container requires times to increase. Later packets are not moved with
    it, so that corrections do not add up.
    """

    def __init__(self, stream: Stream, output: OutputContainer) -> None:
        self._stream = stream
        self._smallest_step = 0 if output.format.flags & TIMES_MAY_BE_EQUAL else 1
        self._last_dts: int | None = None

    def apply(self, packet: "Packet[Any]", origin_seconds: Fraction) -> "Packet[Any]":
        """Set the packet's times and stream in place, and return it.

        origin_seconds: the time of the packet's stream that becomes 0 in the output.
        Call it after the output's header was written, which sets the time base of the output's stream.
        """
        assert packet.pts is not None
        tick = cast(Fraction, self._stream.time_base)
        pts = dts = round((packet.pts * packet.time_base - origin_seconds) / tick)
        if packet.dts is not None:
            dts = round((packet.dts * packet.time_base - origin_seconds) / tick)
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + self._smallest_step)
        self._last_dts = dts
        duration = round((packet.duration or 0) * packet.time_base / tick)
        packet.time_base = tick
        packet.pts, packet.dts, packet.duration = max(pts, dts), dts, duration
        packet.stream = self._stream
        return packet


class CopiedTrack:
    """Copies packets, shifted in time."""

    def __init__(self, stream: Stream, output: OutputContainer, time_range: TimeRange) -> None:
        self._time_range = time_range
        self.stream: Stream = output.add_stream_from_template(stream)
        # the encoder that PyAV 14.0.0 opens here sets headers of its own: so the input's are set after it is opened
        self.stream.codec_context.open(strict=False)
        self.stream.codec_context.extradata = stream.codec_context.extradata
        self._times = MonotonicTimes(self.stream, output)
        self._end_ticks: int | None = None  # of the latest packet

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        if packet.pts is None:
            packet.pts = self._end_ticks if packet.dts is None else packet.dts
        if packet.pts is None:
            raise ValueError("it has no time")
        self._end_ticks = packet.pts + (packet.duration or 0)
        if packet.pts * packet.time_base in self._time_range:
            for ready in self._unpack(packet):
                yield self._times.apply(ready, self._time_range.origin_seconds)

    def _unpack(self, packet: "Packet[Any]") -> "list[Packet[Any]]":
        """Convert a packet of the input to packets in the form that the output stores."""
        return [packet]

    def finish(self) -> Iterator["Packet[Any]"]:
        return iter(())


class CopiedAacTrack(CopiedTrack):
    """Copies AAC. The output stores one header for the track, so the ADTS header of each packet (MPEG-TS) is removed.

    Where the channel layout or the sample rate changes, the rest of the audio is decoded, and encoded in the format of the
    beginning; a line is then added to `notes`.
    """

    def __init__(self, stream: AudioStream, output: OutputContainer, time_range: TimeRange, notes: list[str]) -> None:
        super().__init__(stream, output, time_range)
        self._source = stream
        self._notes = notes
        header = stream.codec_context.extradata
        self._filter = None if header else BitStreamFilterContext("aac_adtstoasc", stream)
        self._first_format = _format_of_config(header) if header else None  # None: not known yet
        self._encoder: AudioEncoder | None = None  # from the first change of format on
        self._encoded_from_seconds = Fraction(0)  # in the output's time

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        if self._encoder is None and self._changes_format(packet):
            assert self._first_format is not None
            self._encoder = AudioEncoder(_open_aac_encoder(*self._first_format), self._time_range)
            since = packet.pts * packet.time_base if packet.pts is not None else Fraction(0)
            self._encoded_from_seconds = since - self._time_range.origin_seconds
            self._notes.append(
                f"audio stream {self._source.index} changes its layout or sample rate at {float(since):.2f} s; "
                "from there on it is converted to the format of its beginning"
            )
        if self._encoder is None:
            yield from super().convert(packet)
        else:
            for frame in self._source.codec_context.decode(packet):
                yield from self._after_the_change(self._encoder.encode(frame))

    def finish(self) -> Iterator["Packet[Any]"]:
        if self._encoder is not None:
            yield from self._after_the_change(self._encoder.finish())

    def _after_the_change(self, encoded: Iterator["Packet[Any]"]) -> Iterator["Packet[Any]"]:
        """Drop the encoder's priming, which would overlap the copied packets."""
        for packet in encoded:
            if packet.pts is not None and packet.pts * packet.time_base >= self._encoded_from_seconds:
                yield self._times.apply(packet, Fraction(0))

    def _unpack(self, packet: "Packet[Any]") -> "list[Packet[Any]]":
        if self._filter is None:
            return [packet]
        time_base = packet.time_base
        ready = self._filter.filter(packet)
        for unpacked in ready:
            unpacked.time_base = time_base
        return ready

    def _changes_format(self, packet: "Packet[Any]") -> bool:
        """Whether the packet's format differs from the first packet's."""
        found = None
        if self._filter is not None:
            found = _format_of_adts(bytes(packet)[:4])
        elif hasattr(packet, "has_sidedata") and packet.has_sidedata("new_extradata"):  # from PyAV 16 on
            found = _format_of_config(bytes(packet.get_sidedata("new_extradata")))
        if self._first_format is None:
            self._first_format = found
        return found is not None and found != self._first_format


def _format_of_adts(header: bytes) -> AacFormat | None:
    """The format in an ADTS header; None if the bytes are not one."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xF0 != 0xF0:
        return None
    return (header[2] >> 2) & 0xF, (header[2] & 1) << 2 | header[3] >> 6


def _format_of_config(config: bytes) -> AacFormat | None:
    """The format in an AudioSpecificConfig (ISO 14496-3): 5 bits of object type, 4 of rate, 4 of layout."""
    if len(config) < 2:
        return None
    return (config[0] & 7) << 1 | config[1] >> 7, (config[1] >> 3) & 0xF


def _open_aac_encoder(rate: int, layout: int) -> AudioCodecContext:
    """An open encoder for the two parts of an AacFormat. Raises ValueError if there is none."""
    if rate >= len(ADTS_RATES) or layout not in ADTS_LAYOUTS:
        raise ValueError("its format changes, and cannot be encoded")
    return open_audio_encoder("aac", ADTS_RATES[rate], ADTS_LAYOUTS[layout])
