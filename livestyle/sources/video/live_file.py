"""Read a video file as the source of a live run: with its sound, and again from the beginning."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from livestyle.frame import Frame, Source
from livestyle.sound import Sound
from livestyle.sources.video.audio import FileAudio, open_audio
from livestyle.sources.video.file import open_video


class LiveFile:
    """Reads a video file, with its sound. `Paced` gives its frames the time of their presentation.

    size: function from the (width, height) of the file's frames to the (width, height) that they are scaled to.
    loop: whether to begin again after the last frame; the times go on. Raises InputError if the file cannot be read.
    """

    def __init__(self, path: Path, *, size: Callable[[int, int], tuple[int, int]], loop: bool = False) -> None:
        self.damage: list[str] = []
        self._path, self._size, self._loop = path, size, loop
        self._offset = Fraction(0)  # of the times of the current round
        self._end = Fraction(0)  # of the last frame, in the times of this source
        self._file: Source = open_video(path, size=size)
        self.notes = self._file.notes
        self.info = replace(self._file.info, frame_count=None) if loop else self._file.info
        self._audio: FileAudio | None = open_audio(path, self._file.info.origin_seconds)
        self.sound = None if self._audio is None else Sound()

    def read(self) -> Frame | None:
        frame = self._file.read()
        if frame is None:
            self._note_damage()
            if not self._loop:
                return None
            self._begin_again()
            frame = self._file.read()
            if frame is None:
                return None
        duration = frame.duration_seconds or 1 / (self.info.rate or Fraction(30))
        end = frame.pts_seconds + duration
        pts = self._offset + frame.pts_seconds
        self._end = self._offset + end
        if self._audio is None or self.sound is None:
            return replace(frame, pts_seconds=pts)
        self._audio.add_until(end, self.sound, self._offset)
        return replace(frame, pts_seconds=pts, sound_seconds=pts)

    def close(self) -> None:
        self._file.close()
        if self._audio is not None:
            self._audio.close()

    def _begin_again(self) -> None:
        self.close()
        self._offset = self._end
        self._file = open_video(self._path, size=self._size)
        self._audio = open_audio(self._path, self._file.info.origin_seconds)

    def _note_damage(self) -> None:
        """Add the damage of the round that ends, without repetitions."""
        found = self._file.damage + ([] if self._audio is None else self._audio.damage)
        self.damage += [line for line in found if line not in self.damage]
