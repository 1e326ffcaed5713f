"""Read an animated WebP with Pillow: FFmpeg before version 8.1 cannot read these files."""

from fractions import Fraction
from pathlib import Path
from typing import Unpack

import numpy as np
from PIL import Image as Pillow
from PIL import UnidentifiedImageError
from PIL.WebPImagePlugin import WebPImageFile

from livestyle.errors import InputError
from livestyle.frame import Frame, Image, StreamInfo
from livestyle.sources.video.options import VideoOptions

MOST_PIXELS = 1 << 26

DEFAULT_MS = 100
"""Duration of a frame whose declared duration is 0, as in browsers."""


class AnimatedWebP:
    """Reads an animated WebP; transparency is composited over black.

    The options are those of VideoOptions; for_gpu, gpu and deinterlace have no effect.

    Raises InputError if there is no frame to read, and what `size` raises to refuse the file.
    """

    def __init__(self, path: Path, **options: Unpack[VideoOptions]) -> None:
        self.notes: list[str] = []
        self.damage: list[str] = []
        try:
            file = Pillow.open(path, formats=["WEBP"])
        except (OSError, ValueError, UnidentifiedImageError, Pillow.DecompressionBombError) as error:
            raise InputError(f"cannot read {path}: {error}") from None
        assert isinstance(file, WebPImageFile)
        start_seconds, duration_seconds = options.get("start_seconds", 0), options.get("duration_seconds")
        self._file, self._next, self._time_ms = file, 0, 0
        self._start_ms = int(start_seconds * 1000)
        self._end_ms = None if duration_seconds is None else self._start_ms + round(duration_seconds * 1000)
        try:
            width, height = file.size
            if width * height > MOST_PIXELS:
                raise InputError(f"{path} is too large: {width}x{height}")
            if "size" in options:
                width, height = options["size"](width, height)
            if file.mode == "RGBA":
                self.notes.append("transparency is composited over black")
            count = file.n_frames if not start_seconds and duration_seconds is None else None
            origin = Fraction(self._start_ms, 1000)
            self.info = StreamInfo(width, height, None, count, time_base=Fraction(1, 1000), origin_seconds=origin)
            self._first = self._read()
            if self._first is None:
                raise InputError(f"{path} has no frame at or after {float(start_seconds):g} s")
        except BaseException:
            file.close()
            raise

    def read(self) -> Frame | None:
        """The next frame; None after the last one."""
        first, self._first = self._first, None
        return first or self._read()

    def close(self) -> None:
        self._first = None
        self._next = self._file.n_frames
        self._file.close()

    def _read(self) -> Frame | None:
        count = self._file.n_frames
        while self._next < count:
            begin_ms = self._time_ms
            if self._end_ms is not None and begin_ms >= self._end_ms:
                return None
            try:
                self._file.seek(self._next)
                self._file.load()
            except (OSError, ValueError, EOFError):
                self.damage.append(f"{count - self._next} of {count} frames could not be decoded")
                self._next = count
                return None
            self._next += 1
            self._time_ms += int(self._file.info.get("duration") or 0) or DEFAULT_MS
            if self._time_ms > self._start_ms:
                begin_ms = max(begin_ms, self._start_ms)
                end_ms = self._time_ms if self._end_ms is None else min(self._time_ms, self._end_ms)
                time, duration = (Fraction(ms, 1000) for ms in (begin_ms - self._start_ms, end_ms - begin_ms))
                return Frame(self._image(), time, duration_seconds=duration)
        return None

    def _image(self) -> Image:
        """The file's current frame as (H, W, 3) uint8 RGB, composited over black and scaled."""
        rgba = np.asarray(self._file.convert("RGBA"))  # (h, w, 4)
        over_black = (rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127) // 255  # (h, w, 3)
        image = Pillow.fromarray(over_black.astype(np.uint8))
        return np.asarray(image.resize((self.info.width, self.info.height), Pillow.Resampling.BILINEAR)).copy()
