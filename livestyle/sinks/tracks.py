"""Sound and subtitles, taken from one file to another: packet for packet where it can hold them, else converted."""

import io
import re
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.media import open_media

TEXT_CODECS = ("mov_text", "subrip", "srt", "text", "webvtt", "ass", "ssa")
FIRST_PACKET_SECONDS = 1
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
AAC_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000)
READ_ERRORS_IN_A_ROW = 100


class Track(Protocol):
    """One stream on its way to the output."""

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        """What to write for it, in the output's time."""

    def finish(self) -> Iterator["Packet[Any]"]:
        """What is still inside."""


class Window:
    """What is kept, in the source file's time: from origin_seconds, which becomes 0, up to end_seconds if there is one."""

    def __init__(self, origin_seconds: Fraction, end_seconds: Fraction | None) -> None:
        self.origin_seconds = origin_seconds
        self.end_seconds = end_seconds

    def holds(self, time: Fraction) -> bool:
        # where nothing was left out at the start, a sound's priming before 0 belongs to it
        return (not self.origin_seconds or time >= self.origin_seconds) and (self.end_seconds is None or time < self.end_seconds)


class Copied:
    """Packets as they are, shifted."""

    def __init__(self, stream: Stream, output: OutputContainer, window: Window) -> None:
        self._window = window
        self._stream = output.add_stream_from_template(stream)
        self._stream.codec_context.open(strict=False)  # PyAV 14.0.0 opens an encoder, which writes headers of its own
        self._stream.codec_context.extradata = stream.codec_context.extradata
        _copy_tags(stream, self._stream)
        self._filter: BitStreamFilterContext | None = None
        if stream.codec_context.name == "aac" and not stream.codec_context.extradata:  # as MPEG-TS holds it
            self._filter = BitStreamFilterContext("aac_adtstoasc", stream)
        self._last_dts: int | None = None

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        if packet.pts is None or not self._window.holds(packet.pts * packet.time_base):
            return
        shift = round(self._window.origin_seconds / packet.time_base)
        pts, dts = packet.pts - shift, (packet.pts if packet.dts is None else packet.dts) - shift
        if self._last_dts is not None and dts <= self._last_dts:  # damaged: players and muxers want times that grow
            dts = self._last_dts + 1
        self._last_dts = dts
        packet.pts, packet.dts = max(pts, dts), dts
        for ready in [packet] if self._filter is None else self._filter.filter(packet):
            ready.stream = self._stream
            yield ready

    def finish(self) -> Iterator["Packet[Any]"]:
        return iter(())


class ConvertedSound:
    """Decoded and encoded again. Packets that cannot be decoded are left out."""

    def __init__(self, stream: AudioStream, output: OutputContainer, codec: str, window: Window) -> None:
        self._window = window
        self._decoder = stream.codec_context
        source = self._decoder
        rate = source.sample_rate if codec == "aac" and source.sample_rate in AAC_RATES else 48_000
        self._stream = cast(AudioStream, output.add_stream(codec, rate=rate))
        encoder = self._stream.codec_context
        encoder.layout = LAYOUTS.get(source.layout.nb_channels, "stereo")
        encoder.bit_rate = 96_000 * encoder.layout.nb_channels
        encoder.open()
        _copy_tags(stream, self._stream)
        self._resampler = AudioResampler(encoder.format, encoder.layout, rate, encoder.frame_size)

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None and self._window.holds(frame.pts * frame.time_base):
                frame.pts -= round(self._window.origin_seconds / frame.time_base)
                yield from self._encode(self._resampler.resample(frame))

    def finish(self) -> Iterator["Packet[Any]"]:
        yield from self._encode(self._resampler.resample(None))
        yield from self._stream.encode(None)

    def _encode(self, frames: list[AudioFrame]) -> Iterator["Packet[Any]"]:
        for frame in frames:
            yield from self._stream.encode(frame)


class ConvertedText:
    """Subtitles as plain text, in another container's packets."""

    def __init__(self, stream: Stream, output: OutputContainer, codec: str, window: Window) -> None:
        self._window = window
        self._from = stream.codec_context.name
        self._to = codec
        self._stream = output.add_mux_stream(codec, time_base=stream.time_base)
        _copy_tags(stream, self._stream)

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        text = _text(bytes(packet), self._from)
        if packet.pts is None or not text or not self._window.holds(packet.pts * packet.time_base):
            return
        data = text.encode()
        if self._to == "mov_text":
            data = len(data).to_bytes(2, "big") + data
        converted: Packet[Any] = Packet(len(data))
        converted.update(data)  # PyAV 17.0 does not hold on to data that a packet is made of
        converted.time_base = packet.time_base
        converted.pts = converted.dts = packet.pts - round(self._window.origin_seconds / packet.time_base)
        converted.duration = packet.duration
        converted.stream = self._stream
        yield converted

    def finish(self) -> Iterator["Packet[Any]"]:
        return iter(())


def _holds(container: str, stream: Stream) -> bool:
    """Whether such a container takes the stream as it is. Found by trying: what FFmpeg lists is more than it can write."""
    try:
        # MP4 looks at its streams when it writes the index, so let it do that at once; AC-3 it cannot then, but can later
        options = {} if stream.codec_context.name in ("ac3", "eac3") else {"movflags": "empty_moov"}
        with av.open(io.BytesIO(), "w", format=container, container_options=options) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


def _text(data: bytes, codec: str) -> str:
    if codec == "mov_text":
        return data[2 : 2 + int.from_bytes(data[:2], "big")].decode(errors="replace")
    text = data.decode(errors="replace")
    if codec in ("ass", "ssa"):  # eight fields, then the text
        text = text.split(",", 8)[-1].replace("\\N", "\n").replace("\\n", "\n")
    return re.sub(r"<[^>]*>|\{\\[^}]*\}", "", text).strip()


def _copy_tags(source: Stream, target: Stream) -> None:
    target.metadata.update({key: value for key, value in source.metadata.items() if key in ("language", "title")})
    with suppress(AttributeError):  # PyAV 14.0 knows none
        target.disposition = cast(Any, source.disposition.value)  # the number: PyAV 17 and older take nothing else


class Tracks:
    """All streams of a file but its pictures, written to an output as time goes on.

    Construct it before the output's header is written. late: also streams that begin after the first second and
    subtitles; without them a fragmented MP4 gets its header at once.
    """

    def __init__(
        self, path: Path, output: OutputContainer, *, sound: str, subtitles: str, window: Window, late: bool = True
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._path = path
        self._output = output
        self._input = open_media(path)
        self._origin_seconds = window.origin_seconds
        self._waiting: deque[Packet[Any]] = deque()
        self._tracks: dict[int, Track] = {}
        try:
            self._packets = self._read()
            streams = [stream for stream in self._input.streams if stream.type != "video"]
            if window.origin_seconds and any(stream.type in ("audio", "subtitle") for stream in streams):
                self._input.seek(int(window.origin_seconds * av.time_base))
            prompt = None if late else self._prompt_streams()
            for stream in streams:
                if prompt is None or stream.index in prompt:
                    track = self._track(stream, sound, subtitles, window)
                    if track is not None:
                        self._tracks[stream.index] = track
            if len(self._tracks) > 1 and not hasattr(Stream, "disposition"):
                self.notes.append("which track is the default one, or a forced one, is not kept: that takes PyAV 14.1")
        except BaseException:
            self._input.close()
            raise

    def _prompt_streams(self) -> set[int]:
        """Sound that has a packet soon after the beginning."""
        sounds = {stream.index for stream in self._input.streams.audio}
        found: set[int] = set()
        while not found >= sounds:
            packet = next(self._packets, None)
            if packet is None:
                break
            self._waiting.append(packet)
            time = _time(packet) - self._origin_seconds
            if time > FIRST_PACKET_SECONDS:
                break
            if time >= 0 and packet.stream.index in sounds:
                found.add(packet.stream.index)
        return found

    def _track(self, stream: Stream, sound: str, subtitles: str, window: Window) -> Track | None:
        name = f"{stream.type} stream {stream.index}"
        codec = stream.codec_context.name if stream.codec_context else None
        if codec is None or stream.type not in ("audio", "subtitle"):
            self.notes.append(f"{name} cannot be kept")
            return None
        try:
            if _holds(self._output.format.name, stream):
                return Copied(stream, self._output, window)
            if stream.type == "audio":
                self.notes.append(f"{name} ({codec}) is converted to {sound}")
                return ConvertedSound(cast(AudioStream, stream), self._output, sound, window)
            if codec in TEXT_CODECS and hasattr(self._output, "add_mux_stream"):  # from PyAV 17 on
                self.notes.append(f"{name} ({codec}) is converted to {subtitles}, without its styling")
                return ConvertedText(stream, self._output, subtitles, window)
        except (av.FFmpegError, ValueError) as error:
            self.damage.append(f"{name} ({codec}) could not be kept: {error}")
            return None
        reason = "to convert it takes PyAV 17" if codec in TEXT_CODECS else "the output cannot hold it"
        self.notes.append(f"{name} ({codec}) is left out: {reason}")
        return None

    def write_until(self, seconds: Fraction | None) -> None:
        """Write what belongs before that time of the output; None: all that is left."""
        while self._tracks:
            packet = self._waiting.popleft() if self._waiting else next(self._packets, None)
            if packet is None:
                if seconds is None:
                    for index in list(self._tracks):
                        self._mux(index, self._tracks[index].finish())
                    self._tracks.clear()
                return
            if seconds is not None and _time(packet) - self._origin_seconds > seconds:
                self._waiting.appendleft(packet)
                return
            if packet.stream.index in self._tracks:
                self._mux(packet.stream.index, self._tracks[packet.stream.index].convert(packet))

    def _mux(self, index: int, packets: Iterator["Packet[Any]"]) -> None:
        try:
            for packet in packets:
                self._output.mux(packet)
        except (av.InvalidDataError, av.ArgumentError, ValueError) as error:
            # about this stream; errors of the disk are OSErrors without being one of these, and end the run
            del self._tracks[index]
            self.damage.append(f"stream {index} of {self._path} is kept only in part: {getattr(error, 'strerror', error)}")

    def _read(self) -> Iterator["Packet[Any]"]:
        streams = [stream for stream in self._input.streams if stream.type in ("audio", "subtitle")]
        failures = 0
        while streams and failures < READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._input.demux(streams):
                    if packet.size:
                        failures = 0
                        yield packet
                return
            except av.FFmpegError as error:
                if not failures:
                    self.damage.append(f"the sound of {self._path} could not be read throughout: {error.strerror}")
                failures += 1

    def close(self) -> None:
        self._input.close()


def _time(packet: "Packet[Any]") -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if ticks is None else ticks * packet.time_base
