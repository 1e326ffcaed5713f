"""Paint a camera, a stream or a video in real time: in a window, and recorded.

    source ─▶ pipeline ─▶ fan-out ─▶ screen, in the main thread
                                  ─▶ recording, in its own thread
"""

# on Linux, cv2 must be imported before av: otherwise the window hangs
from livestyle.sinks.window import Screen, on_lost_display

# isort: split

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import NoReturn

from livestyle.errors import DeviceError, InputError, OutputError, StyleError, hide_passwords
from livestyle.interrupt import ctrl_c_noted
from livestyle.jobs.live.beat import Beat
from livestyle.jobs.live.controls import QUIT_KEYS
from livestyle.jobs.live.cues import NO_CUES, Cue, Show, shuffled
from livestyle.jobs.live.look_control import FADE_SECONDS, LookControl
from livestyle.jobs.live.loop import BLANK, POLL_SECONDS, LiveLoop
from livestyle.jobs.live.outputs import is_file
from livestyle.jobs.live.refined_style import RefinedStyle, picture_of
from livestyle.jobs.live.remote.remote_control import Receivers
from livestyle.jobs.live.source import open_live_source, refuse_source, with_sound
from livestyle.jobs.live.style_watch import StyleWatch
from livestyle.jobs.stages import make_stages
from livestyle.look import Look
from livestyle.sinks.overlay import Overlay
from livestyle.size import Size
from livestyle.sources.live import Mirrored, Pausable
from livestyle.streaming.channel import Channel
from livestyle.streaming.comparison import with_photos
from livestyle.streaming.pipeline import JOIN_TIMEOUT_SECONDS, LIVE, Pipeline
from livestyle.streaming.still import StillEngine
from livestyle.streaming.working_size import WorkingSize
from livestyle.stylizer import Blend, Stylizer


@dataclass(frozen=True)
class LiveJob:
    """Description of a live run: what to paint, and whether to record it. Picklable.

    The model and the device belong to the Stylizer that runs the job.
    """

    camera: str = "0"
    """A camera's index, name or device, a URL, the path of a video file, "screen" or a part of it, "-" for raw frames on standard
    input, or "demo"; see `open_live_source`."""
    style: Blend = "wave"
    """The style at the start; keys change it."""
    size: Size | None = None
    """The box, in pixels, that frames are scaled to fit; see `livestyle.size`. None: the size of the source."""
    rate: Fraction | None = None
    """Frames per second of the screen, of raw frames, or of "demo"; None for 30. Only those have a rate that can be chosen."""
    loop: bool = False
    """Whether to repeat a video file without end."""
    mirror: bool = False
    """Whether to mirror the frames: to swap left and right."""
    strength: float = 1.0
    """Strength of the style, from 0, the photo, to 1, the painting."""
    keep_colors: bool = False
    """Keep the photo's colours; only the lightness is painted."""
    smooth: float = 0.0
    """How much to reduce flicker, by following motion from frame to frame: from 0, off, to 1."""
    compare: bool = False
    """Whether the frames show the photo in their left half, also in recordings."""
    skip: bool = True
    """Whether to show the last painting again, for at most a second, while the picture stands still."""
    only: str | None = None
    """Paint only the "person", or only the "background"; None for all of the picture. Also in recordings."""
    fade_seconds: float = FADE_SECONDS
    """Duration of the crossfade when a key changes the style; 0 for a cut."""
    show: Show = NO_CUES
    """Cues, which keys and the time fire. The run starts with the one of time 0, if there is one, instead of `style`."""
    shuffle_seconds: float | None = None
    """If given, the style changes at random after each of these times, at least 0.1. The cues of `show` are then not timed."""
    osc: str | None = None
    """Receive OSC messages at this UDP port, from this machine only; or at "HOST:PORT", from others too. See `CONTROLS`."""
    midi: str | None = None
    """Follow the MIDI port with this in its name."""
    sound: str = "source"
    """Whose sound to use: "source" for the source's own, "microphone" for the default one, a part of the name of a microphone,
    or "none". A microphone needs the extra `sound`."""
    on_beat: int | None = None
    """If given, the next cue of `show`, or else the next style, follows on every `on_beat`-th beat of the sound, at most three
    times a second. The cues are then not timed, and `shuffle_seconds` is not used."""
    seconds: Fraction | None = None
    """Stop after this much of the source's time. None: when the user quits or the source ends."""
    record: Path | None = None
    """Record to this file from the first frame on. A key starts and stops further recordings."""
    outputs: tuple[str, ...] = ()
    """Outputs besides the screen, from the first frame on: paths of files, URLs of servers that accept a stream (rtmp, rtmps,
    rtsp, srt), "camera" for a virtual camera, and "-" for raw frames on standard output."""
    overwrite: bool = False
    """Whether the files to record to may be replaced if they exist."""
    refine: Mapping[str, object] | None = None
    """If given, `style` must be a picture: its rows are trained during the run, in a process of its own at low priority, shown as
    they get better, and saved as a style. The mapping has conf file keys, which replace those of the bundled minute.yml."""
    folder: Path = Path()
    """Folder for the pictures and recordings that keys save and start."""

    @property
    def files(self) -> list[Path]:
        """The files that are written from the first frame on."""
        paths = [Path(target) for target in self.outputs if is_file(target)]
        return paths if self.record is None else [self.record, *paths]


@dataclass(frozen=True)
class LiveResult:
    """Counts, files and errors of a run so far."""

    captured: int = 0
    """Number of frames read from the source."""
    frames: int = 0
    """Number of frames shown."""
    dropped: int = 0
    """Number of frames replaced by newer ones, or in progress when the run ended."""
    failed: int = 0
    """Number of frames that could not be painted."""
    reused: int = 0
    """Number of frames shown for which the last painting was used again, as the picture stood still."""
    fps: float = 0.0
    """Mean rate of the frames shown, in frames per second."""
    median_delay_ms: int | None = None
    """Median latency from capture to display, in milliseconds; None if no frame was shown."""
    p99_delay_ms: int | None = None
    """99th percentile of that latency, in milliseconds."""
    recordings: tuple[Path, ...] = ()
    """Files of the recordings that were completed."""
    kept: tuple[Path, ...] = ()
    """Partial files of recordings that failed; they can be played."""
    pictures: tuple[Path, ...] = ()
    """Files of the pictures that the user saved with a key."""
    refined: Path | None = None
    """The style file that refined rows were saved to."""
    notes: tuple[str, ...] = ()
    """Informational notes; no data was lost."""
    damage: tuple[str, ...] = ()
    """Parts of the source or of a recording that were lost."""
    errors: tuple[Exception, ...] = ()
    """Errors after the first frame: of a recording, of a saved picture, or the one that ended the run."""


class LiveSession:
    """One run of a live job.

    screen: a Window, which needs the main thread, or NoWindow. Closed at the end.
    on_error: called with each error that does not end the run, and with the one that ends it after the first frame.
    on_second: called about once a second with figures of the run, which can be written as JSON.
    on_lost_display: called with the result if the X server dies; the process then ends with exit code 1.
    """

    def __init__(
        self,
        job: LiveJob,
        screen: Screen,
        on_error: Callable[[Exception], object] = lambda error: None,
        on_lost_display: Callable[[LiveResult], object] = lambda result: None,
        on_second: Callable[[dict[str, object]], object] = lambda figures: None,
    ) -> None:
        self._job, self._screen = job, screen
        self._on_error, self._on_lost_display, self._on_second = on_error, on_lost_display, on_second
        self._opened: _Opened | None = None
        self._loop: LiveLoop | None = None
        self._pipeline: Pipeline | None = None
        self._still: StillEngine | None = None

    def run(self, open_stylizer: Callable[[], AbstractContextManager[Stylizer]]) -> LiveResult:
        """Show and record until the user quits, the source ends, or the job's `seconds` are over.

        open_stylizer: returns the stylizer, as a context manager that is left at the end: `lambda: Stylizer("wave")`, or
            `lambda: nullcontext(stylizer)` for one that stays open. Called in another thread while the screen shows what is
            being opened.

        Raises the error that prevents the first frame: InputError, DeviceError, StyleError, OutputError for `record`. Later
        errors are in the result. Raises KeyboardInterrupt after Ctrl-C. In each case recordings are completed, and `result` is
        up to date.
        """
        with closing(self._screen), ctrl_c_noted() as interrupted:
            _check_files(self._job)
            # a thread that waits for a camera without an answer is left running after this timeout
            with Channel(self._open(open_stylizer), 1, join_timeout_seconds=JOIN_TIMEOUT_SECONDS) as opening:
                self._opened = wait_for_opened(opening, self._screen, interrupted)
            if self._opened is not None:
                self._paint(self._opened, interrupted)
            if interrupted():
                raise KeyboardInterrupt
        return self.result

    @property
    def result(self) -> LiveResult:
        """Counts, files and errors of the run so far."""
        if self._opened is None or self._loop is None:
            return LiveResult()
        source, stylizer, loop, pipeline = self._opened.source, self._opened.stylizer, self._loop, self._pipeline
        recorded_notes = [recorder.notes for recorder in loop.recorders]
        captured, failed = (pipeline.captured, pipeline.failed) if pipeline is not None else (0, 0)
        return LiveResult(
            captured=captured,
            frames=loop.meter.frames,
            dropped=captured - loop.meter.frames - failed,
            failed=failed,
            reused=0 if self._still is None else self._still.reused,
            fps=round(loop.meter.mean_fps, 2),
            median_delay_ms=loop.meter.delay_percentile_ms(0.5),
            p99_delay_ms=loop.meter.delay_percentile_ms(0.99),
            recordings=tuple(path for recorder in loop.recorders for path in recorder.paths),
            kept=tuple(path for recorder in loop.recorders for path in recorder.kept),
            pictures=tuple(loop.controls.pictures),
            refined=None if loop.refined is None else loop.refined.path,
            notes=_joined(source.notes, stylizer.engine.notes, *recorded_notes, loop.outputs.notes, loop.notes),
            damage=_joined(source.damage, *(recorder.damage for recorder in loop.recorders), loop.outputs.damage),
            errors=tuple(loop.controls.errors),
        )

    def _open(self, open_stylizer: Callable[[], AbstractContextManager[Stylizer]]) -> "Iterator[str | _Opened]":
        """Open the source and the stylizer. Yields a line of text before each step, then both. Closes them after an error."""
        job = self._job
        resources = ExitStack()
        try:
            receivers = resources.enter_context(closing(Receivers(job.osc, job.midi)))
            yield f"camera {hide_passwords(job.camera)}"
            source = resources.enter_context(closing(open_live_source(job.camera, job.size, job.rate, job.loop)))
            source = resources.enter_context(closing(with_sound(source, job.sound)))
            if job.on_beat is not None and source.sound is None:
                name = hide_passwords(job.camera)
                raise InputError(f"cannot follow the beat: {name} has no sound", advice="add --sound microphone")
            yield f"style {job.style}"
            stylizer = resources.enter_context(open_stylizer())
            for cue in job.show.cues:
                _check_cue(cue, stylizer)
            look = _first_look(job, stylizer)
            styles = stylizer.load_all()
            refined = None if job.refine is None else RefinedStyle(picture_of(look, stylizer.gallery), look, stylizer.gallery)
            if refined is not None:
                look, styles = refined.look, [refined.look.name, *styles]
            width, height = source.info.width, source.info.height
            yield f"{stylizer.engine.name} at {width}x{height}"
            stylizer.warm_up(height, width, look)
            pausable = Pausable(Mirrored(source) if job.mirror else source)
            yield _Opened(pausable, stylizer, styles, look, refined, receivers, resources)
        except BaseException:
            resources.close()
            raise

    def _paint(self, opened: "_Opened", interrupted: Callable[[], bool]) -> None:
        job, source, stylizer = self._job, opened.source, opened.stylizer
        self._screen.resize(source.info.width, source.info.height)
        looks = LookControl(stylizer, opened.styles, opened.look, job.fade_seconds)
        working_size = WorkingSize(source)
        loop = self._loop = LiveLoop(looks, source, working_size, self._screen, job.folder, self._on_error)
        try:
            if job.record is not None:
                loop.recorder.start(job.record, job.overwrite)
            for target in job.outputs:
                loop.outputs.add(target, job.overwrite)
            self._still = StillEngine(stylizer.engine)
            engine = self._still if job.skip else stylizer.engine
            stages = [*make_stages(job.smooth, job.only, job.compare), with_photos, working_size.restore]
            self._pipeline = Pipeline(working_size, engine, looks, LIVE, stages)
            loop.controls.cues = {cue.key: cue for cue in job.show.cues if cue.key}
            loop.receive(opened.receivers, job.show.cues)
            loop.watch(StyleWatch(stylizer, time.monotonic))
            if job.on_beat is not None and source.sound is not None:
                loop.change_on_beat(Beat(source.sound, job.on_beat), job.show.in_turn())
            else:
                loop.schedule(job.show.entries())
            if job.shuffle_seconds is not None and job.on_beat is None:
                loop.schedule(shuffled(opened.styles, opened.look.name, job.shuffle_seconds, Random()))
            if opened.refined is not None and job.refine is not None:
                loop.refine(opened.refined, job.refine)
            with self._pipeline, on_lost_display(self._end_process):
                try:
                    loop.run(self._pipeline, job.seconds, interrupted, self._on_second)
                finally:
                    loop.end_outputs()
                    source.stop()
        except Exception as error:
            if not loop.meter.frames:
                raise
            loop.controls.fail(error)
        finally:
            loop.close()
            if self._pipeline is None or not self._pipeline.is_stuck:
                opened.resources.close()

    def _end_process(self) -> NoReturn:
        """Complete the recording, and end the process with code 1, as the display is lost: the library would end it anyway."""
        assert self._loop is not None
        try:
            self._loop.controls.fail(DeviceError("the connection to the display was lost; is its server still running?"))
            self._loop.complete_recordings()  # not the screen, which cannot be used any more
            self._loop.end_refinement()
            self._on_lost_display(self.result)
            sys.stdout.flush()
        finally:
            os._exit(1)


def _joined(*lists: list[str]) -> tuple[str, ...]:
    """All lines of the lists, each once."""
    return tuple(dict.fromkeys(line for lines in lists for line in lines))


def _first_look(job: LiveJob, stylizer: Stylizer) -> Look:
    cue = job.show.first or Cue("")
    return stylizer.look(
        job.style if cue.style is None else cue.style,
        strength=job.strength if cue.strength is None else cue.strength,
        keep_colors=job.keep_colors if cue.keep_colors is None else cue.keep_colors,
    )


def _check_cue(cue: Cue, stylizer: Stylizer) -> None:
    """Load the style of a cue. Raises StyleError if it does not exist or lacks the model."""
    if cue.style is None:
        return
    try:
        stylizer.look(cue.style)
    except StyleError as error:
        raise StyleError(f"the cue {cue.name}: {error}") from error


def _check_files(job: LiveJob) -> None:
    """Raise OutputError if a file to write is the source, is named twice, or exists and may not be replaced."""
    found: set[Path] = set()
    for path in job.files:
        refuse_source(job.camera, path)
        if (real_path := Path(os.path.realpath(path))) in found:
            raise OutputError(f"the output {path} is named twice")
        found.add(real_path)
        if path.exists() and not job.overwrite:
            raise OutputError(f"{path} exists; to replace it, pass overwrite=True")


@dataclass(frozen=True)
class _Opened:
    """The source and the stylizer, which take seconds to open. To close them, close `resources`."""

    source: Pausable
    stylizer: Stylizer
    styles: list[str]
    look: Look
    refined: RefinedStyle | None
    receivers: Receivers
    resources: ExitStack


def wait_for_opened(opening: "Channel[str | _Opened]", screen: Screen, interrupted: Callable[[], bool]) -> "_Opened | None":
    """Show the current step and its duration until the opened resources arrive; None if the user quits first."""
    step, begun_at = "", time.monotonic()
    screen.title = "livestyle: loading"
    while screen.is_open and not interrupted() and screen.key() not in QUIT_KEYS:
        item = opening.poll(POLL_SECONDS)
        if isinstance(item, str):
            step, begun_at = item, time.monotonic()
        elif item is not None:
            return item
        overlay = Overlay(status=f"loading: {step}   {time.monotonic() - begun_at:.0f} s", message="q: quit")
        if overlay != screen.overlay:
            screen.overlay = overlay
            screen.write(BLANK)
    return None
