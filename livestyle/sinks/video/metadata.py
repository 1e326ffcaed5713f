"""What a file says about itself, taken to another: tags, chapters, covers, attached files."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from livestyle.media import ATTACHED_PICTURE, is_cover, open_media, videos
from livestyle.sinks.video.time_range import TimeRange

OF_THE_INPUT = (
    "major_brand,minor_version,compatible_brands,encoder,encoding_tool,software,duration,handler_name,vendor_id,rotate,timecode,"
    "number_of_frames,number_of_bytes,bps"
)
"""Tags that tell how the input was made, which would be wrong in the output."""

QUICKTIME = "com.apple.quicktime."
QUICKTIME_NAMES = {"location.iso6709": "location", "creationdate": "date"}

HELD_BY_MP4 = (
    "title,artist,album_artist,composer,album,date,comment,genre,copyright,grouping,lyrics,description,synopsis,show,episode_id,"
    "network,keywords,season_number,episode_sort,media_type,hd_video,gapless_playback,compilation,track,disc,creation_time,location"
)
HELD_BY_MOV = "title,artist,album,date,comment,genre,copyright,make,model,creation_time,location"
HELD = {"mp4": HELD_BY_MP4, "mov": HELD_BY_MOV}
"""The tags of a whole file that FFmpeg writes; to Matroska and WebM it writes all."""

MICROSECONDS = Fraction(1_000_000)

LATEST_SECONDS = Fraction(1_000_000_000)
"""Containers count in nanoseconds at most, in 64 bits: a header with later chapters would be refused."""

CHAPTERS_OF_MATROSKA = b"\x10\x43\xa7\x70"
"""The identifier of that part of the file."""

COVER_TYPES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}

MOV_LANGUAGES = {
    "fre": "fra", "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "fas": "per", "sqi": "alb",
    "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm", "kat": "geo",
}  # fmt: skip
"""The codes by which FFmpeg writes a language to MOV, where only one of the two of ISO 639-2 is known to it."""

FLAGS = {
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
"""FFmpeg's dispositions of a track."""

HEARING_IMPAIRED, CAPTIONS = 0x80, 0x10000

HELD_FLAGS = {"mp4": 0x301CB, "mov": 0x1, "matroska": 0x201CF, "webm": 0x41}


def copy_metadata(path: Path, source: InputContainer, output: OutputContainer, window: TimeRange) -> list[str]:
    """Tags of the file and of its painted video, and chapters; notes on what cannot be kept.

    Call it before the output's header is written, when the output has its video stream.
    """
    notes = []
    tags = _tags(source)
    held = HELD.get(output.format.name)
    lost = [] if held is None else sorted(name for name in tags if name.lower() not in held.split(","))
    output.metadata.update({name: value for name, value in tags.items() if name not in lost})
    if lost:
        shown = ", ".join(name[:40] for name in lost[:5] if name.isprintable())
        notes.append(f"the output cannot hold {len(lost)} tag{'s' * (len(lost) > 1)} of the input: {shown}")
    painted = next(iter(videos(source)), None)
    if painted is not None and output.streams.video:
        notes += copy_tags(painted, output.streams.video[0])
    if hasattr(source, "chapters"):
        end = window.end_seconds
        if end is None and window.duration_seconds is not None:  # a header of Matroska is written before the first picture
            start = window.origin_seconds
            if painted is not None and painted.start_time is not None and painted.time_base is not None:
                start = max(start, painted.start_time * painted.time_base)
            end = start + window.duration_seconds
        output.set_chapters(_chapters(source, window.origin_seconds, end))
    elif "matroska" in source.format.name and _begins_with_chapters(path):
        notes.append("chapters are not kept: that takes PyAV 16")
    return notes


def copy_tags(source: Stream, target: Stream) -> list[str]:
    """Language, title and flags (default, forced, for the hard of hearing ...) of a track; notes on what cannot be kept."""
    container = target.container.format.name
    tags = {name.lower(): value for name, value in source.metadata.items()}
    language, title = tags.get("language"), tags.get("title") or tags.get("name")  # MP4 calls it a name
    if language:
        target.metadata["language"] = MOV_LANGUAGES.get(language, language) if container == "mov" else language
    if title:
        target.metadata["title"] = title
    if not hasattr(source, "disposition"):  # PyAV 14.0
        return []
    flags = source.disposition.value & sum(FLAGS)
    target.disposition = cast(Any, flags)  # the number: PyAV 17 and older take nothing else
    if flags & HEARING_IMPAIRED:  # MP4 writes them as captions too
        flags &= ~CAPTIONS
    lost = [name for flag, name in FLAGS.items() if flag & flags & ~HELD_FLAGS[container]]
    return [f"flags of {source.type} stream {source.index} are not kept: {', '.join(lost)}"] if lost else []


def is_chapter_track(stream: Stream) -> bool:
    """Whether a stream of type "data" is MP4's way to write the chapters."""
    source = cast(InputContainer, stream.container)
    named = getattr(stream, "name", None) == "bin_data" or stream.metadata.get("handler_name") == "SubtitleHandler"
    return stream.type == "data" and named and hasattr(source, "chapters") and bool(source.chapters())


def _begins_with_chapters(path: Path) -> bool:
    with path.open("rb") as file:
        return CHAPTERS_OF_MATROSKA in file.read(1 << 20)


def _tags(source: InputContainer) -> dict[str, str]:
    tags: dict[str, str] = {}
    for name, value in source.metadata.items():
        plain = name.lower().removeprefix(QUICKTIME)
        if not plain or plain in OF_THE_INPUT.split(",") or plain.startswith("_statistics"):
            continue
        base, _, language = plain.rpartition("-")
        if len(language) == 3 and any(base == other.lower() for other in source.metadata):
            continue  # the same in one of its languages
        if name.lower().startswith(QUICKTIME):
            name = QUICKTIME_NAMES.get(plain, plain)
        tags.setdefault(name, value)
    return tags


def _chapters(source: InputContainer, origin: Fraction, last: Fraction | None) -> list[Any]:
    """Those that are in part between these two times, counted from the first one."""
    chapters: list[Any] = []
    for chapter in source.chapters():
        time_base = chapter["time_base"] or Fraction(1)
        start, end = (chapter[edge] * time_base for edge in ("start", "end"))
        if last is not None:
            end = min(end, last)
        ticks = [round(min(max(time - origin, Fraction(0)), LATEST_SECONDS) * MICROSECONDS) for time in (start, end)]
        if ticks[0] < ticks[1]:
            number = len(chapters) + 1
            place = {"id": number, "start": ticks[0], "end": ticks[1], "time_base": 1 / MICROSECONDS}
            chapters.append(place | {"metadata": chapter["metadata"]})
    return chapters


class Extras:
    """Covers and attached files (the fonts of subtitles).

    Construct it before the output's header is written, and call write() after that.
    """

    def __init__(self, path: Path, output: OutputContainer) -> None:
        self.notes: list[str] = []
        self._covers: list[Packet[Any]] = []
        self._output = output
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
            for packet in source.demux():  # a cover comes before all else
                if packet.stream.index not in missing:
                    break
                missing.remove(packet.stream.index)
                self._add_cover(packet)
        self.notes += [f"the cover in stream {index} could not be read" for index in sorted(missing)]

    def _add_cover(self, packet: "Packet[Any]") -> None:
        stream = packet.stream
        name = stream.codec_context.name if stream.codec_context else "unknown"
        if name in COVER_TYPES and self._output.format.name == "matroska" and hasattr(self._output, "add_attachment"):
            suffix, kind = COVER_TYPES[name]
            self._output.add_attachment(stream.metadata.get("filename") or f"cover.{suffix}", kind, bytes(packet))
        elif name in COVER_TYPES and self._output.format.name == "mp4" and hasattr(self._output, "add_mux_stream"):
            target = self._output.add_mux_stream(name, width=stream.width, height=stream.height)
            target.disposition = cast(Any, ATTACHED_PICTURE)
            cover: Packet[Any] = Packet(packet.size)
            cover.update(bytes(packet))
            cover.pts = cover.dts = 0
            cover.is_keyframe = True
            cover.stream = target
            self._covers.append(cover)
        else:
            self.notes.append(f"the cover in stream {stream.index} ({name}) is left out: {self._reason(17)}")

    def _attach(self, stream: Any) -> None:
        name = stream.metadata.get("filename") or f"attachment {stream.index}"
        if self._output.format.name == "matroska" and hasattr(self._output, "add_attachment"):
            self._output.add_attachment(name, stream.metadata.get("mimetype") or "application/octet-stream", stream.data)
        else:
            self.notes.append(f"the attached file {name[:60]} is left out: {self._reason(16)}")

    def _reason(self, version: int) -> str:
        if self._output.format.name in ("matroska", "mp4") and int(av.__version__.partition(".")[0]) < version:
            return f"that takes PyAV {version}"
        return "the output cannot hold it"

    def write(self) -> None:
        """The covers that are no part of the header."""
        for cover in self._covers:
            self._output.mux(cover)
        self._covers.clear()
