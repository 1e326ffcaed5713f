"""Read frames from a video file with PyAV: upright, in RGB or NV12, at the exact times that the file gives them."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Unpack

from livestyle.errors import InputError
from livestyle.frame import Frame, Source, StreamInfo
from livestyle.media import open_media
from livestyle.sources.video.damage import counted, find_damage
from livestyle.sources.video.decoding import Decoding, TimedFrame
from livestyle.sources.video.header import beginning, choose_stream, declared_end, declared_stream_end, frame_rate
from livestyle.sources.video.options import VideoOptions
from livestyle.sources.video.upright import UprightFrames
from livestyle.timeline import DISCONTINUOUS_FORMATS

LONGEST_SKIP_SECONDS = Fraction(1, 10)
"""If the first frame comes more than this after the start, the frame that is on the screen at the start is read first."""


def open_video(path: Path, **options: Unpack[VideoOptions]) -> Source:
    """Open a video file or an animated picture: GIF, APNG or WebP. Raises InputError if it cannot be read."""
    if is_animated_webp(path):
        from livestyle.sources.video.webp import AnimatedWebP

        return AnimatedWebP(path, **options)
    return VideoFile(path, **options)


def is_animated_webp(path: Path) -> bool:
    """Whether the file's header says that it is an animated WebP, a format without audio. False if the file cannot be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(21)
    except OSError:
        return False
    return len(head) == 21 and head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 0x02)


class VideoFile:
    """Reads a video file's default video stream. The options are those of VideoOptions.

    The time at which the file's video or audio begins, whichever is first, becomes pts_seconds 0; with start_seconds, the time
    of the first frame read. info.origin_seconds is that time by the file's clock. Where the clock jumps, a Timeline corrects
    the times.

    Raises InputError if there is no frame to read, and what `size` raises to refuse the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        start_seconds: Fraction | int = 0,
        duration_seconds: Fraction | int | None = None,
        size: Callable[[int, int], tuple[int, int]] = lambda width, height: (width, height),
        for_gpu: bool = False,
        gpu: int = 0,
        deinterlace: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._path = path
        self._container = open_media(path, hardware=for_gpu, gpu=gpu)
        try:
            stream, self.notes = choose_stream(self._container)
            if stream is None:
                raise InputError(f"{path} has no video stream")
            self._stream = stream
            self._assessed = False
            file_begin = beginning(self._container, stream)
            self._begin = file_begin + start_seconds if start_seconds > 0 else None
            self._decoding = Decoding(self._container, stream, begin=self._begin, deinterlace=deinterlace, notes=self.notes)
            self._waiting: deque[TimedFrame] = deque()
            """Frames that were decoded ahead."""
            first = self._first_kept()
            if first is None and self._decoding.last_time is not None:
                raise InputError(f"{path} has no frame at or after {float(start_seconds):g} s")
            if first is None:
                raise InputError(f"no frame of {path} could be decoded; the file is damaged or cut off")
            self._waiting.appendleft(first)
            self._stream_end = declared_stream_end(self._container, stream)
            self._end = None if duration_seconds is None else first.time + duration_seconds
            # a recorded broadcast begins with frames that cannot be decoded: without audio, pts 0 is the first one that can
            video_alone = self._container.format.name in DISCONTINUOUS_FORMATS and not self._container.streams.audio
            origin = first.time if self._begin is not None or video_alone else min(file_begin, first.time)
            self._upright = UprightFrames(
                first.frame,
                size,
                pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
                color_trc=self._decoding.codec.color_trc,
                time_base=stream.time_base or Fraction(1, 1000),
            )
            self.notes += self._upright.notes
            self.info = self._describe(first, origin)
            self.is_decoded_on_gpu = for_gpu and self._decoding.is_on_gpu
            if for_gpu:
                self.info = replace(self.info, is_nv12=self._upright.fits_nv12(first.frame))
                on_gpu = "decoded on the GPU" if self.is_decoded_on_gpu else "decoded on the CPU: the GPU has no decoder for it"
                self.notes.append(on_gpu)
        except BaseException:
            self._container.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; None after the last one."""
        if (kept := self._take()) is None:
            return None
        duration = kept.duration
        if self._stream_end is not None and not self._waiting:
            following = self._next_kept()
            if following is not None:
                self._waiting.append(following)
            else:  # lasts until the stream's end: its packet's duration may be missing (B-frames, FFmpeg before 8)
                duration = max(duration or Fraction(0), self._stream_end - kept.time) or None
        if self._end is not None:
            duration = duration and min(duration, self._end - kept.time)
        image = self._upright.image(kept.frame, nv12=self.info.is_nv12)
        return Frame(image, kept.time - self.info.origin_seconds, duration_seconds=duration)

    def skip(self) -> bool:
        """Decode the next frame and drop it without converting it, much faster than `read`. False after the last one."""
        return self._take() is not None

    def close(self) -> None:
        self._waiting.clear()
        self._assessed = True  # the container cannot be inspected any more
        self._decoding.frames.close()
        self._container.close()

    def _describe(self, first: TimedFrame, origin: Fraction) -> StreamInfo:
        rate = frame_rate(self._stream, first.duration)
        return StreamInfo(
            width=self._upright.width,
            height=self._upright.height,
            rate=rate,
            frame_count=self._expected_count(first.time, rate),
            time_base=self._stream.time_base,
            origin_seconds=origin,
            pixel_aspect=self._upright.pixel_aspect,
        )

    def _expected_count(self, time: Fraction, rate: Fraction | None) -> int | None:
        if self._begin is None and self._end is None and self._stream.frames and "avi" not in self._container.format.name:
            return self._stream.frames
        end = declared_end(self._container)
        if self._end is not None:
            end = self._end if end is None else min(end, self._end)
        return None if end is None or rate is None else max(1, round((end - time) * rate))

    # frames that are kept

    def _take(self) -> TimedFrame | None:
        """The next frame to show; None at the end, where the damage is assessed."""
        kept = self._waiting.popleft() if self._waiting else self._next_kept()
        if kept is None:
            self._assess(complete=True)
        elif self._end is not None and kept.time >= self._end:
            self._decoding.frames.close()
            self._assess(complete=False)
            return None
        return kept

    def _first_kept(self) -> TimedFrame | None:
        """The first frame to show: the first one at or after the start, or, if none follows soon, the one on the screen then.

    None if there is neither. If the frame on the screen is returned, the next one is put into `_waiting`.
    """
        before: TimedFrame | None = None
        for timed in self._decoding.frames:
            if self._begin is not None and timed.time < self._begin:
                before = timed
                continue
            self._count(timed)
            if before is None or self._begin is None or timed.time - self._begin <= LONGEST_SKIP_SECONDS:
                return timed
            self._waiting.append(timed)
            return self._still(before, timed.time)
        if before is None:
            return None
        end = max(before.time + (before.duration or 0), declared_stream_end(self._container, self._stream) or Fraction(0))
        return self._still(before, end) if self._begin is not None and end > self._begin else None

    def _still(self, before: TimedFrame, end: Fraction) -> TimedFrame:
        """The frame `before` the start, to show from the start to `end`, in seconds of the file's clock."""
        assert self._begin is not None
        tick = self._stream.time_base or Fraction(1, 1000)
        begin = max(self._begin // tick * tick, before.time)
        still = TimedFrame(begin, end - begin, before.frame)
        self._count(still)
        return still

    def _next_kept(self) -> TimedFrame | None:
        for timed in self._decoding.frames:
            if self._begin is None or timed.time >= self._begin:
                self._count(timed)
                return timed
        return None

    def _count(self, timed: TimedFrame) -> None:
        self._decoding.tally.frames += 1
        self._decoding.tally.corrupt += timed.frame.is_corrupt

    def _assess(self, complete: bool) -> None:
        """Fill `damage`, once. complete: whether the file was read to its end."""
        if self._assessed:
            return
        self._assessed = True
        self.damage += find_damage(self._path, self._decoding, self.info, self._stream_end, complete)
        if resized := self._upright.resized:
            self.notes.append(f"{counted(resized, 'frame')} of another size scaled to the first one's")
