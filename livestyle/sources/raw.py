"""Raw frames from standard input, as `ffmpeg -f rawvideo -pix_fmt rgb24 -` writes them."""

import io
import os
import select
import sys
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from livestyle.errors import InputError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.sound import Sound
from livestyle.sources.pace import RATE, TIME_BASE, Pace

POLL_SECONDS = 0.1
"""The longest time from `stop` to the end of a read from a pipe that nothing is written to."""
STALLED_SECONDS = 2.0
"""After this long without a whole frame, `state` reports it."""
CATCH_UP_SECONDS = 1.0
"""Frames that were delayed by up to this much are read at once, so that the delay does not stay."""
ADVICE = "for example: ffmpeg -i in.mp4 -s 640x360 -f rawvideo -pix_fmt rgb24 - | livestyle webcam --camera - --size 640x360"


class RawFrames:
    """A live source that reads frames of (height, width, 3) bytes RGB, without headers, from standard input or another file.

    A frame is read when it is due at `rate`, not earlier: a program that writes as fast as it can is slowed down to real time.
    A program that writes in real time is not slowed down if its rate is `rate` or lower. Frames that are delayed are read
    at once. An incomplete last frame is listed in `damage`. `read` raises InputError if there is not even one frame.

    width, height: of the frames, in pixels.
    descriptor: of the file or pipe, which is not closed. Raises InputError for a terminal.
    clock, wait: see Pace.
    """

    def __init__(
        self,
        width: int,
        height: int,
        *,
        rate: Fraction | int = RATE,
        descriptor: int = 0,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if os.isatty(descriptor):
            raise InputError("standard input is a terminal; pipe raw frames into it", advice=ADVICE)
        self._pace, self._clock = Pace(rate, CATCH_UP_SECONDS, clock, wait), clock
        self.info = StreamInfo(width, height, rate=Fraction(rate), live=True, time_base=TIME_BASE)
        self.sound: Sound | None = None
        self.notes: list[str] = []
        self.damage: list[str] = []
        try:
            self._file = io.FileIO(descriptor, closefd=False)
        except OSError as error:  # a folder, or closed
            raise InputError(f"cannot read standard input: {error.strerror}") from error
        self._is_first = True
        self._waiting_since: float | None = None  # clock time at which `read` began to wait for data; None while it does not

    @property
    def state(self) -> str:
        """What is wrong at the moment: that there is no data. Empty otherwise. Any thread may read it."""
        waiting_since = self._waiting_since
        is_stalled = waiting_since is not None and self._clock() - waiting_since > STALLED_SECONDS
        return "standard input gives no frames" if is_stalled else ""

    def read(self) -> Frame | None:
        """Return the next frame; None at the end of the file, and after `stop` or `close`."""
        if self._file.closed or not self._pace.wait():
            return None
        image = np.empty(self.info.frame_shape, np.uint8)  # (H, W, 3)
        self._waiting_since = self._clock()
        try:
            count = self._fill(image)
        finally:
            self._waiting_since = None
        if count == image.nbytes:
            self._is_first = False
            captured_at = self._clock()
            return Frame(image, self._pace.pts_seconds(captured_at), captured_at)
        if not self._pace.is_stopped:
            self._end(count, image)
        return None

    def stop(self) -> None:
        """End the waiting of `read`. Another thread may call it."""
        self._pace.stop()

    def close(self) -> None:
        self.stop()
        self._file.close()

    def _fill(self, image: Image) -> int:
        """Read into the image. Returns the number of bytes read, which is lower at the end of the file and after `stop`."""
        data, count = image.data.cast("B"), 0
        while count < len(data) and self._wait_for_data():
            try:
                read = self._file.readinto(data[count:])
            except OSError as error:
                raise InputError(f"cannot read standard input: {error.strerror}") from error
            if read == 0:
                break
            count += read or 0  # None: another program has made the pipe non-blocking, and has read the data first
        return count

    def _wait_for_data(self) -> bool:
        """Wait until there is data or the end of the file. Returns False after `stop`."""
        if sys.platform == "win32":  # has no way to wait for a pipe and a stop at once; a reading thread may be left behind
            return not self._pace.is_stopped
        while not self._pace.is_stopped:
            if select.select([self._file], [], [], POLL_SECONDS)[0]:
                return True
        return False

    def _end(self, count: int, image: Image) -> None:
        """Close the file, and check that it has not ended within a frame of which there are `count` bytes."""
        self.close()
        incomplete = f"{count:,} of its {image.nbytes:,} bytes" if count else ""
        if self._is_first:
            size = f"{self.info.width}x{self.info.height}"
            found = f"the first frame of {size} is incomplete: {incomplete}; is the size right?" if count else "it is empty"
            raise InputError(f"no frame on standard input: {found}")
        if count:
            self.damage.append(f"standard input ended within a frame: {incomplete}; is the size right?")
