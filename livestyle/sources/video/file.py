"""Frames from a video file, by PyAV: upright, in RGB, at the exact times that the file gives them."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
from av.codec import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from livestyle.errors import InputError
from livestyle.frame import Frame, Source, StreamInfo
from livestyle.media import open_media, videos
from livestyle.sources.video.deinterlacing import deinterlaced
from livestyle.sources.video.losses import HAS_DENSE_PACKETS, Losses
from livestyle.sources.video.truncation import is_cut_off
from livestyle.sources.video.upright import UprightPictures
from livestyle.timeline import JUMPING, Timeline

ONE_PACKET_ONE_PICTURE = {"h264", "hevc", "av1", "libdav1d", "vp9", "libvpx-vp9"}
"""In MP4 and Matroska. Where it holds, packets without a picture are lost pictures, errors or not."""

LISTED_DURATION = ("mov", "matroska", "avi", "flv")
"""Containers whose header says how long they are; others are guessed from the size or the end of the file."""

LONGEST_TAIL_SECONDS = Fraction(1, 2)
"""Such a file may end this much before its declared end without having been cut off: declared ends are rounded."""

LARGEST_INDEX, LARGEST_TRAILER = 0.05, 0.5
"""Which part of a file after its last packet may be an index, and which may be that with all sorts of attachments."""

OGG_BYTES, OGG_OVERHEAD = 2048, 0.025
"""An Ogg file holds at most so much beside its packets and headers. FFmpeg passes over broken pages in silence."""

MOST_HIDDEN_PICTURES = 4
"""An MP4's list of edits may hide so many after the first picture that is shown: those that another one is decoded from."""

DEINTERLACED = "interlaced pictures are deinterlaced"

HIGHEST_RATE = 1000
"""What is said to have more frames a second is mistaken."""

LEAST_DELAY_SECONDS = Fraction(1, 100)
"""What begins within this time of 0 begins at 0: Matroska rounds the end of a sound's priming to milliseconds."""

LONGEST_SKIP_SECONDS = Fraction(1, 10)
"""If the first picture after the start comes later than this, the one that is on the screen at the start is shown before it."""

MOST_PACKETS_INSIDE = 256
"""In a decoder and a filter."""

LONGEST_GROUP = 2000
"""Packets that are held while looking for the keyframe before the start."""

READ_ERRORS_IN_A_ROW = 100
"""A demuxer that fails this often without a packet in between has nothing more to give."""


@dataclass
class Tally:
    """What was met while reading, from the first picture that is kept on."""

    packets: int = 0
    seen: int = 0
    """Packets of pictures, with those that are not to be shown."""
    discarded: int = 0
    """Packets that are not to be shown."""
    hidden: int = 0
    """Those of them after the first one that is shown."""
    pictures: int = 0
    interlaced: int = 0
    undecodable: int = 0
    corrupt: int = 0
    read_errors: int = 0
    first_key: Fraction | None = None
    """The time of the first keyframe. Pictures before it that come after it in the file need others, from before a cut."""
    end_seconds: Fraction = Fraction(0)
    """Of the last packet of any stream."""
    pictures_end_seconds: Fraction = Fraction(0)
    """Of the last packet of the pictures."""


@dataclass(frozen=True)
class Shown:
    """A picture, and when it is shown, in the file's time."""

    time: Fraction
    duration: Fraction | None
    picture: VideoFrame


def open_video(
    path: Path,
    *,
    start_seconds: Fraction | int = 0,
    duration_seconds: Fraction | int | None = None,
    size: Callable[[int, int], tuple[int, int]] | None = None,
    for_gpu: bool = False,
    gpu: int = 0,
    deinterlace: bool = True,
) -> Source:
    """The frames of a video file or of an animated picture, GIF, APNG or WebP. The options are those of VideoFile."""
    if is_animated_webp(path):
        from livestyle.sources.video.webp import AnimatedWebP

        return AnimatedWebP(path, start_seconds=start_seconds, duration_seconds=duration_seconds, size=size)
    return VideoFile(
        path,
        start_seconds=start_seconds,
        duration_seconds=duration_seconds,
        size=size,
        for_gpu=for_gpu,
        gpu=gpu,
        deinterlace=deinterlace,
    )


class VideoFile:
    """Reads a video file's default video stream.

    The file's beginning, where its picture or its sound begins, becomes pts 0; info.origin_seconds is its time in the file.
    Where the file's clock jumps, a Timeline corrects its times.

    start_seconds: leave out what is earlier, counted from the file's beginning. Then the first picture left becomes pts 0,
        or, in a still stretch, the one that is on the screen at the start.
    duration_seconds: how much to read from the first picture on, None for all.
    deinterlace: make whole pictures of interlaced ones.
    size: (width, height) -> (width, height), asked once with the size of the upright pictures; may refuse by raising.
    for_gpu: decode on the GPU where it can, and give NV12 where that is what the file has. gpu: which one, as CUDA counts.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_seconds: Fraction | int = 0,
        duration_seconds: Fraction | int | None = None,
        size: Callable[[int, int], tuple[int, int]] | None = None,
        for_gpu: bool = False,
        gpu: int = 0,
        deinterlace: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._path = path
        self._container = open_media(path, hardware=for_gpu, gpu=gpu)
        try:
            self._stream = self._choose_stream()
            self._decoder = _decoder(self._stream)
            self._deinterlace = deinterlace
            self._durations: dict[int, int] = {}
            """Of the latest packets, by the time of their pictures. (PyAV 14 does not give it with a picture.)"""
            self._decoded_format = ""
            self._assessed = False
            self._last_time: Fraction | None = None
            beginning = self._beginning()
            self._begin = beginning + start_seconds if start_seconds > 0 else None
            self._timeline, self._tally, self._losses = self._start_over(from_the_beginning=True)
            self._decoded = self._decode(self._packets()) if self._begin is None else self._decode_from(self._begin)
            self._waiting: deque[Shown] = deque()
            first = self._first_kept()
            if first is None and self._last_time is not None:
                raise InputError(f"{path} has no picture at or after {float(start_seconds):g} s")
            if first is None:
                raise InputError(f"not one picture of {path} could be decoded; the file is damaged or cut off")
            self._waiting.appendleft(first)
            self._stream_end = self._declared_stream_end()
            self._end = None if duration_seconds is None else first.time + duration_seconds
            # a recording of a broadcast begins with pictures that cannot be decoded
            alone = self._container.format.name in JUMPING and not self._container.streams.audio
            origin = first.time if self._begin is not None or alone else min(beginning, first.time)
            self.info = self._describe(first, origin, size or (lambda width, height: (width, height)))
            if for_gpu:
                self.info = replace(self.info, is_nv12=self._pictures.is_nv12(first.picture))
                on_gpu = _is_on_gpu(self._decoder) and self._decoded_format in ("nv12", "p010le", "p016le")
                self.notes.append("decoded on the GPU" if on_gpu else "decoded on the CPU: the GPU has no decoder for it")
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Frame | None:
        if (kept := self._take()) is None:
            return None
        lasts = kept.duration
        if self._stream_end is not None and not self._waiting:
            following = self._next_kept()
            if following is not None:
                self._waiting.append(following)
            else:  # with B-frames its packet is not the last one, and FFmpeg before 8 does not give that one's duration
                lasts = max(lasts or Fraction(0), self._stream_end - kept.time) or None
        if self._end is not None:
            lasts = lasts and min(lasts, self._end - kept.time)
        image = self._pictures.image(kept.picture, nv12=self.info.is_nv12)
        return Frame(image, kept.time - self.info.origin_seconds, duration_seconds=lasts)

    def skip(self) -> bool:
        """Decode the next picture and drop it, in much less time than `read` takes; False where there is none."""
        return self._take() is not None

    def _take(self) -> Shown | None:
        """The next picture to show; None at the end."""
        kept = self._waiting.popleft() if self._waiting else self._next_kept()
        if kept is None:
            self._assess(complete=True)
        elif self._end is not None and kept.time >= self._end:
            self._decoded.close()
            self._assess(complete=False)
            return None
        return kept

    def close(self) -> None:
        self._waiting.clear()
        self._assessed = True  # the container cannot be asked any more
        self._decoded.close()
        self._container.close()

    # opening

    def _choose_stream(self) -> VideoStream:
        streams = videos(self._container)
        if not streams:
            raise InputError(f"{self._path} has no video stream")
        chosen = streams[0]
        is_first = chosen.index == min(stream.index for stream in streams)
        reason = "the first one" if is_first else f"stream {chosen.index}, the default one,"
        for other in streams[1:]:
            self.notes.append(f"video stream {other.index} is left out: {reason} is painted")
        return chosen

    def _beginning(self) -> Fraction:
        """Where picture or sound begins. A sound's priming, before 0, does not count."""
        starts = [
            stream.start_time * stream.time_base
            for stream in (self._stream, *self._container.streams.audio)
            if stream.start_time is not None and stream.time_base is not None
        ]
        first = min(starts, default=Fraction(0))
        return first if first >= LEAST_DELAY_SECONDS else Fraction(0)

    def _describe(self, first: Shown, origin: Fraction, size: Callable[[int, int], tuple[int, int]]) -> StreamInfo:
        self._pictures = UprightPictures(
            first.picture,
            size,
            pixel_aspect=self._stream.sample_aspect_ratio or Fraction(1),
            color_trc=self._decoder.color_trc,
            time_base=self._stream.time_base or Fraction(1, 1000),
        )
        self.notes += self._pictures.notes
        rate = self._rate(first.duration)
        return StreamInfo(
            width=self._pictures.width,
            height=self._pictures.height,
            rate=rate,
            frame_count=self._expected_count(first.time, rate),
            time_base=self._stream.time_base,
            origin_seconds=origin,
            pixel_aspect=self._pictures.pixel_aspect,
        )

    def _rate(self, picture_seconds: Fraction | None) -> Fraction | None:
        """Average frames a second: as the file says, or as its first picture lasts if what it says cannot be."""
        measured = None if picture_seconds is None else 1 / picture_seconds
        rates = (self._stream.average_rate, self._stream.guessed_rate, measured)
        return next((Fraction(rate) for rate in rates if rate and rate <= HIGHEST_RATE), None)

    def _expected_count(self, time: Fraction, rate: Fraction | None) -> int | None:
        if self._begin is None and self._end is None and self._stream.frames and "avi" not in self._container.format.name:
            return self._stream.frames
        end = self._declared_end()
        if self._end is not None:
            end = self._end if end is None else min(end, self._end)
        return None if end is None or rate is None else max(1, round((end - time) * rate))

    def _declared_end(self) -> Fraction | None:
        duration = self._container.duration
        if duration is None:
            return None
        # headers count from 0; what FFmpeg works out itself counts from the first packet
        start = 0 if self._says_its_duration() else self._container.start_time or 0
        return Fraction(start + duration, av.time_base)

    def _declared_stream_end(self) -> Fraction | None:
        """Of the pictures, in MP4 and MOV."""
        stream = self._stream
        if "mov" not in self._container.format.name or not stream.duration or stream.time_base is None:
            return None
        end, whole = ((stream.start_time or 0) + stream.duration) * stream.time_base, self._declared_end()
        return end if whole is None else min(end, whole)

    def _says_its_duration(self) -> bool:
        return any(container in self._container.format.name for container in LISTED_DURATION)

    # reading

    def _start_over(self, from_the_beginning: bool) -> tuple[Timeline, Tally, Losses]:
        name = self._container.format.name
        begins_anywhere = not from_the_beginning or name in JUMPING
        rate = self._rate(None)
        return Timeline(name), Tally(), Losses(name, 1 / rate if rate else None, begins_anywhere, self._begin)

    def _decode_from(self, begin: Fraction) -> Generator[VideoFrame]:
        """Decode from the last keyframe at or before `begin`."""
        assert self._stream.time_base is not None
        if self._container.format.name in JUMPING:
            yield from self._decode(self._packets_from(begin))
            return
        back = Fraction(0)  # containers without an index land between keyframes, or after the one that is needed: then earlier
        while True:
            target = max(begin - back, Fraction(0))
            with suppress(av.FFmpegError):  # not every container can seek; then all is decoded up to there
                self._container.seek(int(target / self._stream.time_base), stream=self._stream)
                self._decoder.flush_buffers()
            self._timeline, self._tally, self._losses = self._start_over(from_the_beginning=False)
            decoded = self._decode(self._packets())
            first = next(decoded, None)
            if target == 0 or (first is not None and self._time(first) <= begin):
                break
            decoded.close()
            back = back * 2 + 2
        if first is not None:
            yield first
            yield from decoded

    def _packets_from(self, begin: Fraction) -> "Iterator[Packet[Any]]":
        """Read from the file's beginning, and give the packets from the last keyframe at or before `begin` on."""
        packets = self._packets()
        group: list[Packet[Any]] = []
        for packet in packets:
            if packet.stream.index != self._stream.index:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if packet.is_keyframe and time is not None and time <= begin:
                group.clear()
            group.append(packet)
            if (time is not None and time >= begin) or len(group) > LONGEST_GROUP:
                break
        yield from group
        yield from packets

    def _decode(self, packets: "Iterator[Packet[Any]]") -> Generator[VideoFrame]:
        """Pictures of these packets. Reads past damage, and counts it."""
        pictures = self._decode_each(packets)
        if not self._deinterlace:
            yield from pictures
            return
        yield from deinterlaced(pictures, self._stream.time_base or Fraction(1, 1000))

    def _decode_each(self, packets: "Iterator[Packet[Any]]") -> Generator[VideoFrame]:
        tally = self._tally
        for packet in packets:
            if packet.stream.index != self._stream.index:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if tally.first_key is None and packet.is_keyframe:
                tally.first_key = time
            kept = self._begin is None or time is None or time >= self._begin
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
                pictures = self._decoder.decode(packet)
            except av.FFmpegError:
                tally.undecodable += kept and not leads and not packet.is_discard
                continue
            for picture in pictures:
                self._count(picture)
                yield picture
        with suppress(av.FFmpegError):  # an error now is of a packet that is missed in the tally
            for picture in self._decoder.decode(None):
                self._count(picture)
                yield picture
        self._losses.end(tally.end_seconds)

    def _count(self, picture: VideoFrame) -> None:
        self._decoded_format = picture.format.name
        if picture.interlaced_frame:
            self._tally.interlaced += 1
            if self._deinterlace and DEINTERLACED not in self.notes:
                self.notes.append(DEINTERLACED)
        if picture.pts is not None:
            self._losses.picture(self._time(picture), self._duration(picture))

    def _packets(self) -> "Iterator[Packet[Any]]":
        """Of all streams: where the last of them ends shows whether the file is whole."""
        failures = 0
        while failures < READ_ERRORS_IN_A_ROW:
            try:
                for packet in self._timeline.demux(self._container):
                    failures = 0
                    is_picture = packet.stream.index == self._stream.index
                    if packet.pts is not None:
                        end = (packet.pts + (packet.duration or 0)) * packet.time_base
                        self._tally.end_seconds = max(self._tally.end_seconds, end)
                        if is_picture:
                            self._tally.pictures_end_seconds = max(self._tally.pictures_end_seconds, end)
                    self._losses.packet(packet, is_picture, self._timeline.jumped)
                    if packet.size:
                        yield packet
                return
            except av.FFmpegError:
                failures += 1
                self._tally.read_errors += 1

    def _first_kept(self) -> Shown | None:
        """The first picture to give; what is shown at the start of a still stretch."""
        before: Shown | None = None
        for picture in self._decoded:
            shown = Shown(self._time(picture), self._duration(picture), picture)
            self._last_time = shown.time
            if self._begin is not None and shown.time < self._begin:
                before = shown
                continue
            self._keep(shown)
            if before is None or self._begin is None or shown.time - self._begin <= LONGEST_SKIP_SECONDS:
                return shown
            self._waiting.append(shown)
            return self._still(before, shown.time)
        if before is None:
            return None
        end = max(before.time + (before.duration or 0), self._declared_stream_end() or Fraction(0))
        return self._still(before, end) if self._begin is not None and end > self._begin else None

    def _still(self, before: Shown, end: Fraction) -> Shown:
        assert self._begin is not None
        tick = self._stream.time_base or Fraction(1, 1000)
        begin = max(self._begin // tick * tick, before.time)
        still = Shown(begin, end - begin, before.picture)
        self._keep(still)
        return still

    def _next_kept(self) -> Shown | None:
        for picture in self._decoded:
            shown = Shown(self._time(picture), self._duration(picture), picture)
            self._last_time = shown.time
            if self._begin is None or shown.time >= self._begin:
                self._keep(shown)
                return shown
        return None

    def _keep(self, shown: Shown) -> None:
        self._tally.pictures += 1
        self._tally.corrupt += shown.picture.is_corrupt

    def _time(self, picture: VideoFrame) -> Fraction:
        if picture.pts is not None and self._stream.time_base is not None:
            return picture.pts * self._stream.time_base
        if self._last_time is None:
            return Fraction(0)
        return self._last_time + 1 / Fraction(self._stream.average_rate or 25)  # a bare stream, without times

    def _duration(self, picture: VideoFrame) -> Fraction | None:
        ticks = self._durations.get(picture.pts or 0)
        return ticks * self._stream.time_base if ticks and self._stream.time_base is not None else None

    def _assess(self, complete: bool) -> None:
        """Fill `damage`, once. complete: the file was read to its end."""
        if self._assessed:
            return
        self._assessed = True
        tally, name = self._tally, self._container.format.name
        undecodable = tally.undecodable
        one_each = self._decoder.name in ONE_PACKET_ONE_PICTURE and ("mov" in name or "matroska" in name)
        if complete and one_each and not tally.interlaced:  # a packet may hold one field
            undecodable = max(undecodable, tally.packets - tally.pictures)
        missing = self._losses.lost
        if complete and "avi" in name:
            missing = max(missing, self._uncounted())
        if missing > undecodable:
            self.damage.append(f"{_count(missing, 'picture')} of the file {'is' if missing == 1 else 'are'} missing")
        elif undecodable:
            self.damage.append(f"{_count(undecodable, 'packet')} could not be decoded")
        if tally.corrupt:
            self.damage.append(f"{_count(tally.corrupt, 'picture')} could be decoded only in part")
        if tally.read_errors:
            self.damage.append(f"{_count(tally.read_errors, 'part')} of the file could not be read")
        if complete:
            self._assess_end()
        if self._pictures.resized:
            self.notes.append(f"{_count(self._pictures.resized, 'picture')} of another size scaled to the first one's")

    def _assess_end(self) -> None:
        tally, name = self._tally, self._container.format.name
        end = self._declared_end() if self._says_its_duration() else None
        each = 1 / self.info.rate if self.info.rate else Fraction(0)
        cut_off = is_cut_off(self._path, name)
        size = self._path.stat().st_size
        unread = max(0, size - self._losses.read_to) / size
        if "mov" in name:
            longest_tail = Fraction(-1) if cut_off else Fraction(1)
        elif cut_off:
            longest_tail = each / 2
        else:
            longest_tail = each * 3 / 2 if unread > LARGEST_INDEX else LONGEST_TAIL_SECONDS
        if "mov" in name and not cut_off and 0 < self._stream.frames <= tally.seen:
            end = None  # all that the index lists is there; FFmpeg before 8 does not know how long the last picture lasts
        span = (self._last_time or Fraction(0)) - self.info.origin_seconds
        if span * HIGHEST_RATE < tally.pictures - 1:
            self.damage.append(f"the file's times are wrong: {_count(tally.pictures, 'picture')} in {float(span):.3g} s")
        edits = self._assess_edits(each) if "mov" in name and self._begin is None and not (cut_off or self.damage) else None
        if edits is not None:
            self.damage.append(edits)
        elif end is not None and end - tally.end_seconds > longest_tail:
            self.damage.append(f"the file is cut off: it ends at {float(tally.end_seconds):.2f} s of {float(end):.2f} s")
        elif any(container in name for container in HAS_DENSE_PACKETS) and unread > LARGEST_TRAILER:
            self.damage.append(f"the last {unread:.0%} of the file were not read")
        elif name == "ogg" and self._begin is None:
            headers = [stream.codec_context.extradata for stream in self._container.streams if stream.codec_context]
            lost = size - self._losses.packet_bytes - sum(len(header or b"") for header in headers)
            if lost > OGG_BYTES + size * OGG_OVERHEAD:
                self.damage.append(f"{lost / size:.1%} of the file could not be read")

    def _assess_edits(self, each: Fraction) -> str | None:
        """Which pictures an MP4's times or its list of edits hide. What is hidden before the first one was cut on purpose."""
        tally, stream = self._tally, self._stream
        hidden = tally.hidden + max(0, stream.frames - tally.seen)
        if hidden > MOST_HIDDEN_PICTURES:
            return f"the file's times hide {_count(hidden, 'picture')} of {max(stream.frames, tally.seen)}"
        end = self._stream_end
        if end is None or self._last_time is None or not tally.discarded:
            return None
        last = max(self._last_time + each, tally.pictures_end_seconds)
        if end - last <= max(LONGEST_TAIL_SECONDS / 2, 3 * each):
            return None
        return f"the file's pictures end at {float(last):.2f} s of {float(end):.2f} s"

    def _uncounted(self) -> int:
        """How many pictures more an AVI says that it has: it has no times that would show a gap."""
        stream = self._stream
        if not stream.frames or not stream.time_base:
            return 0
        missing = stream.frames - round(self._tally.pictures_end_seconds / stream.time_base)
        return missing if missing > (0 if self._losses.skipped else 1) else 0

def is_animated_webp(path: Path) -> bool:
    """Whether it says that it is one, which has no sound. False for what cannot be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return len(head) == 21 and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 0x02)


def _decoder(stream: VideoStream) -> VideoCodecContext:
    decoder = cast(VideoCodecContext | None, stream.codec_context)
    if decoder is None:
        raise InputError("the video is in a format that this build of FFmpeg cannot decode")
    # FFmpeg's own VP8 and VP9 decoders drop the transparency that Matroska keeps beside the picture
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and (library := {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(decoder.name)):
        extradata = decoder.extradata
        decoder = cast(VideoCodecContext, CodecContext.create(library, "r"))
        decoder.extradata = extradata
    decoder.thread_type = "AUTO"
    if _is_on_gpu(decoder):
        decoder.thread_count = 4  # each holds pictures in the GPU's decoder, which has room for 32
    return decoder


def _is_on_gpu(decoder: VideoCodecContext) -> bool:
    """Whether it has a GPU to decode on; what that cannot decode is decoded here all the same."""
    return bool(getattr(decoder, "is_hwaccel", False))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
