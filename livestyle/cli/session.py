"""A person before a live painting: what the keys do, what is shown, recorded and counted."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from livestyle.cli.options import print_line
from livestyle.errors import LivestyleError, OutputError, OutputInUseError
from livestyle.frame import Frame, StreamInfo
from livestyle.output_file import partial_files, write_whole
from livestyle.pictures.writing import encode_picture
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sinks.window import Overlay, Screen
from livestyle.sources.live import Pausable
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import SwitchedLook
from livestyle.streaming.pipeline import Pipeline
from livestyle.stylizer import Stylizer

POLL_SECONDS = 0.01  # how long a key may have to wait for a frame
MESSAGE_SECONDS, ERROR_SECONDS = 3.0, 15.0
STALL_SECONDS = 1.0
"""A source that gives nothing for so long is said to have stalled."""
BLANK = Frame(np.zeros((9, 16, 3), np.uint8), Fraction(0))
STRENGTH_STEP = 0.1
QUIT_KEYS = ("q", "esc")


T = TypeVar("T")


def load(loading: Channel[str | T], screen: Screen, interrupted: Callable[[], bool]) -> T | None:
    """What the channel gives after lines that say what is being loaded; None if it is not waited for.

    The window says what is loaded, and how long already. q, Esc, its close button and Ctrl-C end the wait.
    """
    step, begun_at = "", time.monotonic()
    screen.title = "livestyle: loading"
    while screen.is_open and not interrupted() and screen.key() not in QUIT_KEYS:
        item = loading.poll(POLL_SECONDS)
        if isinstance(item, str):
            step, begun_at = item, time.monotonic()
        elif item is not None:
            return item
        overlay = Overlay(status=f"loading: {step}   {time.monotonic() - begun_at:.0f} s", message="q: quit")
        if overlay != screen.overlay:
            screen.overlay = overlay
            screen.write(BLANK)
    return None


class Meter:
    """Counts the shown frames, how fast they come and how old they are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.frames = 0
        self._clock = clock
        self._recent: deque[tuple[float, float]] = deque(maxlen=30)  # when shown, delay in seconds
        self._first_at = 0.0
        self._delays_ms: Counter[int] = Counter()

    def count(self, frame: Frame) -> None:
        now = self._clock()
        delay = now - frame.captured_at if frame.captured_at is not None else 0.0
        if not self.frames:
            self._first_at = now
        self.frames += 1
        self._recent.append((now, delay))
        self._delays_ms[round(delay * 1000)] += 1

    @property
    def fps(self) -> float:
        """Over the last frames; 0 before the second."""
        return _rate(len(self._recent), self._recent[-1][0] - self._recent[0][0]) if self._recent else 0.0

    @property
    def delay_ms(self) -> float:
        """From the camera to the window, on average over the last frames."""
        return 1000 * sum(delay for _, delay in self._recent) / max(1, len(self._recent))

    @property
    def mean_fps(self) -> float:
        """Over all frames."""
        return _rate(self.frames, self._recent[-1][0] - self._first_at) if self._recent else 0.0

    @property
    def median_delay_ms(self) -> int | None:
        """Over all frames."""
        passed = 0
        for delay_ms, count in sorted(self._delays_ms.items()):
            passed += count
            if 2 * passed >= self.frames:
                return delay_ms
        return None


def _rate(frames: int, seconds: float) -> float:
    return (frames - 1) / seconds if seconds > 0 else 0.0


class Recorder:
    """Writes frames to a video while it is started; the first one's time becomes 0."""

    def __init__(self, info: StreamInfo) -> None:
        # a camera's times are multiples of nothing, and a file's may not start at 0
        self._info = replace(info, frame_count=None, time_base=None, origin_seconds=Fraction(0))
        self.paths: list[Path] = []
        """Of complete recordings, and of the one that is being written."""
        self.kept: list[Path] = []
        """Of what was recorded until an error came."""
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._writer: VideoWriter | None = None
        self._first_pts: Fraction | None = None
        self._last_pts = Fraction(0)

    @property
    def is_on(self) -> bool:
        return self._writer is not None

    @property
    def seconds(self) -> float:
        """Recorded so far."""
        return 0.0 if self._first_pts is None else float(self._last_pts - self._first_pts)

    def start(self, path: Path, overwrite: bool = False) -> None:
        """Raises OutputError, and OutputInUseError if another run is writing the file."""
        self._writer = VideoWriter(path, self._info, overwrite=overwrite)
        self._first_pts = None
        self.paths.append(path)

    def write(self, frame: Frame) -> None:
        """A frame that is given again in a pause is left out. Raises OutputError, and has stopped then."""
        if self._writer is None or (self._first_pts is not None and frame.pts_seconds <= self._last_pts):
            return
        if self._first_pts is None:
            self._first_pts = frame.pts_seconds
        self._last_pts = frame.pts_seconds
        try:
            if not self._writer.path.parent.is_dir():  # the file that is open would take all, and be lost
                raise OutputError(f"cannot write {self._writer.path}: its folder has been removed")
            self._writer.write(replace(frame, pts_seconds=frame.pts_seconds - self._first_pts))
        except Exception as error:  # whatever it is, it ends the recording alone
            self._stop(error)

    def stop(self) -> None:
        """Complete the file; with no frame in it, remove it. Raises OutputError, and has stopped then too."""
        self._stop(None)

    def _stop(self, error: Exception | None) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        nothing = OutputError("nothing was recorded") if self._first_pts is None else None
        try:
            writer.close(error or nothing)
        except Exception as closing_error:
            error = closing_error
        self.notes += [note for note in writer.notes if note not in self.notes]
        self.damage += writer.damage
        if error is not None:
            self.paths.pop()
            self.kept += [writer.kept] if writer.kept is not None else []
            message = str(error) if isinstance(error, OutputError) else f"unexpected {type(error).__name__}: {error}"
            message += "" if writer.remains in message else f"; {writer.remains}"
            raise OutputError(f"the recording has stopped: {message}") from error
        if nothing is not None:
            self.paths.pop()
            self.notes.append(str(nothing))


class Session:
    """Takes painted frames to the screen and the recorder, and does what the keys say."""

    def __init__(
        self,
        stylizer: Stylizer,
        looks: SwitchedLook,
        styles: list[str],
        source: Pausable,
        screen: Screen,
        recorder: Recorder,
        folder: Path = Path(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.meter = Meter(clock)
        self.pictures: list[Path] = []
        self.errors: list[str] = []
        """What failed after the run began."""
        self._stylizer, self._looks, self._styles, self._source = stylizer, looks, styles, source
        self._screen, self._recorder, self._folder, self._clock = screen, recorder, folder, clock
        self._running = True
        self._info, self._help = True, False
        self._message, self._message_until = "h: help", clock() + MESSAGE_SECONDS
        self._shown: Frame | None = None
        self._shown_at = clock()

    def run(self, pipeline: Pipeline, seconds: Fraction | None, interrupted: Callable[[], bool]) -> None:
        """Until a key, the window's close button, Ctrl-C, the source's end, or so many seconds of its time."""
        end_pts: Fraction | None = None
        while self._running and self._screen.is_open and not interrupted():
            try:
                frame = pipeline.poll(POLL_SECONDS)
            except StopIteration:
                return
            if frame is not None:
                if end_pts is None and seconds is not None:
                    end_pts = frame.pts_seconds + seconds
                if end_pts is not None and frame.pts_seconds >= end_pts:
                    return
                self.take(frame)
            elif self._overlay() != self._screen.overlay:  # the source stalls: keys are answered all the same
                self._show(self._shown or BLANK)
            self.press(self._screen.key())

    def take(self, frame: Frame) -> None:
        """Show and record a painted frame."""
        self._shown, self._shown_at = frame, self._clock()
        self._show(frame)
        self.meter.count(frame)
        try:
            self._recorder.write(frame)
        except OutputError as error:
            self.fail(str(error))

    def finish(self) -> None:
        """Complete the recording, if there is one."""
        try:
            self._recorder.stop()
        except OutputError as error:
            self.fail(str(error))

    def press(self, key: str) -> None:
        """Do what KEYS says; other keys do nothing. An error is shown, and does not end the run."""
        for entry in KEYS:
            if key in entry.keys:
                try:
                    entry.action(self, key)
                except LivestyleError as error:
                    self.fail(str(error))

    def fail(self, error: str) -> None:
        """Show an error on the screen, print it, and have it in the exit code."""
        self._say(error.split("; ")[0], ERROR_SECONDS)  # in a line that can be read; the whole is printed
        if error not in self.errors:
            self.errors.append(error)
            print_line(f"livestyle: {error}", err=True)

    def _show(self, frame: Frame) -> None:
        self._screen.title = f"livestyle: {self._looks.look.name}"
        self._screen.overlay = self._overlay()
        self._screen.write(frame)

    def _overlay(self) -> Overlay:
        look = self._looks.look
        stalled_seconds = self._clock() - self._shown_at
        words = [look.name, f"{self.meter.fps:.0f} fps", f"{self.meter.delay_ms:.0f} ms"]
        words += [f"strength {look.strength:.0%}"] if look.strength < 1 else []
        words += ["photo's colours"] if look.keep_colors else []
        words += ["paused"] if self._source.paused else []
        words += [f"no picture for {stalled_seconds:.0f} s"] if stalled_seconds > STALL_SECONDS else []
        minutes, seconds = divmod(int(self._recorder.seconds), 60)
        return Overlay(
            status="   ".join(words) if self._info else "",
            recording=f"{minutes}:{seconds:02}" if self._recorder.is_on else "",
            message=self._message if self._clock() < self._message_until else "",
            page=[*help_lines(), "", *self._style_lines()] if self._help else (),
        )

    def _style_lines(self) -> list[str]:
        numbered = [f"{number} {name}" for number, name in enumerate(self._styles[:9], 1)]
        return ["   ".join(numbered[start : start + 3]) for start in range(0, len(numbered), 3)]

    def _say(self, message: str, seconds: float = MESSAGE_SECONDS) -> None:
        self._message, self._message_until = message, self._clock() + seconds

    def _change(self, style: str | None = None, **changes: Any) -> None:
        """Change the look from the next frame on; what is not named stays."""
        look = replace(self._looks.look, **changes)
        if style is not None:
            look = self._stylizer.look(style, strength=look.strength, keep_colors=look.keep_colors)
        self._looks.look = look

    # actions of the keys

    def pick_style(self, key: str) -> None:
        number = int(key)
        if number <= len(self._styles):
            self._change(style=self._styles[number - 1])
        else:
            self._say(f"there are {len(self._styles)} styles")

    def next_style(self, key: str) -> None:
        self._step_style(1)

    def previous_style(self, key: str) -> None:
        self._step_style(-1)

    def _step_style(self, step: int) -> None:
        current = self._looks.look.name
        # from a blend, or a style given by its path, to the first or the last
        place = self._styles.index(current) if current in self._styles else min(-step, 0)
        if self._styles:
            self._change(style=self._styles[(place + step) % len(self._styles)])

    def stronger(self, key: str) -> None:
        self._change(strength=min(1.0, round(self._looks.look.strength + STRENGTH_STEP, 1)))

    def weaker(self, key: str) -> None:
        self._change(strength=max(0.0, round(self._looks.look.strength - STRENGTH_STEP, 1)))

    def toggle_colors(self, key: str) -> None:
        self._change(keep_colors=not self._looks.look.keep_colors)

    def toggle_pause(self, key: str) -> None:
        self._source.paused = not self._source.paused

    def save_picture(self, key: str) -> None:
        if self._shown is not None:
            data = encode_picture(self._shown.image, ".png")
            path = written_to_free_path(self._folder, "png", lambda path: write_whole(path, data, replace=False))
            self.pictures.append(path)
            self._say(f"saved {path}")

    def toggle_recording(self, key: str) -> None:
        if self._recorder.is_on:
            path = self._recorder.paths[-1]
            self._recorder.stop()
            self._say(f"saved {path}" if path in self._recorder.paths else "nothing was recorded")
        else:
            path = written_to_free_path(self._folder, "mp4", self._recorder.start)
            self._say(f"recording {path}")

    def toggle_full_screen(self, key: str) -> None:
        self._screen.toggle_full_screen()

    def toggle_info(self, key: str) -> None:
        self._info = not self._info

    def toggle_help(self, key: str) -> None:
        self._help = not self._help

    def quit(self, key: str) -> None:
        self._running = False


@dataclass(frozen=True)
class Key:
    """One line of the help page."""

    keys: tuple[str, ...]
    label: str
    help: str
    action: Callable[[Session, str], None]


KEYS = (
    Key(tuple("123456789"), "1-9", "pick a style", Session.pick_style),
    Key(("n",), "n", "next style", Session.next_style),
    Key(("p",), "p", "previous style", Session.previous_style),
    Key(("+", "="), "+", "more of the painting", Session.stronger),
    Key(("-", "_"), "-", "more of the photo", Session.weaker),
    Key(("c",), "c", "the photo's colours, or the painting's", Session.toggle_colors),
    Key(("space",), "space", "pause", Session.toggle_pause),
    Key(("s",), "s", "save a picture", Session.save_picture),
    Key(("r",), "r", "start and stop recording", Session.toggle_recording),
    Key(("f",), "f", "full screen", Session.toggle_full_screen),
    Key(("i",), "i", "show or hide the status line", Session.toggle_info),
    Key(("h",), "h", "this help", Session.toggle_help),
    Key(QUIT_KEYS, "q, Esc", "quit", Session.quit),
)


def help_lines() -> list[str]:
    """The keys, a line each."""
    return [f"{key.label}: {key.help}" for key in KEYS]


def free_path(folder: Path, suffix: str) -> Path:
    """The first of webcam-001, webcam-002 ... that neither exists nor is being written, nor was left by a kill."""
    number = 1
    while True:
        path = folder / f"webcam-{number:03}.{suffix}"
        if not path.exists() and not partial_files(path):
            return path
        number += 1


def written_to_free_path(folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
    """Have a free path written, and return it. If another run takes it at the same instant, the next one."""
    while True:
        path = free_path(folder, suffix)
        try:
            write(path)
        except OutputError as error:
            if not isinstance(error, OutputInUseError) and not isinstance(error.__cause__, FileExistsError):
                raise
        else:
            return path
