"""Frames to a video file, by PyAV, with the sound and the subtitles of the file that they came from.

While it runs the output is `name.partial.ext` (see output_file.py). MP4 and MOV are then in fragments, each flushed:
whenever the process dies, what is there plays. When complete they are rewritten, packet for packet, as an ordinary file
with the index in front. Matroska and WebM play when cut off anyhow: they only get their final name.
"""

import errno
import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from livestyle.errors import InputError, OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.media import matrix_of_untagged, open_media, scaling
from livestyle.output_file import OutputFile
from livestyle.sinks.video.containers import container_of
from livestyle.sinks.video.encoders import ANY_TIME_BASE, GPU_ENCODERS, Encoder, choose_encoder, opens
from livestyle.sinks.video.time_range import TimeRange
from livestyle.sinks.video.tracks import Tracks

IN_FLIGHT_SECONDS = Fraction(1, 2)
"""At most this much is inside the encoder, so that less than a second is lost when the process is killed."""


class VideoWriter:
    """Writes frames at exactly their times in MP4 and MOV, to the nearest millisecond in Matroska and WebM.

    A frame whose time is not after the last one's is moved to one tick after it, said in `notes`: nothing is lost.

    sound_from: the file whose sound and subtitles are kept, shifted by -info.origin_seconds, from time 0 on if that is
        not 0; None for none.
    codec: h264, hevc, av1 or vp9, or FFmpeg's name of the encoder; None for what suits the container.
    crf: 0 (best) to 51, for av1 and vp9 to 63.
    preset: a name for h264 and hevc, 0-13 for av1, 0-8 for vp9; None for a fast one.
    pix_fmt: FFmpeg's name; None for yuv420p, where odd sizes are made even by repeating the last row or column.
    duration_seconds: cut the sound this long after the first frame; None keeps all of it.
    on_gpu: encode on an NVIDIA GPU that has an encoder for it, unless the preset or pix_fmt is asked for.
    gpu: which one, as CUDA counts.
    overwrite: whether a file that has this name at the end may be replaced.

    Frames are RGB, or NV12 of the writer's own size. After an error, or where `close` gets one, what was written stays,
    playable, as `kept`.
    """

    def __init__(
        self,
        path: Path,
        info: StreamInfo,
        *,
        sound_from: Path | None = None,
        codec: str | None = None,
        crf: int = 18,
        preset: str | None = None,
        pix_fmt: str | None = None,
        duration_seconds: Fraction | int | None = None,
        on_gpu: bool = False,
        gpu: int = 0,
        overwrite: bool = True,
    ) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self.kept: Path | None = None
        """The partial file that holds what was written before an error."""
        self.kept_seconds = 0.0
        """How much of it plays."""
        self.path = path
        self._container = container_of(path)
        name, self._encoder = choose_encoder(codec, self._container, path)
        self._info = info
        self._sound_from = sound_from
        self._duration_seconds = duration_seconds
        self._window = TimeRange(info.origin_seconds, duration_seconds=duration_seconds)
        self._rate = info.rate or Fraction(30)
        self._time_base = info.time_base or ANY_TIME_BASE
        self._layout = _layout(pix_fmt or "yuv420p", info)
        self._matrix = matrix_of_untagged(self._layout.width, self._layout.height)
        self._converter = _rgb_to_yuv(self._layout, self._matrix, self._time_base)
        if (self._layout.width, self._layout.height) != (info.width, info.height):
            even = f"{self._layout.width}x{self._layout.height}"
            self.notes.append(f"{info.width}x{info.height} became {even} by repeating the last row or column")
        self._cpu_encoder = self._encoder
        if on_gpu and preset is None and pix_fmt is None:
            gpu_encoder = GPU_ENCODERS[name].on(gpu) if name in GPU_ENCODERS else None
            if gpu_encoder is not None and opens(gpu_encoder, self._layout, self._rate):
                self._encoder = gpu_encoder
            self.notes.append(f"encoded by {self._encoder.library}")
        self._crf, self._preset = crf, preset
        self._is_hevc = name == "hevc"
        self._first_ticks: int | None = None
        self._last_ticks = 0
        self._last_seconds = 1 / self._rate
        """How long the last picture is shown."""
        self._nudged = 0
        self._held: Packet[Any] | None = None
        self._muxed = 0
        self._end_seconds = Fraction(0)  # of what was muxed
        self._closed = False
        self._file = OutputFile(path, replace=overwrite)
        self.notes += self._file.notes
        try:
            self._open()
        except (av.FFmpegError, OSError) as error:
            self._end()
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        except BaseException:
            self._end()
            raise

    @property
    def width(self) -> int:
        """Of the pictures in the file, in pixels."""
        return self._layout.width

    @property
    def height(self) -> int:
        """Of the pictures in the file, in pixels."""
        return self._layout.height

    def write(self, frame: Frame) -> None:
        width, height = self._info.width, self._info.height
        if frame.image.shape not in ((height, width, 3), (height * 3 // 2, width)):
            found = f"{frame.image.shape[1]}x{frame.image.shape[0]}"
            raise OutputError(f"{self.path}: a frame of {found} in a video of {width}x{height}")
        ticks = round(frame.pts_seconds / self._time_base)
        if self._first_ticks is None:
            self._first_ticks = ticks
            if self._duration_seconds is not None:
                self._window.end_seconds = self._info.origin_seconds + frame.pts_seconds + self._duration_seconds
        elif ticks <= self._last_ticks:
            ticks = self._last_ticks + 1
            self._nudged += 1
        self._last_ticks = ticks
        self._last_seconds = frame.duration_seconds or 1 / self._rate
        try:
            self._mux(self._video.encode(self.to_yuv(frame, ticks)))
        except (av.FFmpegError, OSError) as error:
            self.close(error)
            raise OutputError(f"cannot write {self.path}: {error.strerror}; {self.remains}") from error

    def close(self, error: BaseException | None = None) -> None:
        if self._closed:
            return
        self._closed = True
        if error is not None:
            self._end()
            return
        try:
            self._flush()
            if not self._muxed:
                raise OutputError(f"there was no picture to write to {self.path}")
            self._write_tracks(None)
            self._output.close()
            self._close_tracks()
            self._finish()
        except (av.FFmpegError, OSError) as caught:
            self._end()
            raise OutputError(f"cannot write {self.path}: {caught.strerror}; {self.remains}") from caught
        except BaseException:
            self._end()
            raise
        if self._tracks is not None:
            self.notes += self._tracks.notes
            self.damage += self._tracks.damage
        if self._nudged:
            self.notes.append(f"times that did not grow: {self._nudged}; each such picture is shown one tick after the last")

    # opening

    def _open(self) -> None:
        self._tracks: Tracks | None = None
        try:
            self._open_with(self._sound_from)
        except av.FFmpegError as error:
            if self._sound_from is None or isinstance(error, OSError):
                raise
            # the header was refused: try without the streams that are not ours
            self._close_output()
            self.damage.append(f"sound and subtitles could not be kept: {error.strerror}")
            self._sound_from = None
            self._open_with(None)

    def _open_with(self, sound_from: Path | None) -> None:
        options = self._container.options | self._exact_start()
        self._output = av.open(f"file:{self._file.partial}", "w", format=self._container.format, container_options=options)
        self._video = self._add_video(self._output, self._encoder)
        if sound_from is not None:
            self._tracks = self._open_tracks(sound_from, self._output, late=not self._container.fragmented)
        self._output.start_encoding()

    def _exact_start(self) -> dict[str, str]:
        """A start that is not 0 is an edit in the movie's time scale: with FFmpeg's own, milliseconds."""
        return {"movie_timescale": str(self._time_base.denominator)} if self._container.fragmented else {}

    def _add_video(self, output: OutputContainer, encoder: Encoder) -> VideoStream:
        delay = int(self._rate * IN_FLIGHT_SECONDS) if self._info.rate else 0
        preset = self._preset or encoder.preset
        options = encoder.options(self._crf, preset, delay)
        stream = output.add_stream(encoder.library, rate=self._rate.limit_denominator(65_535), options=options)
        context = cast(VideoCodecContext, stream.codec_context)
        context.width, context.height = self._layout.width, self._layout.height
        context.pix_fmt = self._layout.name
        context.time_base = self._time_base
        context.sample_aspect_ratio = self._info.pixel_aspect.limit_denominator(65_535)
        context.color_range = ColorRange.MPEG
        context.colorspace = 1 if self._matrix == Colorspace.ITU709 else 6
        context.color_primaries = context.color_trc = 1  # BT.709 (ISO 23091-2)
        context.thread_type = "SLICE"
        context.thread_count = min(8, os.cpu_count() or 1)
        if self._is_hevc and self._container.fragmented:
            context.codec_tag = "hvc1"  # the only one that Apple's players take
        try:
            context.open()
        except av.FFmpegError as error:
            raise OutputError(
                f"{encoder.library} refuses crf {self._crf}, preset {preset}, {self._layout.name} at "
                f"{self._layout.width}x{self._layout.height} ({error.strerror})"
            ) from None
        return cast(VideoStream, stream)

    def _reopen_tracks(self, output: OutputContainer) -> Tracks:
        try:
            return self._open_tracks(cast(Path, self._sound_from), output, late=True)
        except InputError as error:  # it was there when the run began; then what the fragments hold of it
            self.damage.append(f"sound that begins late, and subtitles, are lost: {error}")
            return Tracks(self._file.partial, output, sound="aac", subtitles="mov_text", window=TimeRange(Fraction(0)))

    def _open_tracks(self, sound_from: Path, output: OutputContainer, late: bool) -> Tracks:
        container = self._container
        return Tracks(sound_from, output, sound=container.sound, subtitles=container.subtitles, window=self._window, late=late)

    # writing

    def to_yuv(self, frame: Frame, ticks: int) -> VideoFrame:
        """The frame in the colours that are encoded, to be shown at that many ticks of the time base."""
        if frame.image.ndim == 2:
            coded = VideoFrame.from_ndarray(frame.image, format="nv12")
            coded.pts, coded.time_base = ticks, self._time_base
            return coded.reformat(format=self._layout.name)
        right, below = self._layout.width - self._info.width, self._layout.height - self._info.height
        image = frame.image
        if right or below:
            image = np.pad(image, ((0, below), (0, right), (0, 0)), mode="edge")
        picture = VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24")
        picture.pts, picture.time_base = ticks, self._time_base
        self._converter.push(picture)
        return cast(VideoFrame, self._converter.pull())

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        for packet in packets:
            if self._container.fragmented and self._tracks is not None:
                # sound may end a fragment: it then has to say how long its last picture lasts, so wait for the next one
                if self._held is not None:
                    self._held.duration = _ticks(packet) - _ticks(self._held)
                    self._mux_one(self._held)
                self._held = packet
            else:
                if not self._container.fragmented and packet.pts == self._last_ticks:
                    packet.duration = self._last_duration(packet.time_base)
                self._mux_one(packet)

    def _last_duration(self, time_base: Fraction) -> int:
        return max(1, round(self._last_seconds / time_base))

    def _mux_one(self, packet: "Packet[Any]") -> None:
        self._write_tracks(_ticks(packet) * packet.time_base)
        packet.stream = self._video
        self._output.mux(packet)
        self._muxed += 1
        if packet.pts is not None:
            self._end_seconds = max(self._end_seconds, (packet.pts + (packet.duration or 0)) * packet.time_base)

    def _write_tracks(self, seconds: Fraction | None) -> None:
        if self._tracks is not None:
            self._tracks.write_until(seconds)

    def _flush(self) -> None:
        """Write what is still inside the encoder."""
        self._mux(self._video.encode(None))
        if self._held is not None:
            self._held.duration = self._last_duration(self._time_base)
            self._mux_one(self._held)
            self._held = None

    def _finish(self) -> None:
        """Give the complete partial file its final form and name."""
        if not self._container.fragmented:
            self._file.commit()
            return
        try:
            with self._file.rewritten() as path:
                self._rewrite(f"file:{path}")
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self.damage.append(f"no room to put the index of {self.path} in front; it is left in fragments, without subtitles")
            self._file.commit()

    def _rewrite(self, url: str) -> None:
        """Packet for packet, with the index in front, and with the streams that the fragments had no place for."""
        options = {"movflags": "faststart"} | self._exact_start()
        with (
            av.open(f"file:{self._file.partial}") as source,
            av.open(url, "w", format=self._container.format, container_options=options) as output,
        ):
            # PyAV before 14.2 takes no packets as they are but for a stream with an encoder, so it gets the same one again,
            # with the headers as the fragments have them; a CPU's, as a GPU may have no second one to give
            video = self._add_video(output, self._cpu_encoder)
            video.codec_context.extradata = source.streams.video[0].codec_context.extradata
            tracks = None
            if self._sound_from is not None:
                tracks = self._tracks = self._reopen_tracks(output)
            count = 0
            for packet in source.demux(video=0):
                if packet.dts is None:
                    continue
                self._write_tracks(_ticks(packet) * packet.time_base)
                packet.stream = video
                packet.duration = self._last_duration(packet.time_base)  # counts for the last one only
                output.mux(packet)
                count += 1
            self._write_tracks(None)
            if tracks is not None:
                tracks.close()
        if count != self._muxed:
            raise OutputError(f"{self._file.partial} holds {count} of {self._muxed} pictures; it is not made into {self.path}")

    # ending

    def _end(self) -> None:
        """Leave what was written, playable, under its partial name; nothing, if there is no picture in it."""
        with suppress(AttributeError, av.FFmpegError, OSError, ValueError):  # it may be why the run ends, or not even be open
            self._flush()
        is_whole = self._close_output()
        if self._muxed and self._file.partial.exists():  # or its folder was removed
            self._file.keep()
            self.kept = self._file.partial
            self.kept_seconds = float(self._end_seconds) if is_whole else _playable_seconds(self.kept)
        else:
            self._file.discard()

    def _close_output(self) -> bool:
        """Whether all that was muxed went into the file."""
        try:
            self._output.close()
        except (AttributeError, av.FFmpegError, OSError):
            return False
        finally:
            self._close_tracks()
            self._tracks = None
        return True

    def _close_tracks(self) -> None:
        if self._tracks is not None:
            self._tracks.close()

    @property
    def remains(self) -> str:
        """What is left after an error, for a person."""
        if self.kept is None:
            return "nothing was written"
        return f"{self.kept_seconds:.1f} s that were painted are in {self.kept}"


def _layout(pix_fmt: str, info: StreamInfo) -> VideoFormat:
    """The encoded pixels: their format, and a size that it can have."""
    try:
        unit = VideoFormat(pix_fmt, 2, 2)
    except ValueError:
        raise OutputError(f"there is no pixel format {pix_fmt}; try yuv420p or yuv444p") from None
    # where two pixels share a colour the size must be even
    right = info.width % 2 if unit.chroma_width(2) == 1 else 0
    below = info.height % 2 if unit.chroma_height(2) == 1 else 0
    return VideoFormat(pix_fmt, info.width + right, info.height + below)


def _ticks(packet: "Packet[Any]") -> int:
    assert packet.dts is not None  # every encoder and the fragments give it
    return packet.dts


def _rgb_to_yuv(layout: VideoFormat, matrix: Colorspace, time_base: Fraction) -> Graph:
    """Limited range, and colours where decoders look for them: beside the left one of two pixels."""
    options = "flags=bilinear+full_chroma_inp:in_range=full:out_range=limited:out_chroma_loc=left:"
    options += f"out_color_matrix={'bt709' if matrix == Colorspace.ITU709 else 'bt601'}"
    return scaling(VideoFormat("rgb24", layout.width, layout.height), time_base, options, layout.name)


def _playable_seconds(path: Path) -> float:
    """How long the pictures of a file play that may be cut off. Reads its packets, not its pictures."""
    end = Fraction(0)
    with suppress(av.FFmpegError, InputError, OSError), open_media(path) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None and not packet.is_corrupt:  # as the one that was cut off is
                end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
    return float(end)
