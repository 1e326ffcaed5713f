"""Paint video files."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from os import PathLike
from pathlib import Path

import livestyle.opencv  # noqa: F401  # OpenCV before PyAV: in the other order cv2.imshow hangs on Linux
from livestyle.errors import LivestyleError, OutputError
from livestyle.frame import Frame, Source
from livestyle.interrupt import ctrl_c_noted, ctrl_c_raised
from livestyle.jobs.progress import Progress, ProgressCallback
from livestyle.jobs.stages import make_stages
from livestyle.look import Mix
from livestyle.output_file import is_partial, refuse_same_file
from livestyle.sinks.video.containers import CONTAINERS
from livestyle.sinks.video.writer import VideoWriter
from livestyle.size import Size, as_size, video_size
from livestyle.sources.video.file import is_animated_webp, open_video
from livestyle.streaming.looks import ConstantLook, LookSource
from livestyle.streaming.person import only
from livestyle.streaming.pipeline import Pipeline, Stage, offline
from livestyle.streaming.smoothing import smoothing
from livestyle.stylizer import Blend, Stylizer

VIDEO_SUFFIXES = (
    *(".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg"),
    *(".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Suffixes of the files in a folder that are painted. A file that is named directly may have any suffix."""

POLL_SECONDS = 0.1  # the longest time until Ctrl-C is noticed while no frame arrives


@dataclass(frozen=True)
class VideoJob:
    """Paint one video file into another. Picklable, so that another process or machine can run it.

    The model and the device belong to the Stylizer that runs the job.
    Raises LivestyleError for a `smooth`, `crf`, start or duration out of range.
    """

    source: Path
    """A video file, or an animated GIF, APNG or WebP."""
    target: Path
    """The file to write: .mp4, .m4v, .mov, .mkv or .webm. Until it is complete, it is written to NAME.partial.EXT."""
    style: Blend = "wave"
    strength: float = 1.0
    """Strength of the style, from 0, the photo, to 1, the painting."""
    keep_colors: bool = False
    """Keep the video's colours; only the lightness is painted."""
    compare: bool = False
    """Whether to show the photo in the left half of each frame."""
    only: str | None = None
    """Paint only the "person", or only the "background"; None for all of the picture."""
    smooth: float = 0.0
    """How much to reduce flicker: from 0, off, to 1."""
    size: Size | None = None
    """The box, in pixels, that the frames are scaled to fit; see `livestyle.size`. None: the size of the source."""
    start_seconds: Fraction = Fraction(0)
    """Time in the source at which to start."""
    duration_seconds: Fraction | None = None
    """How much of the source to paint; None for all."""
    deinterlace: bool = True
    """Whether to deinterlace interlaced video."""
    codec: str | None = None
    """Video codec: h264, hevc, av1, vp9, or FFmpeg's name of an encoder. None: vp9 in WebM, else h264."""
    crf: int = 18
    """Quality, from 0, the best, to 51; for av1 and vp9 to 63."""
    preset: str | None = None
    """Preset of the encoder; None: a fast one."""
    pix_fmt: str | None = None
    """Pixel format, FFmpeg's name; None: yuv420p, where odd sizes are made even by repeating the last row or column."""
    overwrite: bool = False
    """Whether the target may be replaced if it exists."""

    def __post_init__(self) -> None:
        _check_smooth(self.smooth)
        only(self.only)
        if not 0 <= self.crf <= 63:
            raise LivestyleError(f"crf must be from 0 to 63, not {self.crf!r}")
        if self.start_seconds < 0 or (self.duration_seconds is not None and self.duration_seconds <= 0):
            raise LivestyleError("start_seconds must not be negative, and duration_seconds must be above 0")


@dataclass(frozen=True)
class VideoResult:
    """A painted video file."""

    target: Path
    frames: int
    width: int
    """Width of the frames in the written file, in pixels; likewise the height."""
    height: int
    seconds: float
    """How long the run took, including warming up and completing the file."""
    notes: tuple[str, ...] = ()
    """Informational notes; no data was lost."""
    damage: tuple[str, ...] = ()
    """Parts of the source that could not be read, or could not be kept in the target."""

    @property
    def fps(self) -> float:
        """Frames per second, averaged over the run."""
        return self.frames / self.seconds


def paint_video(
    source: str | PathLike[str],
    target: str | PathLike[str],
    style: Blend = "wave",
    *,
    model: str = "auto",
    device: str = "auto",
    strength: float = 1.0,
    keep_colors: bool = False,
    compare: bool = False,
    only: str | None = None,
    smooth: float = 0.0,
    size: Size | int | None = None,
    start: Fraction | float = 0,
    duration: Fraction | float | None = None,
    deinterlace: bool = True,
    codec: str | None = None,
    crf: int = 18,
    preset: str | None = None,
    pix_fmt: str | None = None,
    overwrite: bool = False,
    stylizer: Stylizer | None = None,
    progress: ProgressCallback | None = None,
) -> VideoResult:
    """Paint a video file into another, as the command `livestyle video` does. Sound, subtitles and frame times are kept.

    source, target, compare, only, smooth, deinterlace, codec, crf, preset, pix_fmt: see VideoJob.
    style, strength, keep_colors: see `Stylizer`, also for blends of styles.
    size: scale to fit (width, height), or to a height, in pixels, with the aspect ratio kept; None keeps the size.
    start, duration: the part to paint, in seconds of the source.
    overwrite: replace an existing target; without it an existing target raises OutputError.
    model, device: see `Stylizer`. stylizer: an open Stylizer to use instead of them; it stays open.
    progress: called with a `Progress` at each stage and after each frame.

    Until the video is complete, it is written to NAME.partial.EXT. After an error, Ctrl-C, or an exception that `progress`
    raises, that file stays and is playable; a note of the exception, or the message of KeyboardInterrupt, contains its name.
    In the main thread, SIGTERM and SIGHUP raise KeyboardInterrupt too.

    Raises InputError, OutputError, StyleError, DeviceError, TooLargeError if frames do not fit the memory, and LivestyleError if
    a number is out of range. A source that is damaged in part is painted; `VideoResult.damage` states what is missing.
    """
    job = VideoJob(
        source=Path(source),
        target=Path(target),
        style=style,
        strength=strength,
        keep_colors=keep_colors,
        compare=compare,
        only=only,
        smooth=smooth,
        size=as_size(size),
        start_seconds=_exact_seconds(start),
        duration_seconds=None if duration is None else _exact_seconds(duration),
        deinterlace=deinterlace,
        codec=codec,
        crf=crf,
        preset=preset,
        pix_fmt=pix_fmt,
        overwrite=overwrite,
    )
    _check_target(job)  # before the device is opened
    with nullcontext(stylizer) if stylizer is not None else Stylizer(style, model, device, strength=strength) as painter:
        return run_video(job, painter, progress)


def painted_frames(
    source: str | PathLike[str],
    style: Blend = "wave",
    *,
    model: str = "auto",
    device: str = "auto",
    strength: float = 1.0,
    keep_colors: bool = False,
    smooth: float = 0.0,
    size: Size | int | None = None,
    start: Fraction | float = 0,
    duration: Fraction | float | None = None,
    deinterlace: bool = True,
    stylizer: Stylizer | None = None,
) -> Generator[Frame]:
    """The painted frames of a video file, in order, each with its picture and its exact time.

        for frame in livestyle.painted_frames("in.mp4", style="wave"):
            frame.image        # (H, W, 3) uint8 RGB
            frame.pts_seconds  # Fraction

    They are the frames that `paint_video` would encode; it describes the parameters. Reading and painting go on in threads
    while the caller works on a frame. Nothing is opened, and no argument is checked, before the first frame is requested. The
    file, the threads and the device (unless `stylizer` is given) are closed at the end, after an error, and when the generator
    is closed or garbage collected, so a loop may be left early.

    Raises InputError, StyleError, DeviceError, TooLargeError, LivestyleError. If the source becomes unreadable, the error is
    raised after the last frame that could be read.
    """
    _check_smooth(smooth)
    box = as_size(size)
    start_seconds = _exact_seconds(start)
    duration_seconds = None if duration is None else _exact_seconds(duration)
    with nullcontext(stylizer) if stylizer is not None else Stylizer(style, model, device, strength=strength) as painter:
        look = painter.look(style, strength=strength, keep_colors=keep_colors)
        video = open_video(
            Path(source),
            start_seconds=start_seconds,
            duration_seconds=duration_seconds,
            deinterlace=deinterlace,
            size=lambda width, height: video_size(width, height, box),
        )
        try:
            batch = painter.best_batch(video.info.frame_shape, video.info.frame_count, look)
            with Pipeline(video, painter.engine, ConstantLook(look), offline(batch), smoothing(smooth)) as pipeline:
                yield from _polled(pipeline)
        finally:
            video.close()


def run_video(job: VideoJob, stylizer: Stylizer, progress: ProgressCallback | None = None) -> VideoResult:
    """Paint one video with the stylizer, which stays open. For errors, partial files and Ctrl-C see `paint_video`."""
    _check_target(job)
    look = stylizer.look(job.style, strength=job.strength, keep_colors=job.keep_colors)
    source = open_video(
        job.source,
        start_seconds=job.start_seconds,
        duration_seconds=job.duration_seconds,
        deinterlace=job.deinterlace,
        size=lambda width, height: video_size(width, height, job.size),
        for_gpu=stylizer.engine.takes_nv12 and job.pix_fmt in (None, "yuv420p") and not job.smooth and job.only is None,
        gpu=stylizer.engine.gpu,
    )
    open_writer = partial(
        VideoWriter,
        job.target,
        source.info,
        sound_from=None if is_animated_webp(job.source) else job.source,
        codec=job.codec,
        crf=job.crf,
        preset=job.preset,
        pix_fmt=job.pix_fmt,
        duration_seconds=job.duration_seconds,
        on_gpu=stylizer.engine.takes_nv12,
        gpu=stylizer.engine.gpu,
        overwrite=job.overwrite,
    )
    stages = make_stages(job.smooth, job.only, job.compare)
    return write_painted(source, ConstantLook(look), stylizer, open_writer, stages, progress)


def write_painted(
    source: Source,
    looks: LookSource,
    stylizer: Stylizer,
    open_writer: Callable[[], VideoWriter],
    stages: Sequence[Stage] = (),
    progress: ProgressCallback | None = None,
) -> VideoResult:
    """Paint all frames of a source into a video file, in batches of the fastest size. Closes the source and the writer.

    looks: gives the look of each frame. stages: applied to the painted frames, such as smoothing.
    progress: see `paint_video`.
    For partial files and Ctrl-C see `paint_video`.
    """
    started = time.monotonic()
    report = progress or (lambda _progress: None)
    total = source.info.frame_count
    frames = 0
    writer: VideoWriter | None = None
    with ctrl_c_noted() as interrupted:  # Ctrl-C must not interrupt the writing or completing of the file
        try:
            writer = open_writer()
            report(Progress(0, total, "warming up"))
            with ctrl_c_raised():  # measuring may take long, and nothing has been written yet
                first = looks.at(Fraction(0))
                first = first.start if isinstance(first, Mix) else first
                batch = stylizer.best_batch(source.info.frame_shape, total, first)
            with Pipeline(source, stylizer.engine, looks, offline(batch), stages) as pipeline:
                report(Progress(0, total, "painting"))
                for frame in _polled(pipeline, interrupted):
                    writer.write(frame)
                    frames += 1
                    report(Progress(frames, total, "painting"))
            writer.close()
        except BaseException as error:
            source.close()
            if writer is None:
                raise
            writer.close(error)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"interrupted; {writer.remains}") from None
            if writer.kept and writer.remains not in str(error):
                error.add_note(writer.remains)
            raise
        if interrupted():
            raise KeyboardInterrupt(f"interrupted after {writer.path} was complete")
    return VideoResult(
        writer.path,
        frames,
        writer.width,
        writer.height,
        time.monotonic() - started,
        tuple(source.notes + stylizer.engine.notes + writer.notes),
        tuple(source.damage + writer.damage),
    )


def _polled(pipeline: Pipeline, interrupted: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
    """The painted frames. Raises KeyboardInterrupt, between two frames, when `interrupted` returns True."""
    while not interrupted():
        try:
            frame = pipeline.poll(POLL_SECONDS)  # with a timeout: on Windows Ctrl-C does not end a wait without one
        except StopIteration:
            return
        if frame is not None:
            yield frame
    raise KeyboardInterrupt


def find_videos(folder: Path) -> list[Path]:
    """The videos in a folder, in alphabetical order, without hidden and partial files."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in VIDEO_SUFFIXES
        and not entry.name.startswith(".")  # macOS writes ._NAME beside a file on disks of other systems
        and not is_partial(entry)
    )


def target_in(folder: Path, source: Path) -> Path:
    """The target for a source in a folder: the source's name, with .mp4 if its container cannot be written."""
    return folder / (source.name if source.suffix.lower() in CONTAINERS else f"{source.stem}.mp4")


def _check_target(job: VideoJob) -> None:
    refuse_same_file(job.source, job.target)
    if job.target.exists() and not job.overwrite:
        raise OutputError(f"{job.target} exists; to replace it, pass overwrite=True")


def _check_smooth(smooth: float) -> None:
    if not 0 <= smooth <= 1:
        raise LivestyleError(f"smooth must be from 0, off, to 1, not {smooth!r}")


def _exact_seconds(seconds: Fraction | float) -> Fraction:
    """A time as a fraction; a float is rounded to the microsecond, so that 0.1 is not a little more than 1/10."""
    try:
        exact = Fraction(seconds)
    except (TypeError, ValueError, OverflowError):  # OverflowError: infinity
        exact = Fraction(-1)
    if exact < 0:
        raise LivestyleError(f"{seconds!r} is not a time: pass seconds, 0 or above")
    return exact.limit_denominator(1_000_000) if isinstance(seconds, float) else exact
