"""Keys, overlay and messages of a live run."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from livestyle.errors import LivestyleError, OutputError, OutputInUseError, StyleError
from livestyle.frame import Frame
from livestyle.jobs.live.cues import Cue
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.meter import Meter
from livestyle.jobs.live.outputs import Outputs
from livestyle.jobs.live.recorder import Recorder
from livestyle.output_file import partial_files, write_whole
from livestyle.pictures.writing import encode_picture
from livestyle.sinks.overlay import Overlay
from livestyle.sinks.window import Screen
from livestyle.sources.live import Pausable
from livestyle.streaming.working_size import WorkingSize

MESSAGE_SECONDS, ERROR_SECONDS = 3.0, 15.0
STALL_SECONDS = 1.0
"""After this long without a frame, the status line shows that the source has stalled."""
STRENGTH_STEP = 0.1
BLEND_STEP = 0.1
QUIT_KEYS = ("q", "esc")


class Controls:
    """Runs the actions of keys, and describes the state of the run in the overlay.

    folder: where keys save pictures and recordings, as webcam-001, webcam-002 ...
    on_error: called once for each error that does not end the run.
    """

    def __init__(
        self,
        looks: LookControl,
        source: Pausable,
        screen: Screen,
        working_size: WorkingSize,
        recorder: Recorder,
        outputs: Outputs,
        meter: Meter,
        folder: Path,
        on_error: Callable[[Exception], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pictures: list[Path] = []
        """Pictures saved."""
        self.errors: list[Exception] = []
        """Errors since the run began, without repetitions of the same message."""
        self.frame: Frame | None = None
        """The frame that is shown."""
        self.has_quit = False
        self.dropped = 0
        """Frames dropped so far; set by the loop."""
        self.refined_share: float | None = None
        """The share of the training of the refined style that is done, 0 to 1; None without a training."""
        self.cues: dict[str, Cue] = {}
        """The cues that keys fire, by key. They come before the actions of KEYS."""
        self.learn_next: Callable[[], object] = lambda: self.show_message("no MIDI controller is open")
        """Begins to learn the notes and controllers of a MIDI controller, or goes on to the next control."""
        self._cue, self._cue_look = "", ""  # names of the last cue and of its look
        self._looks, self._source, self._screen, self._recorder = looks, source, screen, recorder
        self._working_size, self._outputs = working_size, outputs
        self._meter, self._folder, self._on_error, self._clock = meter, folder, on_error, clock
        self._shows_overlay, self._shows_help, self._compares = True, False, False
        self._message, self._message_until = "?: help", clock() + MESSAGE_SECONDS
        self._frame_at = clock()
        self._rates: list[str] = []  # words of the status

    def show(self, frame: Frame) -> None:
        """Set the frame that is shown from now on."""
        self.frame, self._frame_at = frame, self._clock()
        # kept until the next frame: otherwise each change of a figure would redraw the window once more
        self._rates = [f"{self._meter.fps:.0f} fps", f"{self._meter.delay_ms:.0f} ms"]
        self._rates += [f"{self.dropped} dropped"] if self.dropped else []

    @property
    def stalled_seconds(self) -> float:
        """Seconds since the last new frame."""
        return self._clock() - self._frame_at

    def press(self, key: str) -> None:
        """Fire the cue or run the action of a key; ignore any other. A LivestyleError of the action goes to `fail`."""
        if key in self.cues:
            self.fire(self.cues[key])
            return
        for entry in KEYS:
            if key in entry.keys:
                try:
                    entry.action(self, key)
                except LivestyleError as error:
                    self.fail(error)

    def fire(self, cue: Cue) -> None:
        """Change the look as a cue says. A LivestyleError goes to `fail`."""
        try:
            self._looks.fire(cue)
        except LivestyleError as error:
            self.fail(error)
        else:
            self._cue, self._cue_look = cue.name, self._looks.look.name

    def fail(self, error: Exception) -> None:
        """Show an error. Unless one with the same message came before, pass it to on_error and add it to `errors`."""
        self.show_message(str(error).split("; ")[0], ERROR_SECONDS)  # shortened to fit; on_error gets all of it
        if str(error) not in map(str, self.errors):
            self.errors.append(error)
            self._on_error(error)

    def overlay(self) -> Overlay:
        """The overlay for the current state of the run."""
        if not self._shows_overlay:
            return Overlay(compares=self._compares)
        look, info = self._looks.look, self._source.info
        words = [look.name]
        words += [f"cue {self._cue}"] if look.name == self._cue_look != self._cue else []
        words += self._rates
        width, height = self._working_size.size
        words += [f"painted at {width}x{height}"] if (width, height) != (info.width, info.height) else []
        words += [f"strength {look.strength:.0%}"] if look.strength < 1 else []
        words += ["photo's colours"] if look.keep_colors else []
        words += [f"refining {self.refined_share:.0%}"] if self.refined_share is not None else []
        words += ["paused"] if self._source.paused else []
        words += [f"no frame for {self.stalled_seconds:.0f} s"] if self.stalled_seconds > STALL_SECONDS else []
        words += [self._source.state] if self._source.state else []
        words += [" ".join(filter(None, output)) for output in self._outputs.states().items()]
        minutes, seconds = divmod(int(self._recorder.seconds), 60)
        return Overlay(
            status="   ".join(words),
            recording=f"{minutes}:{seconds:02}" if self._recorder.is_on else "",
            message=self._message if self._clock() < self._message_until else "",
            compares=self._compares,
            page=[*help_lines(), "", *self._style_lines()] if self._shows_help else (),
        )

    def figures(self) -> dict[str, object]:
        """The state of the run, for other programs."""
        look = self._looks.look
        return {
            "seconds": round(self._meter.seconds, 2),
            "style": look.name,
            "cue": self._cue if look.name == self._cue_look else "",
            "strength": look.strength,
            "fps": round(self._meter.fps, 1),
            "delay_ms": round(self._meter.delay_ms),
            "frames": self._meter.frames,
            "dropped": self.dropped,
            "source": self._source.state,
            "recording": self._recorder.is_on,
            "outputs": self._outputs.states(),
        }

    def _style_lines(self) -> list[str]:
        numbered = [f"{number} {name}" for number, name in enumerate(self._looks.styles[:9], 1)]
        cues = [f"{key} {cue.name}" for key, cue in self.cues.items()]
        return ["   ".join(lines[start : start + 3]) for lines in (numbered, cues) for start in range(0, len(lines), 3)]

    def show_message(self, message: str, seconds: float = MESSAGE_SECONDS) -> None:
        """Show a message for this many seconds, in place of the one before."""
        self._message, self._message_until = message, self._clock() + seconds

    # actions of keys

    def select_style(self, key: str) -> None:
        styles = self._looks.styles
        if int(key) <= len(styles):
            self._looks.select(styles[int(key) - 1])
        else:
            self.show_message(f"there are {len(styles)} styles")

    def next_style(self, key: str) -> None:
        self._looks.step(1)

    def previous_style(self, key: str) -> None:
        self._looks.step(-1)

    def stronger(self, key: str) -> None:
        self._looks.add_strength(STRENGTH_STEP)

    def weaker(self, key: str) -> None:
        self._looks.add_strength(-STRENGTH_STEP)

    def blend(self, key: str) -> None:
        try:
            if key == "b":
                self._looks.blend(0.5)
            else:
                self._looks.shift_blend(BLEND_STEP if key == "right" else -BLEND_STEP)
        except StyleError as error:  # advice, not a failure of the run
            self.show_message(str(error))

    def toggle_colors(self, key: str) -> None:
        self._looks.toggle_colors()

    def toggle_comparison(self, key: str) -> None:
        self._compares = not self._compares

    def larger(self, key: str) -> None:
        if not self._working_size.step(1):
            self.show_message("this is the largest working size")

    def smaller(self, key: str) -> None:
        if not self._working_size.step(-1):
            self.show_message("this is the smallest working size")

    def toggle_pause(self, key: str) -> None:
        self._source.paused = not self._source.paused

    def save_picture(self, key: str) -> None:
        if self.frame is not None:
            data = encode_picture(self.frame.image, ".png")
            path = write_to_free_path(self._folder, "png", lambda path: write_whole(path, data, replace=False))
            self.pictures.append(path)
            self.show_message(f"saved {path}")

    def toggle_recording(self, key: str) -> None:
        if self._recorder.is_on:
            path = self._recorder.paths[-1]
            self._recorder.stop()
            self.show_message(f"saved {path}" if path in self._recorder.paths else "nothing was recorded")
        else:
            path = write_to_free_path(self._folder, "mp4", self._recorder.start)
            self.show_message(f"recording {path}")

    def learn(self, key: str) -> None:
        self.learn_next()

    def toggle_full_screen(self, key: str) -> None:
        self._screen.toggle_full_screen()

    def toggle_overlay(self, key: str) -> None:
        self._shows_overlay = not self._shows_overlay

    def toggle_help(self, key: str) -> None:
        self._shows_help = not (self._shows_help and self._shows_overlay)
        self._shows_overlay = True

    def quit(self, key: str) -> None:
        self.has_quit = True


@dataclass(frozen=True)
class Key:
    """One or more keys with one action, and their line on the help page."""

    keys: tuple[str, ...]
    label: str
    help: str
    action: Callable[[Controls, str], None]


KEYS = (
    Key(tuple("123456789"), "1-9", "select a style", Controls.select_style),
    Key(("n",), "n", "next style", Controls.next_style),
    Key(("p",), "p", "previous style", Controls.previous_style),
    Key(("b",), "b", "blend the last two styles", Controls.blend),
    Key(("left", "right"), "arrows", "more of the one style, or of the other", Controls.blend),
    Key(("+", "=", "]"), "+, ]", "more of the painting", Controls.stronger),
    Key(("-", "_", "["), "-, [", "more of the photo", Controls.weaker),
    Key(("c",), "c", "the photo's colours, on or off", Controls.toggle_colors),
    Key((".",), ".", "paint at a larger size: finer strokes, slower", Controls.larger),
    Key((",",), ",", "paint at a smaller size: larger strokes, faster", Controls.smaller),
    Key(("v",), "v", "photo beside the painting, divided where you drag the mouse", Controls.toggle_comparison),
    Key(("space",), "space", "pause or resume", Controls.toggle_pause),
    Key(("s",), "s", "save a picture", Controls.save_picture),
    Key(("r",), "r", "start or stop recording", Controls.toggle_recording),
    Key(("l",), "l", "learn MIDI notes and controllers, or the next one", Controls.learn),
    Key(("f",), "f", "full screen, on or off", Controls.toggle_full_screen),
    Key(("h",), "h", "hide or show everything but the picture", Controls.toggle_overlay),
    Key(("?", "/"), "?", "show or hide this help", Controls.toggle_help),
    Key(QUIT_KEYS, "q, Esc", "quit", Controls.quit),
)


def help_lines() -> list[str]:
    """One line for each key."""
    return [f"{key.label}: {key.help}" for key in KEYS]


def free_path(folder: Path, suffix: str) -> Path:
    """The first of webcam-001, webcam-002 ... that does not exist, is not being written, and has no partial file."""
    number = 1
    while True:
        path = folder / f"webcam-{number:03}.{suffix}"
        if not path.exists() and not partial_files(path):
            return path
        number += 1


def write_to_free_path(folder: Path, suffix: str, write: Callable[[Path], None]) -> Path:
    """Call `write` with a free path and return the path. If another run takes it first, retry with the next."""
    while True:
        path = free_path(folder, suffix)
        try:
            write(path)
        except OutputError as error:
            if not isinstance(error, OutputInUseError) and not isinstance(error.__cause__, FileExistsError):
                raise
        else:
            return path
