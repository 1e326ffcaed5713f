"""Tags, chapters, covers and attached files of the input, copied to the output."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.media import ATTACHED_PICTURE, is_cover, open_media, video_streams
from livestyle.sinks.video.containers import Container
from livestyle.sinks.video.time_range import TimeRange

TAGS_OF_THE_INPUT = (
    "major_brand", "minor_version", "compatible_brands", "encoder", "encoding_tool", "software", "duration", "handler_name",
    "vendor_id", "rotate", "timecode", "number_of_frames", "number_of_bytes", "bps",
)  # fmt: skip
"""Tags that describe how the input was made. In the output they would be wrong."""

QUICKTIME_PREFIX = "com.apple.quicktime."
QUICKTIME_NAMES = {"location.iso6709": "location", "creationdate": "date"}
"""QuickTime's names of tags that FFmpeg names otherwise."""

MICROSECONDS = Fraction(1_000_000)

LATEST_CHAPTER_SECONDS = Fraction(1_000_000_000)
"""Chapter times are clamped to this: in 64-bit nanoseconds larger ones overflow, and FFmpeg refuses the header."""

CHAPTERS_OF_MATROSKA = b"\x10\x43\xa7\x70"
"""EBML identifier of Matroska's element Chapters."""

COVER_TYPES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
"""FFmpeg's name of the codec -> file extension, media type."""

MOV_LANGUAGES = {
    "fre": "fra", "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "fas": "per", "sqi": "alb",
    "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm", "kat": "geo",
}  # fmt: skip
"""ISO 639-2 has two codes for some languages, and FFmpeg writes only one of them to MOV: code -> that one."""

TRACK_FLAGS = {
    0x1: "default",
    0x2: "dubbed",
    0x4: "original",
    0x8: "comment",
    0x40: "forced",
    0x80: "hearing impaired",
    0x100: "visual impaired",
    0x10000: "captions",
    0x20000: "descriptions",
}
"""FFmpeg's disposition flags of a track (AV_DISPOSITION_*), and their names in messages."""

HEARING_IMPAIRED, CAPTIONS = 0x80, 0x10000


def copy_metadata(
    path: Path, source: InputContainer, output: OutputContainer, container: Container, time_range: TimeRange
) -> list[str]:
    """Copy the tags of the file and of its video stream, and the chapters. Return notes on what cannot be kept.

    Call it after the video stream was added to the output, before the header is written.
    """
    notes = []
    tags = _tags(source)
    lost = [] if container.tags is None else sorted(name for name in tags if name.lower() not in container.tags)
    output.metadata.update({name: value for name, value in tags.items() if name not in lost})
    if lost:
        shown = ", ".join(name[:40] for name in lost[:5] if name.isprintable())
        notes.append(f"the output cannot hold {len(lost)} tag{'s' * (len(lost) > 1)} of the input: {shown}")
    painted = next(iter(video_streams(source)), None)
    if painted is not None and output.streams.video:
        notes += copy_tags(painted, output.streams.video[0], container)
    if hasattr(source, "chapters"):
        end = time_range.end_seconds
        if end is None and time_range.duration_seconds is not None:  # Matroska's header is written before the first frame
            start = time_range.origin_seconds
            if painted is not None and painted.start_time is not None and painted.time_base is not None:
                start = max(start, painted.start_time * painted.time_base)
            end = start + time_range.duration_seconds
        output.set_chapters(_chapters(source, time_range.origin_seconds, end))
    elif "matroska" in source.format.name and _begins_with_chapters(path):
        notes.append("chapters are not kept: that requires PyAV 16")
    return notes


def copy_tags(source: Stream, target: Stream, container: Container) -> list[str]:
    """Copy a track's language, title and flags (default, forced, hearing impaired ...). Return notes on what is not kept."""
    tags = {name.lower(): value for name, value in source.metadata.items()}
    language, title = tags.get("language"), tags.get("title") or tags.get("name")  # "name" in MP4
    if language:
        target.metadata["language"] = MOV_LANGUAGES.get(language, language) if container.format == "mov" else language
    if title:
        target.metadata["title"] = title
    if not hasattr(source, "disposition"):  # PyAV 14.0
        return []
    flags = source.disposition.value & sum(TRACK_FLAGS)
    target.disposition = cast(Any, flags)  # a plain int: PyAV 17 and older accept nothing else
    if flags & HEARING_IMPAIRED:  # MP4 marks such tracks as captions too
        flags &= ~CAPTIONS
    lost = [name for flag, name in TRACK_FLAGS.items() if flag & flags & ~container.track_flags]
    return [f"flags of {source.type} stream {source.index} are not kept: {', '.join(lost)}"] if lost else []


def is_chapter_track(stream: Stream) -> bool:
    """Whether a data stream only repeats the chapters, as MP4 stores them."""
    source = cast(InputContainer, stream.container)
    named = getattr(stream, "name", None) == "bin_data" or stream.metadata.get("handler_name") == "SubtitleHandler"
    return stream.type == "data" and named and hasattr(source, "chapters") and bool(source.chapters())


def _begins_with_chapters(path: Path) -> bool:
    with path.open("rb") as file:
        return CHAPTERS_OF_MATROSKA in file.read(1 << 20)


def _tags(source: InputContainer) -> dict[str, str]:
    """The tags of the file that are also true for the output, under FFmpeg's names."""
    tags: dict[str, str] = {}
    for name, value in source.metadata.items():
        plain = name.lower().removeprefix(QUICKTIME_PREFIX)
        if not plain or plain in TAGS_OF_THE_INPUT or plain.startswith("_statistics"):
            continue
        base, _, language = plain.rpartition("-")
        if len(language) == 3 and any(base == other.lower() for other in source.metadata):
            continue  # a translation of another tag
        if name.lower().startswith(QUICKTIME_PREFIX):
            name = QUICKTIME_NAMES.get(plain, plain)
        tags.setdefault(name, value)
    return tags


def _chapters(source: InputContainer, origin: Fraction, limit: Fraction | None) -> list[Any]:
    """The chapters between `origin` and `limit`, in seconds, cut to that range and with times counted from `origin`."""
    chapters: list[Any] = []
    for chapter in source.chapters():
        time_base = chapter["time_base"] or Fraction(1)
        start, end = (chapter[edge] * time_base for edge in ("start", "end"))
        if limit is not None:
            end = min(end, limit)
        ticks = [round(min(max(time - origin, Fraction(0)), LATEST_CHAPTER_SECONDS) * MICROSECONDS) for time in (start, end)]
        if ticks[0] < ticks[1]:
            number = len(chapters) + 1
            place = {"id": number, "start": ticks[0], "end": ticks[1], "time_base": 1 / MICROSECONDS}
            chapters.append(place | {"metadata": chapter["metadata"]})
    return chapters


class Attachments:
    """Covers and attached files, such as the fonts of subtitles.

    Construct it before the output's header is written, and call write() after that.
    """

    def __init__(self, path: Path, output: OutputContainer, container: Container) -> None:
        self.notes: list[str] = []
        self._covers: list[Packet[Any]] = []  # to be muxed
        self._output = output
        self._container = container
        with open_media(path) as source:
            for stream in source.streams:
                if stream.type == "attachment":
                    self._attach(stream)
            covers = [stream for stream in source.streams.video if is_cover(stream)]
            if covers:
                self._add_covers(source, covers)

    def _add_covers(self, source: InputContainer, covers: list[Any]) -> None:
        missing = {stream.index for stream in covers}
        with suppress(av.FFmpegError):
            for packet in source.demux():  # covers come before all other packets
                if packet.stream.index not in missing:
                    break
                missing.remove(packet.stream.index)
                self._add_cover(packet)
        self.notes += [f"the cover in stream {index} could not be read" for index in sorted(missing)]

    def _add_cover(self, packet: "Packet[Any]") -> None:
        stream = packet.stream
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if name in COVER_TYPES and self._container.cover == "attachment" and hasattr(self._output, "add_attachment"):
            suffix, kind = COVER_TYPES[name]
            self._output.add_attachment(stream.metadata.get("filename") or f"cover.{suffix}", kind, bytes(packet))
        elif name in COVER_TYPES and self._container.cover == "video stream" and hasattr(self._output, "add_mux_stream"):
            target = self._output.add_mux_stream(name, width=stream.width, height=stream.height)
            target.disposition = cast(Any, ATTACHED_PICTURE)
            cover: Packet[Any] = Packet(packet.size)
            cover.update(bytes(packet))
            cover.pts = cover.dts = 0
            cover.is_keyframe = True
            cover.stream = target
            self._covers.append(cover)
        else:
            reason = _reason(self._container.cover is not None, 17)
            self.notes.append(f"the cover in stream {stream.index} ({name}) is left out: {reason}")

    def _attach(self, stream: Any) -> None:
        name = stream.metadata.get("filename") or f"attachment {stream.index}"
        if self._container.holds_attachments and hasattr(self._output, "add_attachment"):
            self._output.add_attachment(name, stream.metadata.get("mimetype") or "application/octet-stream", stream.data)
        else:
            reason = _reason(self._container.holds_attachments, 16)
            self.notes.append(f"the attached file {name[:60]} is left out: {reason}")

    def write(self) -> None:
        """Mux the covers that are not part of the header."""
        for cover in self._covers:
            self._output.mux(cover)
        self._covers.clear()


def _reason(possible: bool, version: int) -> str:
    """Text for a note that something is not kept, which gives the reason: PyAV is too old, or the container cannot hold it.

    possible: whether the container can hold it. version: the first major version of PyAV that can write it.
    """
    if possible and int(av.__version__.partition(".")[0]) < version:
        return f"that requires PyAV {version}"
    return "the output cannot hold it"
