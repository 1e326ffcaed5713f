"""Subtitles that an output cannot hold as they are: as plain text, in the packets of another container."""

import html
import re
from collections.abc import Iterator
from typing import Any

from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.sinks.video.time_range import TimeRange

TEXT_CODECS = ("mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa")


class ConvertedText:
    """Text without its styling.

    MP4 shows one text at a time: there a text ends where the next one begins, and texts that begin together are one.
    """

    def __init__(self, stream: Stream, output: OutputContainer, codec: str, window: TimeRange) -> None:
        self._window = window
        self._from = stream.codec_context.name
        self._to = codec
        self.stream = output.add_mux_stream(codec, time_base=stream.time_base)
        self._held: tuple[Packet[Any], str] | None = None

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        text = _text(bytes(packet), self._from)
        if packet.pts is None or not text or not self._window.holds(packet.pts * packet.time_base):
            return
        packet.pts -= round(self._window.origin_seconds / packet.time_base)
        if self._to != "mov_text":
            yield self._packet(packet, html.escape(text, quote=False) if self._to == "webvtt" else text)
            return
        if self._held is not None:
            held, held_text = self._held
            assert held.pts is not None
            if packet.pts <= held.pts:
                packet.pts, text = held.pts, f"{held_text}\n{text}"
                packet.duration = max(packet.duration or 0, held.duration or 0)
            else:
                held.duration = min(held.duration or 0, packet.pts - held.pts)
                yield self._packet(held, held_text)
        self._held = packet, text

    def finish(self) -> Iterator["Packet[Any]"]:
        if self._held is not None:
            yield self._packet(*self._held)

    def _packet(self, source: "Packet[Any]", text: str) -> "Packet[Any]":
        data = text.encode()
        if self._to == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        packet: Packet[Any] = Packet(len(data))
        packet.update(data)  # PyAV 17.0 does not hold on to data that a packet is made of
        packet.time_base = source.time_base
        packet.pts = packet.dts = source.pts
        packet.duration = source.duration
        packet.stream = self.stream
        return packet


def _text(data: bytes, codec: str) -> str:
    if codec == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode(errors="replace")
    text = data.decode(errors="replace")
    if codec in ("ass", "ssa"):  # eight fields, then the text
        text = text.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    text = re.sub(r"<[^>]*>|\{\\[^}]*\}", "", text).strip()
    return html.unescape(text) if codec == "webvtt" else text
