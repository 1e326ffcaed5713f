"""Decode a video stream: packets to frames with their times. Decoding continues after damage, which is counted."""

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
from av.codec import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestyle.errors import InputError
from livestyle.sources.video.deinterlacing import deinterlaced
from livestyle.sources.video.header import frame_rate
from livestyle.sources.video.losses import Losses
from livestyle.timeline import DISCONTINUOUS_FORMATS, Timeline

DEINTERLACED = "interlaced frames are deinterlaced"

MOST_PACKETS_INSIDE = 256
"""Number of packets whose durations are kept: more than a decoder and a filter can hold back."""

LONGEST_GROUP = 2000
"""Packets that are kept at most while looking for the last keyframe at or before the start."""

READ_ERRORS_IN_A_ROW = 100
"""Reading stops after this many errors of the demuxer without a packet in between."""


@dataclass
class Tally:
    """Counts of one run through the file; packets are those of the video stream."""

    packets: int = 0
    """Packets of frames to show: at or after the start and the first keyframe, and not marked as discarded."""
    seen: int = 0
    """Number of packets of the video stream that were read."""
    discarded: int = 0
    """Packets marked as discarded: they are decoded, but their frames are not shown."""
    hidden: int = 0
    """Discarded packets after the first packet of a frame to show."""
    frames: int = 0
    """Decoded frames that are shown, without those of discarded packets; counted by VideoFile."""
    interlaced: int = 0
    """Interlaced frames among all that were decoded."""
    undecodable: int = 0
    """Number of packets, of frames that would be shown, for which the decoder reported an error."""
    corrupt: int = 0
    """Shown frames that the decoder marked as corrupt; counted by VideoFile."""
    read_errors: int = 0
    """Number of errors that the demuxer reported."""
    first_key: Fraction | None = None
    """Time of the first keyframe, seconds. Frames after it in the file but shown before it need frames that were cut away."""
    end_seconds: Fraction = Fraction(0)
    """The latest end of a packet of any stream, in seconds."""
    video_end_seconds: Fraction = Fraction(0)
    """The latest end of a packet of the video stream, in seconds."""


@dataclass(frozen=True)
class TimedFrame:
    """A decoded frame with its presentation time, in seconds of the file's clock."""

    time: Fraction
    duration: Fraction | None
    """Seconds; None if unknown."""
    frame: VideoFrame


class Decoding:
    """One run through a file's video stream, from the last keyframe at or before a time to the end.

    begin: that time, in seconds of the file's clock; None for the file's beginning. notes: the list of notes of the source, to
    which a note on deinterlacing is added.

    Raises InputError if FFmpeg has no decoder for the stream.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, *, begin: Fraction | None, deinterlace: bool, notes: list[str]
    ) -> None:
        self.container, self.stream, self.begin = container, stream, begin
        self.codec = _open_codec(stream)
        self.pixel_format = ""
        """FFmpeg's name of the latest frame's pixel format, as decoded; empty before the first frame."""
        self.last_time: Fraction | None = None
        """Time of the latest frame; None before the first one."""
        self._deinterlace, self._notes = deinterlace, notes
        self._durations: dict[int, int] = {}
        """Presentation time -> duration of the latest packets, both in ticks. In PyAV 14 frames have no duration."""
        self._start_over(from_the_beginning=True)
        self.frames = self._decode(self._packets()) if begin is None else self._decode_from(begin)
        """Generator of the decoded frames. Their times are those of the packets, corrected by a Timeline."""

    @property
    def is_on_gpu(self) -> bool:
        """Whether the latest frame was decoded on a GPU. A GPU decoder falls back to the CPU for what the GPU cannot decode."""
        return _has_gpu(self.codec) and self.pixel_format in ("nv12", "p010le", "p016le")

    def _start_over(self, from_the_beginning: bool) -> None:
        name, rate = self.container.format.name, frame_rate(self.stream)
        begins_anywhere = not from_the_beginning or name in DISCONTINUOUS_FORMATS
        self._timeline, self.tally = Timeline(name), Tally()
        self.losses = Losses(name, 1 / rate if rate else None, begins_anywhere, self.begin)
        self.last_time = None

    def _decode_from(self, begin: Fraction) -> Generator[TimedFrame]:
        """Yield frames from the last keyframe at or before `begin` on."""
        assert self.stream.time_base is not None
        if self.container.format.name in DISCONTINUOUS_FORMATS:
            yield from self._decode(self._packets_from(begin))
            return
        # without an index, a seek may end between keyframes, or after the keyframe that is needed: then seek further back
        back = Fraction(0)
        while True:
            target = max(begin - back, Fraction(0))
            with suppress(av.FFmpegError):  # not every container can seek; without, everything before is decoded
                self.container.seek(int(target / self.stream.time_base), stream=self.stream)
                self.codec.flush_buffers()
            self._start_over(from_the_beginning=False)
            frames = self._decode(self._packets())
            first = next(frames, None)
            if target == 0 or (first is not None and first.time <= begin):
                break
            frames.close()
            back = back * 2 + 2
        if first is not None:
            yield first
            yield from frames

    def _packets_from(self, begin: Fraction) -> "Iterator[Packet[Any]]":
        """Read from the file's beginning; yield the packets from the last keyframe at or before `begin`."""
        packets = self._packets()
        group: list[Packet[Any]] = []
        for packet in packets:
            if packet.stream.index != self.stream.index:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if packet.is_keyframe and time is not None and time <= begin:
                group.clear()
            group.append(packet)
            if (time is not None and time >= begin) or len(group) > LONGEST_GROUP:
                break
        yield from group
        yield from packets

    def _packets(self) -> "Iterator[Packet[Any]]":
        """Yield the packets of all streams: the end of the longest stream shows whether the file is complete."""
        tally, failures = self.tally, 0
        while failures < READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._timeline.demux(self.container):
                    failures = 0
                    is_video = packet.stream.index == self.stream.index
                    if packet.pts is not None:
                        end = (packet.pts + (packet.duration or 0)) * packet.time_base
                        tally.end_seconds = max(tally.end_seconds, end)
                        if is_video:
                            tally.video_end_seconds = max(tally.video_end_seconds, end)
                    self.losses.packet(packet, is_video, self._timeline.jumped)
                    if packet.size:
                        yield packet
                return
            except av.FFmpegError:
                failures += 1
                tally.read_errors += 1

    def _decode(self, packets: "Iterator[Packet[Any]]") -> Generator[TimedFrame]:
        frames = self._decode_packets(packets)
        if self._deinterlace:
            frames = deinterlaced(frames, self.stream.time_base or Fraction(1, 1000))
        for frame in frames:
            self.last_time = self._time(frame)
            yield TimedFrame(self.last_time, self._duration(frame), frame)

    def _decode_packets(self, packets: "Iterator[Packet[Any]]") -> Iterator[VideoFrame]:
        tally = self.tally
        for packet in packets:
            if packet.stream.index != self.stream.index:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if tally.first_key is None and packet.is_keyframe:
                tally.first_key = time
            kept = self.begin is None or time is None or time >= self.begin
            leads = time is not None and tally.first_key is not None and time < tally.first_key
            if packet.pts is not None and packet.duration:
                self._durations[packet.pts] = packet.duration
            if len(self._durations) > MOST_PACKETS_INSIDE:
                del self._durations[next(iter(self._durations))]
            tally.discarded += packet.is_discard
            tally.hidden += packet.is_discard and tally.packets > 0
            tally.seen += 1
            tally.packets += kept and not leads and not packet.is_discard
            try:
                frames = self.codec.decode(packet)
            except av.FFmpegError:
                tally.undecodable += kept and not leads and not packet.is_discard
                continue
            for frame in frames:
                self._count(frame)
                yield frame
        with suppress(av.FFmpegError):  # counted as a packet without a frame
            for frame in self.codec.decode(None):
                self._count(frame)
                yield frame
        self.losses.end(tally.end_seconds)

    def _count(self, frame: VideoFrame) -> None:
        self.pixel_format = frame.format.name
        if frame.interlaced_frame:
            self.tally.interlaced += 1
            if self._deinterlace and DEINTERLACED not in self._notes:
                self._notes.append(DEINTERLACED)
        if frame.pts is not None:
            self.losses.frame(self._time(frame), self._duration(frame))

    def _time(self, frame: VideoFrame) -> Fraction:
        if frame.pts is not None and self.stream.time_base is not None:
            return frame.pts * self.stream.time_base
        if self.last_time is None:
            return Fraction(0)
        return self.last_time + 1 / Fraction(self.stream.average_rate or 25)  # an elementary stream without timestamps

    def _duration(self, frame: VideoFrame) -> Fraction | None:
        ticks = self._durations.get(frame.pts or 0)
        return ticks * self.stream.time_base if ticks and self.stream.time_base is not None else None


def _open_codec(stream: VideoStream) -> VideoCodecContext:
    """The decoder. Raises InputError if FFmpeg has none."""
    codec = cast(VideoCodecContext | None, stream.codec_context)
    if codec is None:
        raise InputError("the video is in a format that this build of FFmpeg cannot decode")
    # FFmpeg's own VP8 and VP9 decoders drop the transparency that Matroska stores beside the frame
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and (library := {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(codec.name)):
        extradata = codec.extradata
        codec = cast(VideoCodecContext, CodecContext.create(library, "r"))
        codec.extradata = extradata
    codec.thread_type = "AUTO"
    if _has_gpu(codec):
        codec.thread_count = 4  # each thread occupies surfaces of the GPU's decoder, which has 32
    return codec


def _has_gpu(codec: VideoCodecContext) -> bool:
    return bool(getattr(codec, "is_hwaccel", False))
