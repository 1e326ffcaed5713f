"""The loop of a live run, from painted frames and keys to the screen and the recording."""

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from livestyle.errors import OutputError
from livestyle.frame import Frame
from livestyle.jobs.live.controls import Controls
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.meter import Meter
from livestyle.jobs.live.recorder import OUTPUT_NAME as RECORDING
from livestyle.jobs.live.recorder import Recorder
from livestyle.sinks.window import Screen
from livestyle.sources.live import Pausable
from livestyle.streaming.fan_out import FanOut, Output, Policy
from livestyle.streaming.pipeline import Pipeline

POLL_SECONDS = 0.01
"""The longest delay between a key press and its action while no frame arrives."""
BLANK = Frame(np.zeros((9, 16, 3), np.uint8), Fraction(0))
"""Shown under the overlay before the first painted frame."""
SCREEN = "screen"
"""Name of the output that shows the frames."""


class LiveLoop:
    """Writes painted frames to the screen and the recording, and handles keys. Use it only in the screen's thread."""

    def __init__(
        self,
        looks: LookControl,
        source: Pausable,
        screen: Screen,
        folder: Path,
        on_error: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = Meter(clock)
        self._fan_out = FanOut([Output(SCREEN, screen, Policy.INLINE)], self._output_failed)
        self.recorder = Recorder(self._fan_out, source.info)
        self.controls = Controls(looks, source, screen, self.recorder, self.meter, folder, on_error, clock)
        self._looks, self._screen = looks, screen

    def run(self, pipeline: Pipeline, seconds: Fraction | None, interrupted: Callable[[], bool]) -> None:
        """Run until the user quits or closes the window, `interrupted` returns True, or the source ends.

        seconds: stop after this much of the source's time; None for no limit.
        """
        end_pts: Fraction | None = None
        while not self.controls.has_quit and self._screen.is_open and not interrupted():
            try:
                frame = pipeline.poll(POLL_SECONDS)
            except StopIteration:
                return
            if frame is not None:
                if end_pts is None and seconds is not None:
                    end_pts = frame.pts_seconds + seconds
                if end_pts is not None and frame.pts_seconds >= end_pts:
                    return
                self.write(frame)
            else:
                self._refresh()
            self.controls.press(self._screen.key())

    def write(self, frame: Frame) -> None:
        """Show and record a painted frame. An error of the screen is raised; one of the recording is passed to the controls."""
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

    def complete_recording(self) -> None:
        """Stop the recording, if there is one. If it cannot be completed, the controls report the error."""
        try:
            self.recorder.stop()
        except OutputError as error:
            self.controls.fail(error)

    def close(self) -> None:
        """Complete the recording and close the screen."""
        self.complete_recording()
        self._fan_out.close()

    def _output_failed(self, name: str, error: BaseException) -> None:
        """Raise the error if it is the screen's. If the recording failed, report its error and continue without it."""
        if name != RECORDING:
            raise error
        self.controls.fail(self.recorder.failed(error))
