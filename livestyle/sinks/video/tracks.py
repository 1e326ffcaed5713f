"""Sound and subtitles, taken from one file to another: packet for packet where it can hold them, else converted."""

import io
from collections import Counter, deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.media import open_media
from livestyle.sinks.video.audio import ConvertedSound
from livestyle.sinks.video.copied import Copied, CopiedAac
from livestyle.sinks.video.metadata import Extras, copy_metadata, copy_tags, is_chapter_track
from livestyle.sinks.video.subtitles import TEXT_CODECS, ConvertedText
from livestyle.sinks.video.time_range import TimeRange
from livestyle.timeline import Timeline, skip_to

FIRST_PACKET_SECONDS = 1
READ_ERRORS_IN_A_ROW = 100

DECODED_BEFORE_SECONDS = 1
"""So much before the wanted sound is decoded, for decoders that need what came before."""

PLAYED_IN_MP4 = ("aac", "ac3", "alac", "eac3", "flac", "mp3", "opus")
PLAYED = {"mp4": PLAYED_IN_MP4, "mov": (*PLAYED_IN_MP4, "pcm_")}
"""What the names of codecs begin with that common players play in a container. MOV is also for editing, where PCM is usual."""


class Track(Protocol):
    """One stream on its way to the output."""

    stream: Stream
    """The output's."""

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        """What to write for it, in the output's time. An error is about this packet alone."""

    def finish(self) -> Iterator["Packet[Any]"]:
        """What is still inside."""


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


class Tracks:
    """All of a file but its pictures, written to an output as time goes on.

    Construct it when the output has its video stream, before its header is written. late: also streams that begin after the
    first second, subtitles and covers; without them a fragmented MP4 gets its header at once.
    """

    def __init__(
        self, path: Path, output: OutputContainer, *, sound: str, subtitles: str, window: TimeRange, late: bool = True
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._path = path
        self._output = output
        self._input = open_media(path)
        self._origin_seconds = window.origin_seconds
        self._waiting: deque[Packet[Any]] = deque()
        self._tracks: dict[int, Track] = {}
        self._lost: Counter[int] = Counter()
        self._reasons: dict[int, str] = {}
        try:
            wanted = {stream.index for stream in self._input.streams if stream.type in ("audio", "subtitle")}
            self._packets = self._read(self._input, wanted)
            streams = [stream for stream in self._input.streams if stream.type != "video"]
            if wanted:
                skip_to(self._input, window.origin_seconds)
            prompt = None if late else self._prompt_streams()
            for stream in streams:
                if stream.type not in ("audio", "subtitle"):
                    if stream.type != "attachment" and not is_chapter_track(stream):
                        self.notes.append(f"{_name(stream)} cannot be kept")
                elif prompt is None or stream.index in prompt:
                    track = self._track(stream, sound, subtitles, window)
                    if track is not None:
                        self.notes += copy_tags(stream, track.stream)
                        self._tracks[stream.index] = track
            if len(self._tracks) > 1 and not hasattr(Stream, "disposition"):
                self.notes.append("which track is the default one, or a forced one, is not kept: that takes PyAV 14.1")
            self.notes += copy_metadata(path, self._input, output, window)
            self._extras = Extras(path, output) if late else None
            self.notes += self._extras.notes if self._extras is not None else []
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

    def _track(self, stream: Stream, sound: str, subtitles: str, window: TimeRange) -> Track | None:
        name, codec = _name(stream), _codec(stream)
        try:
            if stream.type == "audio":
                return self._sound(cast(AudioStream, stream), sound, window)
            if codec and _holds(self._output.format.name, stream):
                return Copied(stream, self._output, window)
            if codec in TEXT_CODECS and hasattr(self._output, "add_mux_stream"):  # from PyAV 17 on
                self.notes.append(f"{name} is converted to {subtitles}, without its styling")
                return ConvertedText(stream, self._output, subtitles, window)
        except (av.FFmpegError, ValueError) as error:
            self.damage.append(f"{name} could not be kept: {error}")
            return None
        reason = "to convert it takes PyAV 17" if codec in TEXT_CODECS else "the output cannot hold it"
        self.notes.append(f"{name} is left out: {reason}")
        return None

    def _sound(self, stream: AudioStream, encoder: str, window: TimeRange) -> Track | None:
        name, codec, container = _name(stream), _codec(stream), self._output.format.name
        if not codec:
            self.damage.append(f"{name} is left out: this build of FFmpeg cannot decode it")
            return None
        played = container not in PLAYED or codec.startswith(PLAYED[container])
        holds = _holds(container, stream)
        first, undecodable = self._first_sound(stream.index, window)
        if first is None and undecodable:
            what = "copied as it is" if played and holds else "left out"
            self.damage.append(f"{name} is {what}: nothing of it could be decoded")
        if played and holds and codec == "aac":
            return CopiedAac(stream, self._output, window, self.notes)
        if played and holds:
            return Copied(stream, self._output, window)
        if first is None:
            if not undecodable:
                self.notes.append(f"{name} is left out: it holds nothing in this part")
            return None
        before = first.layout
        track = ConvertedSound(stream, self._output, encoder, window, first)
        mixed = f", mixed from {before.name} to {track.layout}" if before.nb_channels != track.channels else ""
        reason = f", as few players play {codec} in {container.upper()}" if holds else ""
        self.notes.append(f"{name} is converted to {encoder}{mixed}{reason}")
        return track

    def _first_sound(self, index: int, window: TimeRange) -> tuple[AudioFrame | None, int]:
        """The first frame of a stream that can be decoded, and how many packets before it cannot."""
        undecodable = 0
        with open_media(self._path) as media:
            skip_to(media, window.origin_seconds)
            decoder = cast(AudioStream, media.streams[index]).codec_context
            for packet in chain(self._read(media, {index}), (None,)):  # None: what is still in the decoder
                if packet is not None and _time(packet) < window.origin_seconds - DECODED_BEFORE_SECONDS:
                    continue
                try:
                    frames = decoder.decode(packet)
                except av.FFmpegError:
                    undecodable += 1
                    continue
                for frame in frames:
                    if frame.pts is None or frame.time_base is None or window.holds(frame.pts * frame.time_base):
                        return frame, undecodable
        return None, undecodable

    def write_until(self, seconds: Fraction | None) -> None:
        """Write what belongs before that time of the output; None: all that is left."""
        self._output.start_encoding()  # with the header streams get the ticks that they count in
        if self._extras is not None:
            self._extras.write()
        while self._tracks:
            packet = self._waiting.popleft() if self._waiting else next(self._packets, None)
            if packet is None:
                if seconds is None:
                    for index in list(self._tracks):
                        self._mux(index, self._tracks[index].finish())
                    self._tracks.clear()
                    self._report()
                return
            if seconds is not None and _time(packet) - self._origin_seconds > seconds:
                self._waiting.appendleft(packet)
                return
            if packet.stream.index in self._tracks:
                self._mux(packet.stream.index, self._tracks[packet.stream.index].convert(packet))

    def _mux(self, index: int, packets: Iterator["Packet[Any]"]) -> None:
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    return
                self._output.mux(packet)
            except (av.FFmpegError, ValueError, OverflowError) as error:
                if isinstance(error, OSError):  # of the disk, not about this packet
                    raise
                self._lost[index] += 1
                self._reasons[index] = getattr(error, "strerror", None) or str(error)

    def _read(self, source: InputContainer, wanted: set[int]) -> Iterator["Packet[Any]"]:
        """Packets of these streams, at the times at which the source's pictures are."""
        timeline = Timeline(source.format.name)
        # where it is no use to seek, all is read from the beginning: what is left out must not wait in memory
        begin = self._origin_seconds - FIRST_PACKET_SECONDS
        failures = 0
        while wanted and failures < READ_ERRORS_IN_A_ROW:
            try:
                for packet in timeline.demux(source):
                    failures = 0
                    left_out = begin > 0 and packet.stream.type == "audio" and _time(packet) < begin
                    if packet.size and packet.stream.index in wanted and not left_out:
                        yield packet
                return
            except av.FFmpegError as error:
                if not failures and source is self._input:
                    self.damage.append(f"the sound of {self._path} could not be read throughout: {error.strerror}")
                failures += 1

    def _report(self) -> None:
        for index, count in self._lost.items():
            name, reason = _name(self._input.streams[index]), self._reasons[index]
            self.damage.append(f"{count} packet{'s' * (count > 1)} of {name} could not be kept: {reason}")

    def close(self) -> None:
        self._input.close()


def _time(packet: "Packet[Any]") -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if ticks is None else ticks * packet.time_base


def _codec(stream: Stream) -> str:
    """FFmpeg's name, where PyAV has it of the codec, not of its decoder; empty where nothing decodes it."""
    if not stream.codec_context:
        return ""
    return str(getattr(stream.codec_context.codec, "canonical_name", stream.codec_context.name))


def _name(stream: Stream) -> str:
    return f"{stream.type} stream {stream.index} ({_codec(stream) or stream.metadata.get('handler_name', 'unknown')[:40]})"
