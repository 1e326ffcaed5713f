"""Audio and subtitle tracks of the input, written to the output: copied where it can hold them, else converted."""

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
from livestyle.sinks.video.audio import ConvertedAudioTrack
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.copied import CopiedAacTrack, CopiedTrack
from livestyle.sinks.video.metadata import Attachments, copy_metadata, copy_tags, is_chapter_track
from livestyle.sinks.video.subtitles import TEXT_CODECS, ConvertedSubtitleTrack
from livestyle.sinks.video.time_range import TimeRange
from livestyle.timeline import Timeline, seek_before

FIRST_PACKET_SECONDS = 1
"""Audio that begins later than this is not written to fragments."""

MAX_ERRORS_IN_A_ROW = 100
"""After this many consecutive read errors, the rest of the tracks is given up."""

PREROLL_SECONDS = 1
"""Decoding starts this long before the first wanted sample, for decoders that depend on earlier packets."""


class Track(Protocol):
    """Copies or converts the packets of one stream of the input.

    Implemented by CopiedTrack, CopiedAacTrack, ConvertedAudioTrack and ConvertedSubtitleTrack.
    """

    stream: Stream
    """The stream of the output that the packets are written to."""

    def convert(self, packet: "Packet[Any]") -> Iterator["Packet[Any]"]:
        """The packets to mux for a packet of the input, in the output's time.

        Raises ValueError, OverflowError or FFmpegError if this packet cannot be converted; later ones may be.
        """

    def finish(self) -> Iterator["Packet[Any]"]:
        """The packets that are still buffered."""


def _holds(format_name: str, stream: Stream) -> bool:
    """Whether a container can hold the stream as it is. Writes a header to find out: FFmpeg lists codecs that it cannot write."""
    try:
        # MP4 checks its streams when it writes the index, so have it written at once. For AC-3 that fails, though AC-3 can be
        # written: its index needs the first packet.
        options = {} if stream.codec_context.name in ("ac3", "eac3") else {"movflags": "empty_moov"}
        with av.open(io.BytesIO(), "w", format=format_name, container_options=options) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True


class Tracks:
    """Everything in a file except its video: audio, subtitles, tags, chapters, covers and attached files.

    Construct it after the video stream was added to the output, before the header is written.

    time_range: the part that is kept.
    late: include audio that begins after the first second, subtitles, covers and attached files. FFmpeg delays the header of a
        fragmented MP4 for them.

    Raises InputError if the file cannot be opened.
    """

    def __init__(
        self, path: Path, output: OutputContainer, container: Container, time_range: TimeRange, *, late: bool = True
    ) -> None:
        self.notes: list[str] = []
        """Informational; no data was lost."""
        self.damage: list[str] = []
        """Parts of the tracks that were lost."""
        self._path = path
        self._output = output
        self._container = container
        self._time_range = time_range
        self._input = open_media(path)
        self._read_ahead: deque[Packet[Any]] = deque()
        self._tracks: dict[int, Track] = {}  # by the index of the input's stream
        self._lost_packets: Counter[int] = Counter()
        self._errors: dict[int, str] = {}
        try:
            wanted = {stream.index for stream in self._input.streams if stream.type in ("audio", "subtitle")}
            self._packets = self._read(self._input, wanted)
            if wanted:
                seek_before(self._input, time_range.origin_seconds)
            included = wanted if late else self._early_audio()
            for stream in self._input.streams:
                self._add(stream, wanted, included)
            if len(self._tracks) > 1 and not hasattr(Stream, "disposition"):
                self.notes.append("which track is the default one, or a forced one, is not kept: that requires PyAV 14.1")
            self.notes += copy_metadata(path, self._input, output, container, time_range)
            self._attachments = Attachments(path, output, container) if late else None
            self.notes += self._attachments.notes if self._attachments is not None else []
        except BaseException:
            self._input.close()
            raise

    def _add(self, stream: Stream, wanted: set[int], included: set[int]) -> None:
        if stream.index in included:
            track = self._track(stream)
            if track is not None:
                self.notes += copy_tags(stream, track.stream, self._container)
                self._tracks[stream.index] = track
        elif stream.index not in wanted and stream.type not in ("video", "attachment") and not is_chapter_track(stream):
            self.notes.append(f"{_name(stream)} cannot be kept")

    def _early_audio(self) -> set[int]:
        """Indices of the audio streams that have a packet in the first second."""
        audio = {stream.index for stream in self._input.streams.audio}
        found: set[int] = set()
        while not found >= audio:
            packet = next(self._packets, None)
            if packet is None:
                break
            self._read_ahead.append(packet)
            seconds = _time(packet) - self._time_range.origin_seconds
            if seconds > FIRST_PACKET_SECONDS:
                break
            if seconds >= 0 and packet.stream.index in audio:
                found.add(packet.stream.index)
        return found

    def _track(self, stream: Stream) -> Track | None:
        name, codec = _name(stream), _codec(stream)
        subtitle_codec = self._container.subtitle_codec
        try:
            if stream.type == "audio":
                return self._audio_track(cast(AudioStream, stream))
            if codec and _holds(self._container.format, stream):
                return CopiedTrack(stream, self._output, self._time_range)
            if codec in TEXT_CODECS and hasattr(self._output, "add_mux_stream"):  # from PyAV 17 on
                self.notes.append(f"{name} is converted to {subtitle_codec}, without its styling")
                return ConvertedSubtitleTrack(stream, self._output, subtitle_codec, self._time_range)
        except (av.FFmpegError, ValueError) as error:
            self.damage.append(f"{name} could not be kept: {error}")
            return None
        reason = "converting it requires PyAV 17" if codec in TEXT_CODECS else "the output cannot hold it"
        self.notes.append(f"{name} is left out: {reason}")
        return None

    def _audio_track(self, stream: AudioStream) -> Track | None:
        name, codec, container = _name(stream), _codec(stream), self._container
        if not codec:
            self.damage.append(f"{name} is left out: this build of FFmpeg cannot decode it")
            return None
        playable = container.playable_audio is None or codec.startswith(container.playable_audio)
        holds = _holds(container.format, stream)
        first, undecodable = self._first_audio_frame(stream.index)
        if first is None and undecodable:
            what = "copied as it is" if playable and holds else "left out"
            self.damage.append(f"{name} is {what}: nothing of it could be decoded")
        if playable and holds and codec == "aac":
            return CopiedAacTrack(stream, self._output, self._time_range, self.notes)
        if playable and holds:
            return CopiedTrack(stream, self._output, self._time_range)
        if first is None:
            if not undecodable:
                self.notes.append(f"{name} is left out: it holds nothing in this part")
            return None
        before = first.layout
        track = ConvertedAudioTrack(stream, self._output, container.audio_encoder, self._time_range, first)
        mixed = f", mixed from {before.name} to {track.layout}" if before.nb_channels != track.channels else ""
        reason = f", as few players play {codec} in {container.format.upper()}" if holds else ""
        self.notes.append(f"{name} is converted to {container.audio_encoder}{mixed}{reason}")
        return track

    def _first_audio_frame(self, index: int) -> tuple[AudioFrame | None, int]:
        """The first frame of a stream that can be decoded, and how many packets before it could not be."""
        undecodable = 0
        with open_media(self._path) as media:
            seek_before(media, self._time_range.origin_seconds)
            decoder = cast(AudioStream, media.streams[index]).codec_context
            for packet in chain(self._read(media, {index}), (None,)):  # None flushes the decoder
                if packet is not None and _time(packet) < self._time_range.origin_seconds - PREROLL_SECONDS:
                    continue
                try:
                    frames = decoder.decode(packet)
                except av.FFmpegError:
                    undecodable += 1
                    continue
                for frame in frames:
                    if frame.pts is None or frame.time_base is None or frame.pts * frame.time_base in self._time_range:
                        return frame, undecodable
        return None, undecodable

    def write_until(self, seconds: Fraction | None) -> None:
        """Mux all packets up to that time of the output; None: all that are left.

        Raises OSError if the disk fails. Packets that cannot be written are counted, and reported in `damage` at the end.
        """
        self._output.start_encoding()  # the header sets the time bases of the output's streams
        if self._attachments is not None:
            self._attachments.write()
        while self._tracks:
            packet = self._read_ahead.popleft() if self._read_ahead else next(self._packets, None)
            if packet is None:
                if seconds is None:
                    for index in list(self._tracks):
                        self._mux(index, self._tracks[index].finish())
                    self._tracks.clear()
                    self._report_lost_packets()
                return
            if seconds is not None and _time(packet) - self._time_range.origin_seconds > seconds:
                self._read_ahead.appendleft(packet)
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
                if isinstance(error, OSError):  # of the disk, not of this packet
                    raise
                self._lost_packets[index] += 1
                self._errors[index] = getattr(error, "strerror", None) or str(error)

    def _read(self, source: InputContainer, wanted: set[int]) -> Iterator["Packet[Any]"]:
        """Yield the packets of the streams with the indices in `wanted`, on the same timeline as the source's frames."""
        timeline = Timeline(source.format.name)
        # where seeking does not work, the file is read from its beginning: do not queue what is before the range
        begin = self._time_range.origin_seconds - FIRST_PACKET_SECONDS
        errors = 0
        while wanted and errors < MAX_ERRORS_IN_A_ROW:
            try:
                for packet in timeline.demux(source):
                    errors = 0
                    skipped = begin > 0 and packet.stream.type == "audio" and _time(packet) < begin
                    if packet.size and packet.stream.index in wanted and not skipped:
                        yield packet
                return
            except av.FFmpegError as error:
                if not errors and source is self._input:
                    self.damage.append(f"the sound of {self._path} could not be read throughout: {error.strerror}")
                errors += 1

    def _report_lost_packets(self) -> None:
        for index, count in self._lost_packets.items():
            name, error = _name(self._input.streams[index]), self._errors[index]
            self.damage.append(f"{count} packet{'s' * (count > 1)} of {name} could not be kept: {error}")

    def close(self) -> None:
        """Close the input file. Closing it twice is allowed."""
        self._input.close()


def _time(packet: "Packet[Any]") -> Fraction:
    """The packet's decoding time in seconds; without one, its presentation time; without either, 0."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    return Fraction(0) if ticks is None else ticks * packet.time_base


def _codec(stream: Stream) -> str:
    """FFmpeg's name of the codec, or of its decoder in PyAV versions without the former; empty if there is no decoder."""
    if not stream.codec_context:
        return ""
    return str(getattr(stream.codec_context.codec, "canonical_name", stream.codec_context.name))


def _name(stream: Stream) -> str:
    """Name of a stream in messages: its type, index and codec."""
    return f"{stream.type} stream {stream.index} ({_codec(stream) or stream.metadata.get('handler_name', 'unknown')[:40]})"
