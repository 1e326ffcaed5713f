"""The sink that writes a video file, by PyAV: frames, with the audio and the subtitles of the file that they came from.

While it is written the file is called `name.partial.ext` (see output_file.py). MP4 and MOV are then in fragments, each
flushed to the file: if the process is killed, what was written plays. When complete they are rewritten, packet by packet,
as an ordinary file with the index in front (fragments.py). Matroska and WebM play when cut off: they are only renamed.

A frame passes through pixels.py (YCbCr), encoders.py and muxing.py (times, packets, tracks).
"""

import errno
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from livestyle.errors import InputError, OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.output_file import OutputFile
from livestyle.sinks.video.containers import container_of
from livestyle.sinks.video.encoders import CAMERA_TIME_BASE, GPU_ENCODERS, MAX_DELAY_SECONDS, Encoding, choose_encoder, opens
from livestyle.sinks.video.fragments import copy_with_index_in_front, playable_seconds
from livestyle.sinks.video.muxing import FrameTimes, Muxer, OpenTracks, OtherTracks, VideoTrack
from livestyle.sinks.video.pixels import YuvConverter
from livestyle.sinks.video.sound_track import SoundTrack
from livestyle.sinks.video.time_range import TimeRange
from livestyle.sinks.video.tracks import Tracks
from livestyle.sound import Sound

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class VideoWriter:
    """Writes frames to a video file. Times are exact in MP4 and MOV, and rounded to milliseconds in Matroska and WebM.

    A frame whose time is not after the previous one's is moved to one tick after it, which `notes` reports.

    sound_from: the file whose audio and subtitles are kept, shifted by -info.origin_seconds. If the origin is not 0, what
        is earlier is cut off. None: no audio.
    codec: h264, hevc, av1 or vp9, or FFmpeg's name of the encoder. None: the container's default.
    crf: 0 (best) to 51; for av1 and vp9 to 63.
    preset: a name for h264 and hevc, 0-13 for av1, 0-8 for vp9. None: a fast one.
    pix_fmt: FFmpeg's name of the pixel format. None: yuv420p. Where it needs an even width or height, the last column or row
        is repeated.
    duration_seconds: the audio ends this long after the first frame. None: it is kept to its end.
    on_gpu: encode on an NVIDIA GPU that has an encoder for the codec. Ignored if a preset or pix_fmt is given.
    gpu: CUDA index of that GPU.
    overwrite: whether a file that exists at `path` when the video is complete may be replaced.

    Frames are RGB, or NV12 of the size in `info`. After an error, or if `close` is passed one, what was written stays as a
    file that plays: see `kept`. Raises OutputError if the file cannot be written, or the encoder refuses the settings.
    """

    def __init__(
        self,
        path: Path,
        info: StreamInfo,
        *,
        sound_from: Path | None = None,
        sound: Sound | None = None,
        codec: str | None = None,
        crf: int = 18,
        preset: str | None = None,
        pix_fmt: str | None = None,
        duration_seconds: Fraction | int | None = None,
        on_gpu: bool = False,
        gpu: int = 0,
        overwrite: bool = True,
    ) -> None:
        self.path = path
        self.notes: list[str] = []
        """Informational; no data was lost."""
        self.damage: list[str] = []
        """Parts of the output that were lost."""
        self.kept: Path | None = None
        """After an error: the partial file with the frames that were written; None if there is none."""
        self.kept_seconds = 0.0
        """Playable duration of the file `kept`."""
        self._info = info
        self._sound_from, self._sound = sound_from, sound
        self._sound_track: SoundTrack | None = None
        self._time_range = TimeRange(info.origin_seconds, duration_seconds=duration_seconds)
        self._container = container_of(path)
        codec_name, encoder = choose_encoder(codec, self._container, path)
        rate = info.rate or Fraction(30)
        time_base = info.time_base or CAMERA_TIME_BASE
        self._times = FrameTimes(time_base, rate)
        self.to_yuv = YuvConverter(pix_fmt or "yuv420p", info, time_base)
        layout = self.to_yuv.layout
        if (layout.width, layout.height) != (info.width, info.height):
            even = f"{layout.width}x{layout.height}"
            self.notes.append(f"{info.width}x{info.height} became {even} by repeating the last row or column")
        self._encoding = self._cpu_encoding = Encoding(
            encoder,
            crf,
            preset or (encoder.live_preset if info.live else None),
            layout,
            self.to_yuv.matrix,
            rate,
            max_delay=int(rate * MAX_DELAY_SECONDS) if info.rate else 0,
            time_base=time_base,
            pixel_aspect=info.pixel_aspect,
        )
        if on_gpu and preset is None and pix_fmt is None:
            gpu_encoder = GPU_ENCODERS[codec_name].on(gpu) if codec_name in GPU_ENCODERS else None
            if gpu_encoder is not None and opens(gpu_encoder, layout, rate):
                gpu_preset = gpu_encoder.live_preset if info.live else None
                self._encoding = replace(self._encoding, encoder=gpu_encoder, preset=gpu_preset)
            self.notes.append(f"encoded by {self._encoding.encoder.library}")
        self._closed = False
        self._muxer: Muxer | None = None
        self._tracks: OtherTracks | None = None  # those in the final file
        self._file = OutputFile(path, replace=overwrite)
        self.notes += self._file.notes
        try:
            self._muxer = self._open()
            self._tracks = self._muxer.tracks
            self._video = VideoTrack(self._muxer, self._container, self._times, time_base)
        except (av.FFmpegError, OSError) as error:
            self._abort()
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        except BaseException:
            self._abort()
            raise

    @property
    def width(self) -> int:
        """Width of the video in the file, in pixels."""
        return self.to_yuv.layout.width

    @property
    def height(self) -> int:
        """Height of the video in the file, in pixels."""
        return self.to_yuv.layout.height

    @property
    def remains(self) -> str:
        """A phrase for error messages: how many seconds are in which partial file."""
        if self.kept is None:
            return "nothing was written"
        return f"{self.kept_seconds:.1f} s that were painted are in {self.kept}"

    def write(self, frame: Frame) -> None:
        """Encode a frame. Raises OutputError if it has the wrong size or the file cannot be written."""
        width, height = self._info.width, self._info.height
        if frame.image.shape not in ((height, width, 3), (height * 3 // 2, width)):
            found = f"{frame.image.shape[1]}x{frame.image.shape[0]}"
            raise OutputError(f"{self.path}: a frame of {found} in a video of {width}x{height}")
        if self._times.latest_ticks is None and self._time_range.duration_seconds is not None:
            begin = self._time_range.origin_seconds + frame.pts_seconds
            self._time_range.end_seconds = begin + self._time_range.duration_seconds
        ticks = self._times.ticks(frame)
        try:
            if self._sound_track is not None:
                self._sound_track.follow(frame)
            self._video.write(self.to_yuv(frame, ticks))
        except (av.FFmpegError, OSError) as error:
            self.close(error)
            raise OutputError(f"cannot write {self.path}: {error.strerror}; {self.remains}") from error

    def close(self, error: BaseException | None = None) -> None:
        """Complete the file and move it to its path; after an error, leave the partial file if it holds a frame.

        Raises OutputError if no frame was written, or the file cannot be completed.
        """
        if self._closed:
            return
        self._closed = True
        if error is not None:
            self._abort()
            return
        assert self._muxer is not None
        try:
            self._video.flush()
            if not self._muxer.packet_count:
                raise OutputError(f"cannot write {self.path}: there was no frame")
            self._muxer.finish()
            if self._container.fragmented:
                self._commit_rewritten()
            else:
                self._file.commit()
        except (av.FFmpegError, OSError) as caught:
            self._abort()
            raise OutputError(f"cannot write {self.path}: {caught.strerror}; {self.remains}") from caught
        except BaseException:
            self._abort()
            raise
        if self._tracks is not None:
            self.notes += self._tracks.notes
            self.damage += self._tracks.damage
        if corrected := self._times.corrected:
            self.notes.append(f"times that did not increase: {corrected}; each such frame is shown one tick after the last")

    def _open(self) -> Muxer:
        url, container = f"file:{self._file.partial}", self._container
        options = container.partial_options(self._encoding.time_base)
        open_tracks: OpenTracks | None = None if self._sound is None else self._open_sound_track
        if self._sound_from is not None:
            open_tracks = self._track_opener(self._sound_from, late=not container.fragmented)
        try:
            return Muxer(url, container, options, self._encoding, open_tracks)
        except av.FFmpegError as error:
            if self._sound_from is None or isinstance(error, OSError):
                raise
            # the muxer refused the header: try without the tracks, which come from the input
            self.damage.append(f"sound and subtitles could not be kept: {error.strerror}")
            self._sound_from = None
            return Muxer(url, container, options, self._encoding, None)

    def _open_sound_track(self, output: OutputContainer) -> SoundTrack:
        assert self._sound is not None
        self._sound_track = SoundTrack(self._sound, output, self._container)
        return self._sound_track

    def _track_opener(self, source: Path, late: bool) -> OpenTracks:
        return lambda output: Tracks(source, output, self._container, self._time_range, late=late)

    def _commit_rewritten(self) -> None:
        """Replace the fragments by an ordinary file. If the disk is too full for that, commit the fragments."""
        assert self._muxer is not None
        open_tracks: OpenTracks | None = None if self._sound_from is None else self._reopen_tracks
        if self._sound is not None:
            open_tracks = self._copy_tracks
        try:
            with self._file.rewritten() as path:
                rewritten = copy_with_index_in_front(
                    self._file.partial, f"file:{path}", self._container, self._cpu_encoding, open_tracks, self._times
                )
                count, expected = rewritten.packet_count, self._muxer.packet_count
                if count != expected:
                    partial = self._file.partial
                    raise OutputError(f"cannot write {self.path}: {partial} holds only {count} of {expected} frames")
        except OSError as error:
            if error.errno not in DISK_IS_FULL:
                raise
            self.damage.append(f"no room to put the index of {self.path} in front; it is left in fragments, without subtitles")
            self._file.commit()

    def _reopen_tracks(self, output: OutputContainer) -> OtherTracks:
        assert self._sound_from is not None
        try:
            self._tracks = self._track_opener(self._sound_from, late=True)(output)
        except InputError as error:  # the file changed during the run: keep the audio that the fragments hold
            self.damage.append(f"sound that begins late, and subtitles, are lost: {error}")
            self._tracks = self._copy_tracks(output)
        return self._tracks

    def _copy_tracks(self, output: OutputContainer) -> Tracks:
        """Copy the tracks of the partial file."""
        return Tracks(self._file.partial, output, self._container, TimeRange(Fraction(0)))

    def _abort(self) -> None:
        """Keep the partial file if it holds a frame, else delete it."""
        is_whole = False
        if self._muxer is not None:
            with suppress(AttributeError, av.FFmpegError, OSError, ValueError):  # the encoder may have failed
                self._video.flush()
            is_whole = self._muxer.abort()
        if self._muxer is not None and self._muxer.packet_count and self._file.partial.exists():  # its folder may be gone
            self._file.keep()
            self.kept = self._file.partial
            self.kept_seconds = float(self._muxer.end_seconds) if is_whole else playable_seconds(self.kept)
        else:
            self._file.discard()
