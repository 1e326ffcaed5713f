"""The loop of a live run, from painted frames and keys to the screen and the other outputs."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from livestyle.errors import LivestyleError, OutputError, TrainingError
from livestyle.frame import Frame
from livestyle.jobs.live.beat import Beat
from livestyle.jobs.live.controls import Controls
from livestyle.jobs.live.cues import Cue, Schedule
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.meter import Meter
from livestyle.jobs.live.outputs import Outputs
from livestyle.jobs.live.recorder import OUTPUT_NAME as RECORDING
from livestyle.jobs.live.recorder import Recorder
from livestyle.jobs.live.refined_style import RefinedStyle
from livestyle.jobs.live.refinement import Refinement
from livestyle.jobs.live.remote.remote_control import Receivers, RemoteControl
from livestyle.jobs.live.style_watch import StyleWatch
from livestyle.sinks.window import Screen
from livestyle.sources.live import Pausable
from livestyle.streaming.fan_out import FanOut, Output, Policy
from livestyle.streaming.pipeline import Pipeline
from livestyle.streaming.working_size import WorkingSize

POLL_SECONDS = 0.01
"""The longest delay between a key press and its action while no frame arrives."""
LATE_SECONDS = 0.5
"""A run with a time limit waits this long for a frame that is later than the limit, then the clock ends it."""
BLANK = Frame(np.zeros((9, 16, 3), np.uint8), Fraction(0))
"""Shown under the overlay before the first painted frame."""
SCREEN = "screen"
"""Name of the output that shows the frames."""


class LiveLoop:
    """Writes painted frames to the screen and the other outputs, and handles keys. Use it only in the screen's thread."""

    def __init__(
        self,
        looks: LookControl,
        source: Pausable,
        working_size: WorkingSize,
        screen: Screen,
        folder: Path,
        on_error: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = Meter(clock)
        self._fan_out = FanOut([Output(SCREEN, screen, Policy.INLINE)], self._output_failed)
        self.recorder = Recorder(self._fan_out, source.info, source.sound)
        self.outputs = Outputs(self._fan_out, source.info, source.sound)
        self.controls = Controls(
            *(looks, source, screen, working_size, self.recorder, self.outputs, self.meter, folder, on_error, clock)
        )
        self.refined: RefinedStyle | None = None
        """The style whose refined rows were saved; None as long as none were."""
        self.notes: list[str] = []
        """Informational notes on the refined style and on remote messages."""
        self._looks, self._source, self._screen, self._clock = looks, source, screen, clock
        self._refinement: Refinement | None = None
        self._watch: StyleWatch | None = None
        self._remote: RemoteControl | None = None
        self._beat: Beat | None = None
        self._beat_cues: Iterator[Cue] = iter(())
        self.schedule(iter(()))

    def run(
        self,
        pipeline: Pipeline,
        seconds: Fraction | None,
        interrupted: Callable[[], bool],
        on_second: Callable[[dict[str, object]], object] = lambda figures: None,
    ) -> None:
        """Run until the user quits or closes the window, `interrupted` returns True, or the source ends.

        seconds: stop after this much of the source's time; None for no limit. While the source gives no frames, the clock counts.
        on_second: called once a second with `Controls.figures`.
        """
        report_at = self._clock() + 1
        end_pts: Fraction | None = None
        end_at = math.inf
        while not self.controls.has_quit and self._screen.is_open and not interrupted():
            try:
                frame = pipeline.poll(POLL_SECONDS)
            except StopIteration:
                return
            self.controls.dropped = pipeline.dropped
            if frame is not None:
                if end_pts is None and seconds is not None:
                    end_pts, end_at = frame.pts_seconds + seconds, self._clock() + float(seconds)
                if end_pts is not None and frame.pts_seconds >= end_pts:
                    return
                self.write(frame)
            elif self._clock() >= end_at and self.controls.stalled_seconds > LATE_SECONDS:
                return
            else:
                self._refresh()
            self.follow_refinement(pipeline.dropped)
            self.follow_schedule()
            self.follow_beat()
            self.follow_styles()
            self.follow_remote()
            self.controls.press(self._screen.key())
            if self._clock() >= report_at:
                report_at = self._clock() + 1
                on_second(self.controls.figures())

    def write(self, frame: Frame) -> None:
        """Write a painted frame to all outputs. An error of the screen is raised; one of another is passed to the controls."""
        self.controls.show(frame)
        self._update_screen()
        self._fan_out.write(frame)
        self.meter.count(frame)

    def _refresh(self) -> None:
        """Redraw the overlay if it has changed, and report a failed recording; called while no frame arrives."""
        self._fan_out.report_failures()
        if self.controls.overlay() != self._screen.overlay:
            self._update_screen()
            self._screen.write(self.controls.frame or BLANK)

    def _update_screen(self) -> None:
        self._screen.title = f"livestyle: {self._looks.look.name}"
        self._screen.overlay = self.controls.overlay()

    def refine(self, style: RefinedStyle, settings: Mapping[str, object]) -> None:
        """Start to train the rows of a style in the background, unless an earlier run has completed that.

        If it fails, the controls report the error.

        settings: conf file keys for the training, which replace those of the style.
        """
        self._looks.refine(style.look)
        if style.is_complete:
            self.notes.append(f"{style.look.name} is refined already; its style is {style.name} ({style.path})")
            return
        try:
            self._refinement = Refinement(style, settings)
        except OSError as error:
            self.controls.fail(TrainingError(f"cannot start the training of {style.look.name}: {error.strerror}"))

    def schedule(self, entries: Iterator[tuple[float, Cue]]) -> None:
        """Fire cues at their times, in seconds since the first call of `follow_schedule`."""
        self._schedule = Schedule(entries, self._clock)

    def follow_schedule(self) -> None:
        """Fire the cue whose time has come, if there is one."""
        if (cue := self._schedule.due()) is not None:
            self.controls.fire(cue)

    def receive(self, receivers: Receivers, cues: Sequence[Cue]) -> None:
        """Run the messages of these receivers; they fire these cues."""
        self._remote = RemoteControl(receivers, self.controls, self._looks, self.recorder, cues)
        if receivers.mapper is not None:
            self.controls.learn_next = self._remote.learn_next

    def follow_remote(self) -> None:
        """Run the remote messages that have arrived, if there are any."""
        if self._remote is not None:
            self._remote.follow()

    def change_on_beat(self, beat: Beat, cues: Iterator[Cue]) -> None:
        """Fire the next of the cues at each beat; without cues, select the next style."""
        self._beat, self._beat_cues = beat, cues

    def follow_beat(self) -> None:
        """Change the look if a beat is due."""
        if self._beat is not None and self._beat.is_due(self.controls.frame):
            cue = next(self._beat_cues, None)
            if cue is None:
                self.controls.press("n")
            else:
                self.controls.fire(cue)

    def watch(self, watch: StyleWatch) -> None:
        """Add styles whose files are added during the run."""
        self._watch = watch

    def follow_styles(self) -> None:
        """Add the styles whose files are new, if there are any."""
        if self._watch is not None and (changed := self._watch.changed()):
            new = [look.name for look in changed if look.name not in self._looks.styles]
            self._looks.replace_styles([*self._looks.styles, *new], changed)
            self.controls.show_message(f"new style: {', '.join(look.name for look in changed)}")

    def follow_refinement(self, dropped: int) -> None:
        """Show the newest rows of the training, if there is one. When it ends, save the rows, or report its error.

        dropped: frames dropped so far; if several are dropped in a second, the training is paused half of the time.
        """
        if self._refinement is None:
            return
        self._refinement.share_cores(dropped, self._clock())
        try:
            progress = self._refinement.poll()
        except StopIteration:
            self.end_refinement()
            if self.refined is not None:
                self.controls.show_message(f"refined; saved as {self.refined.name}")
        except TrainingError as error:
            self.end_refinement()
            self.controls.fail(error)
        else:
            if progress is not None:
                self._looks.refine(replace(self._refinement.style.look, rows=progress.rows))
                self.controls.refined_share = progress.share

    def end_refinement(self) -> None:
        """End the training, if there is one, and save the newest rows. If that fails, the controls report the error."""
        if self._refinement is None:
            return
        refinement, self._refinement, self.controls.refined_share = self._refinement, None, None
        refinement.close()
        if refinement.newest is not None:
            try:
                refinement.style.save(refinement.newest.rows, refinement.newest.share)
            except LivestyleError as error:
                self.controls.fail(error)
            else:
                self.refined = refinement.style
                self.notes.append(f"{self.refined.look.name} is refined; its style is {self.refined.name} ({self.refined.path})")

    def end_outputs(self) -> None:
        """Begin to end the outputs, and do not wait for them: they then end while the source does. No frame may follow."""
        self._fan_out.end()

    def complete_recordings(self) -> None:
        """Complete all files. If one cannot be completed, the controls report the error."""
        try:
            self.recorder.stop()
        except OutputError as error:
            self.controls.fail(error)
        for failure in self.outputs.complete():
            self.controls.fail(failure)

    @property
    def recorders(self) -> list[Recorder]:
        """All recorders of the run: the one that a key controls, and those of the outputs."""
        return [self.recorder, *self.outputs.recorders]

    def close(self) -> None:
        """Complete the files, end the training and the other outputs, and close the screen."""
        with ExitStack() as ending:
            ending.callback(self._fan_out.close)
            ending.callback(self.end_refinement)
            self.complete_recordings()
            self.notes += [] if self._remote is None else self._remote.notes

    def _output_failed(self, name: str, error: BaseException) -> None:
        """Raise the error if it is the screen's. If another output failed, report its error and continue without it.

        Without a window, the run ends with its last output.
        """
        if name == SCREEN:
            raise error
        self.controls.fail(self.recorder.failed(error) if name == RECORDING else self.outputs.failed(name, error))
        if not self._screen.is_visible and not self.recorder.is_on and not self.outputs:
            self.controls.has_quit = True
