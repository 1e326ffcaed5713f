"""The sink that writes raw frames to a pipe, at a constant rate."""

from fractions import Fraction
from typing import BinaryIO

import numpy as np

from livestyle.errors import OutputError
from livestyle.frame import Frame, StreamInfo

LONGEST_GAP_SECONDS = 1
"""A longer gap between two frames is not filled by repeating a frame: the output pauses."""


class RawFrames:
    """Writes rgb24 frames, as FFmpeg's rawvideo demuxer reads them, at the rate in `info` or else 30 frames per second.

    Raw video has no times. So a frame that lasts longer than one interval is written several times, and a frame that another
    one follows within the interval is left out.
    """

    def __init__(self, file: BinaryIO, info: StreamInfo) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        self.state = ""
        self._file, self._rate = file, info.rate or Fraction(30)
        self._origin: Fraction | None = None  # presentation time of the first frame in the file, moved by what gaps leave out
        self._written = 0
        self._last: bytes | None = None
        self.notes.append(f"raw frames: rgb24, {info.width}x{info.height}, {float(self._rate):g} frames per second")

    def write(self, frame: Frame) -> None:
        """Write the frames up to this one. Raises OutputError if the pipe is closed."""
        if self._origin is None:
            self._origin = frame.pts_seconds
        place = round((frame.pts_seconds - self._origin) * self._rate)  # of this frame in the output
        if place - self._written > LONGEST_GAP_SECONDS * self._rate:
            self._origin += (place - self._written) / self._rate
            place = self._written
        data = np.ascontiguousarray(frame.image).tobytes()
        try:
            while self._last is not None and self._written < place:
                self._file.write(self._last)
                self._written += 1
            if self._written == place:
                self._file.write(data)
                self._file.flush()
                self._written += 1
        except (OSError, ValueError) as error:
            raise OutputError(f"the raw frames cannot be written: {getattr(error, 'strerror', None) or error}") from error
        self._last = data

    def close(self, error: BaseException | None = None) -> None:
        pass
