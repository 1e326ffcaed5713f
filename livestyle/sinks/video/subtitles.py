"""Subtitles that the output cannot hold as they are: converted to plain text in another codec."""

import html
import re
from collections.abc import Iterator
from typing import Any

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.sinks.video.time_range import TimeRange

TEXT_CODECS = ("mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa")
"""FFmpeg's names of the codecs that can be converted."""


class ConvertedSubtitleTrack:
    """Converts text subtitles to another text codec, without styling.

    MP4 (mov_text) shows one subtitle at a time: there a subtitle ends where the next one begins, and subtitles that begin
    at the same time are joined.
    """

    def __init__(self, stream: Stream, output: OutputContainer, codec: str, time_range: TimeRange) -> None:
        self._time_range = time_range
        self._from_codec = stream.codec_context.name
        self._to_codec = codec
        self.stream = output.add_mux_stream(codec, time_base=stream.time_base)
        self._pending: tuple[Packet[Any], str] | None = None  # in MP4: held back until the next one tells its end

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        text = _text(bytes(packet), self._from_codec)
        if packet.pts is None or not text or packet.pts * packet.time_base not in self._time_range:
            return
        packet.pts -= round(self._time_range.origin_seconds / packet.time_base)
        if self._to_codec != "mov_text":
            yield self._packet(packet, html.escape(text, quote=False) if self._to_codec == "webvtt" else text)
            return
        if self._pending is not None:
            previous, previous_text = self._pending
            assert previous.pts is not None
            if packet.pts <= previous.pts:
                packet.pts, text = previous.pts, f"{previous_text}\n{text}"
                packet.duration = max(packet.duration or 0, previous.duration or 0)
            else:
                previous.duration = min(previous.duration or 0, packet.pts - previous.pts)
                yield self._packet(previous, previous_text)
        self._pending = packet, text

    def finish(self) -> Iterator["Packet[Any]"]:
        if self._pending is not None:
            yield self._packet(*self._pending)

    def _packet(self, source: "Packet[Any]", text: str) -> "Packet[Any]":
        """A packet with this text, and with the times of the packet `source`."""
        data = text.encode()
        if self._to_codec == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        packet: Packet[Any] = Packet(len(data))
        packet.update(data)  # not Packet(data): PyAV 17.0 keeps no reference to it, so it may be freed
        packet.time_base = source.time_base
        packet.pts = packet.dts = source.pts
        packet.duration = source.duration
        packet.stream = self.stream
        return packet


def _text(data: bytes, codec: str) -> str:
    """The plain text in a packet."""
    if codec == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode(errors="replace")
    text = data.decode(errors="replace")
    if codec in ("ass", "ssa"):  # eight fields come before the text
        text = text.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    text = re.sub(r"<[^>]*>|\{\\[^}]*\}", "", text).strip()
    return html.unescape(text) if codec == "webvtt" else text
