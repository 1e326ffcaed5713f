"""Frames in, painted frames out, in the current look."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np

from livestyle.architecture import ARCHITECTURES
from livestyle.engines import Engine, Look, Ticket, choose_device, open_engine
from livestyle.errors import LivestyleError, StyleError, TooLargeError
from livestyle.frame import Image, is_picture, kind_of
from livestyle.gallery import Gallery, parse_blend
from livestyle.style import Body, Header, Style, load_body, load_style

Blend = str | PathLike[str] | Mapping[str, float]

MANY_FRAMES = 32  # for fewer, measuring which batch is best would take longer than it saves


class Stylizer:
    """Paints frames. The look may be changed at any time, also while another thread paints; it counts from the next frame on.

    style: a name, a path to a style file, or a blend: "wave:.7,udnie:.3" or {"wave": .7, "udnie": .3}.
    `livestyle.styles()` lists the names.
    model: "full", "lite", or "auto": full on a GPU if the style has it, else lite if it has that.
    device: "auto", "cpu" (PyTorch), "openvino" (the CPU too), "cuda", "cuda:N" or "mps".
    strength: from 0, the photo, to 1, the painting. keep_colors: the painting's lightness, the photo's colours.

    Raises StyleError for a style that is not there or lacks the model, DeviceError for the device.
    Also a context manager, which gives the device's memory back. Several threads may use one Stylizer.
    """

    def __init__(
        self,
        style: Blend,
        model: str = "auto",
        device: str = "auto",
        *,
        strength: float = 1.0,
        keep_colors: bool = False,
        gallery: Gallery | None = None,
    ) -> None:
        if model != "auto" and model not in ARCHITECTURES:
            raise StyleError(f"no model {model!r}; there are auto, {', '.join(ARCHITECTURES)}")
        self.gallery = gallery or Gallery()
        self._bodies: dict[str, Body] = {}  # hash -> body
        self._styles: dict[Header, Style] = {}
        self._best_batches: dict[tuple[tuple[int, ...], str], int] = {}
        self._changing = threading.Lock()  # or of two threads that change the look, one would undo the other's change
        self._closed = False
        chosen = choose_device(str(device))
        self._models = (model,) if model != "auto" else ("lite", "full") if chosen in ("cpu", "openvino") else ("full", "lite")
        # before the engine is opened, so that a wrong word costs nothing
        self._blend, self._look = style, self._find(style)
        self.strength, self.keep_colors = strength, keep_colors
        self.engine: Engine = open_engine(chosen)
        try:
            self.engine.prepare(self._look.body)
        except BaseException:
            self.close()
            raise

    def load_all(self) -> list[str]:
        """Read every style that the gallery has for this stylizer's models, so that any switch is at once; their names."""
        ready = []
        for name in self.gallery.names:
            try:
                self.engine.prepare(self._find(name).body)
            except StyleError as error:
                self.gallery.notes.append(f"skipped: {error}")
            else:
                ready.append(name)
        return ready

    @property
    def style(self) -> Blend:
        """As it was given."""
        return self._blend

    @style.setter
    def style(self, style: Blend) -> None:
        found = self._find(style)
        self.engine.prepare(found.body)
        with self._changing:
            self._blend, self._look = style, replace(self._look, body=found.body, rows=found.rows)

    @property
    def model(self) -> str:
        """The network in use."""
        return self._look.body.architecture.name

    @property
    def strength(self) -> float:
        """0..1, from photo to painting."""
        return self._look.strength

    @strength.setter
    def strength(self, strength: float) -> None:
        try:
            number = float(strength)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number <= 1:
            raise LivestyleError(f"strength is from 0, the photo, to 1, the painting; {strength!r} is not")
        with self._changing:
            self._look = replace(self._look, strength=number)

    @property
    def keep_colors(self) -> bool:
        """The painting's lightness with the photo's colours."""
        return self._look.keep_colors

    @keep_colors.setter
    def keep_colors(self, keep: bool) -> None:
        with self._changing:
            self._look = replace(self._look, keep_colors=bool(keep))

    @property
    def look(self) -> Look:
        """The current one; it is another object once anything about it was changed."""
        return self._look

    def submit(self, frames: Sequence[Image], look: Look | None = None) -> Ticket:
        """Start painting (H, W, 3) uint8 RGB frames of one size, in a look that was current, or the one that is now.

        Frames may be NV12 too where `engine.takes_nv12`. Raises LivestyleError for anything else, TooLargeError.
        """
        if self._closed:
            raise LivestyleError("this Stylizer is closed; make another")
        for frame in frames:
            if not is_picture(frame, self.engine.takes_nv12):
                raise LivestyleError(f"expected frames (H, W, 3) uint8 RGB, found {kind_of(frame)}")
        shapes = {frame.shape for frame in frames}
        if len(shapes) != 1:
            raise LivestyleError(f"expected one or more frames of one size, found {sorted(shapes) or 'none'}")
        return self.engine.submit([np.ascontiguousarray(frame) for frame in frames], look or self._look)

    def __call__(self, frames: Image) -> Image:
        """(H, W, 3) or (N, H, W, 3) uint8 RGB -> the same shape, painted. Raises LivestyleError for any other array."""
        try:
            frames = np.asarray(frames)
        except (TypeError, ValueError) as error:  # lists of many lengths, tensors that are elsewhere
            raise LivestyleError(f"expected (H, W, 3) or (N, H, W, 3) uint8 RGB, found {kind_of(frames)}: {error}") from error
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3 or 0 in frames.shape[-3:]:
            raise LivestyleError(f"expected (H, W, 3) or (N, H, W, 3) uint8 RGB, found {kind_of(frames)}")
        if frames.ndim == 3:
            return self.submit([frames]).result()[0]
        painted = np.empty_like(frames, order="C")
        size = self.best_batch(frames.shape[1:], len(frames))
        for start in range(0, len(frames), size):
            batch = list(frames[start : start + size])
            painted[start : start + len(batch)] = self.submit(batch).result()
        return painted

    def warm_up(self, height: int, width: int) -> None:
        """Have all that is made for a frame's size, and for keys that mix photo and painting, made before the first frame."""
        for look in (self._look, replace(self._look, strength=0.5)):
            self.submit([np.zeros((height, width, 3), np.uint8)], look).result()

    def best_batch(self, frame_shape: tuple[int, ...], frame_count: int | None = None) -> int:
        """How many frames of that shape are painted together in the least time a frame: measured, once for each and model.

        frame_count: how many there are, None if that is unknown. For few it is 1, unless it was measured before.
        """
        key = (frame_shape, self.model)
        if key not in self._best_batches:
            if frame_count is not None and frame_count < MANY_FRAMES:
                return 1
            self._best_batches[key] = self._measure_batches(frame_shape)
        return self._best_batches[key]

    def _measure_batches(self, frame_shape: tuple[int, ...]) -> int:
        rng = np.random.default_rng(0)
        frames = list(rng.integers(0, 256, (max(self.engine.batches), *frame_shape), np.uint8))

        def seconds_a_frame(size: int) -> float:
            started = time.perf_counter()
            self.submit(frames[:size]).result()
            return (time.perf_counter() - started) / size

        times: dict[int, float] = {}
        for size in self.engine.batches:
            try:
                seconds_a_frame(size)  # what the first run prepares does not count
                times[size] = min(seconds_a_frame(size) for _ in range(2))
            except TooLargeError:
                break  # as every larger one
            if times[size] > 1.5 * min(times.values()):
                break  # painted in strips, say
        return min(times, key=times.__getitem__, default=1)

    def close(self) -> None:
        """Give the device's memory back. May be called twice; nothing can be painted after it."""
        if not self._closed:
            self._closed = True
            self.engine.close()

    def __repr__(self) -> str:
        look = f"strength={self.strength}, keep_colors={self.keep_colors}"
        return f"Stylizer({self.style!r}, model={self.model!r}, device={self.engine.name!r}, {look})"

    def __enter__(self) -> "Stylizer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _find(self, words: Blend) -> Look:
        """The network and the (blended) rows for a style's name."""
        blend = parse_blend(words)
        available = {name: self.gallery.models(name) for name in blend}
        shared = [model for model in self._models if all(model in models for models in available.values())]
        if not shared:
            have = "; ".join(f"{name} is there for {', '.join(models)}" for name, models in available.items())
            raise StyleError(f"the model {' or '.join(self._models)} does not fit: {have}")
        headers = {name: available[name][shared[0]] for name in blend}
        if len({header.body_hash for header in headers.values()}) > 1:
            raise StyleError(f"{' and '.join(headers)} cannot be blended: their bodies differ; blend styles trained together")
        weights = np.array(list(blend.values()), np.float32)
        rows = np.tensordot(weights, np.stack([self._style(headers[name]).rows for name in blend]), 1)
        return Look(self._body(next(iter(headers.values()))), rows)

    def _style(self, header: Header) -> Style:
        if header not in self._styles:
            self._styles[header] = load_style(header)
        return self._styles[header]

    def _body(self, header: Header) -> Body:
        if header.body_hash not in self._bodies:
            self._bodies[header.body_hash] = load_body(self.gallery.body(header))
        return self._bodies[header.body_hash]


def styles() -> list[str]:
    """The names of all styles that are found, in alphabetical order: any may be given to `Stylizer` and `stylize`.

    For their files, networks and origins, and for notes on files that cannot be read, see `livestyle.gallery.Gallery`.
    """
    return Gallery().names


def stylize(
    image: Image,
    style: Blend,
    model: str = "auto",
    device: str = "auto",
    *,
    strength: float = 1.0,
    keep_colors: bool = False,
) -> Image:
    """Paint one picture, (H, W, 3) uint8 RGB -> the same shape. For several, keep a Stylizer."""
    with Stylizer(style, model, device, strength=strength, keep_colors=keep_colors) as stylizer:
        return stylizer(image)
