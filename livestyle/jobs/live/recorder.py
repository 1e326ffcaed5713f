"""Record a live run, in one or more videos that start and stop during the run."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sound import Sound
from livestyle.streaming.fan_out import FanOut, Output, Policy

OUTPUT_NAME = "recording"


class Recording:
    """A sink that writes one video, with the sound if there is one. Its first frame is at time 0.

    Frames repeated during a pause are left out, and the sound of the pause with them.
    """

    def __init__(self, path: Path, info: StreamInfo, sound: Sound | None = None, overwrite: bool = False) -> None:
        # times are counted from the first recorded frame, so they start at 0 and are multiples of no time base
        info = replace(info, frame_count=None, time_base=None, origin_seconds=Fraction(0))
        self.writer = VideoWriter(path, info, sound=sound, overwrite=overwrite)
        self.notes = self.writer.notes
        self._first_pts: Fraction | None = None
        self._last_pts = Fraction(0)

    @property
    def is_empty(self) -> bool:
        return self._first_pts is None

    @property
    def seconds(self) -> float:
        """Seconds from the first recorded frame to the last one; 0 before the first."""
        return 0.0 if self._first_pts is None else float(self._last_pts - self._first_pts)

    def write(self, frame: Frame) -> None:
        if self._first_pts is None:
            self._first_pts = frame.pts_seconds
        elif frame.pts_seconds <= self._last_pts:
            return
        self._last_pts = frame.pts_seconds
        if not self.writer.path.parent.is_dir():  # an open file would still accept data, all of it lost
            raise OutputError(f"cannot write {self.writer.path}: its folder has been removed")
        self.writer.write(replace(frame, pts_seconds=frame.pts_seconds - self._first_pts))

    def close(self, error: BaseException | None = None) -> None:
        """Complete the file, or delete it if it has no frame. After an error, keep the partial file if it has a frame."""
        self.writer.close(OutputError("nothing was recorded") if error is None and self.is_empty else error)


class Recorder:
    """Makes recordings, one at a time, as an output of a fan-out: encoding has its own thread.

    fan_out: when the output of this name fails, its on_failure must call `failed`.
    info: describes the frames that are written to the fan-out. sound: recorded with them.
    """

    def __init__(self, fan_out: FanOut, info: StreamInfo, sound: Sound | None = None, name: str = OUTPUT_NAME) -> None:
        self.paths: list[Path] = []
        """Complete recordings, and the current one."""
        self.kept: list[Path] = []
        """Partial files of recordings that failed."""
        self.notes: list[str] = []
        self.damage: list[str] = []
        self._fan_out, self._name = fan_out, name
        self._info, self._sound = info, sound
        self._recording: Recording | None = None

    @property
    def is_on(self) -> bool:
        return self._recording is not None

    @property
    def seconds(self) -> float:
        """Duration of the current recording so far; 0 without one."""
        return self._recording.seconds if self._recording is not None else 0.0

    def start(self, path: Path, overwrite: bool = False) -> None:
        """Record from the next frame on. Raises OutputError, and OutputInUseError if another run is writing the file."""
        self._recording = Recording(path, self._info, self._sound, overwrite)
        self._fan_out.add(Output(self._name, self._recording, Policy.WAIT))
        self.paths.append(path)

    def stop(self) -> None:
        """Complete the current recording, if there is one. Raises OutputError if that fails; it has then ended too."""
        if self._recording is None:
            return
        try:
            self._fan_out.remove(self._name)
        except Exception as error:
            raise self.failed(error) from error
        recording = self._end()
        if recording.is_empty:
            self.paths.pop()
            self.notes.append("nothing was recorded")

    def failed(self, error: BaseException) -> OutputError:
        """End the current recording after its output in the fan-out has failed. Returns the error to report."""
        writer = self._end().writer
        self.paths.pop()
        self.kept += [writer.kept] if writer.kept is not None else []
        message = str(error) if isinstance(error, OutputError) else f"unexpected {type(error).__name__}: {error}"
        message += "" if writer.remains in message else f"; {writer.remains}"
        return OutputError(f"the recording has stopped: {message}")

    def _end(self) -> Recording:
        """Add the notes and damage of the current recording to those of the recorder. There is no current one afterwards."""
        assert self._recording is not None
        recording, self._recording = self._recording, None
        self.notes += [note for note in recording.notes if note not in self.notes]
        self.damage += recording.writer.damage
        return recording
