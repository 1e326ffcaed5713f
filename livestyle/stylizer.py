"""Paint frames with styles found by name."""

import math
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np

from livestyle.engines.base import Engine, Ticket
from livestyle.engines.devices import choose_device, open_engine
from livestyle.errors import LivestyleError, StyleError, TooLargeError
from livestyle.frame import FloatArray, Image, is_picture, kind_of
from livestyle.look import Look
from livestyle.networks import ARCHITECTURES
from livestyle.networks.body import Body
from livestyle.style_files.blend import parse_blend
from livestyle.style_files.file_format import StyleHeader, load_body, load_rows
from livestyle.style_files.gallery import Gallery

Blend = str | PathLike[str] | Mapping[str, float]
"""A style's name, the path of a style file, or a blend: "wave:.7,udnie:.3" or {"wave": .7, "udnie": .3}."""

MANY_FRAMES = 32  # for fewer frames, measuring the best batch size takes longer than it saves


class Stylizer:
    """Paints frames in any style that the gallery has for its device and model. Several threads may use one Stylizer.

    style: the default style; see Blend. `livestyle.styles()` lists the names.
    model: "full", "lite", or "auto": the network made for the device if the style has it, else any other.
    device: "auto", "cpu" (PyTorch), "openvino" (also the CPU), "cuda", "cuda:N" or "mps".
    strength: from 0, the photo, to 1, the painting. keep_colors: the painting's lightness with the photo's colours.

    Raises StyleError for a style that does not exist or lacks the model, DeviceError for an unavailable device.
    Use it as a context manager, or call `close`, to free the device's memory.
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
        self._rows: dict[StyleHeader, FloatArray] = {}
        self._best_batches: dict[tuple[tuple[int, ...], str], int] = {}
        self._loading = threading.Lock()  # so that equal bodies are loaded once
        self._closed = False
        chosen = choose_device(str(device))
        kind = "cpu" if chosen in ("cpu", "openvino") else "gpu"
        preferred = sorted(ARCHITECTURES, key=lambda name: ARCHITECTURES[name].made_for != kind)
        self._models = preferred if model == "auto" else [model]
        # validate the arguments before opening the device
        self.default_look = self._find(style, strength, keep_colors)
        self.engine: Engine = open_engine(chosen)
        try:
            self.engine.prepare(self.default_look.body)
        except BaseException:
            self.close()
            raise

    def look(self, style: Blend | None = None, *, strength: float | None = None, keep_colors: bool | None = None) -> Look:
        """A look to paint with; what is not given is as in the default look. Its network is loaded to the device.

        Raises StyleError for the style, LivestyleError for a strength that is not from 0 to 1.
        """
        default = self.default_look
        strength = default.strength if strength is None else strength
        keep_colors = default.keep_colors if keep_colors is None else keep_colors
        if style is None:
            return replace(default, strength=_checked(strength), keep_colors=bool(keep_colors))
        look = self._find(style, strength, keep_colors)
        self.engine.prepare(look.body)
        return look

    def load_all(self) -> list[str]:
        """Load every style that the gallery has for this stylizer's models, so that switching is immediate; their names."""
        ready = []
        for name in self.gallery.names:
            try:
                self.look(name)
            except StyleError as error:
                self.gallery.notes.append(f"skipped: {error}")
            else:
                ready.append(name)
        return ready

    @property
    def model(self) -> str:
        """The network of the default look."""
        return self.default_look.body.architecture.name

    def submit(self, frames: Sequence[Image], looks: Look | Sequence[Look] | None = None) -> Ticket:
        """Start painting (H, W, 3) uint8 RGB frames of one size; NV12 frames too if `engine.takes_nv12`.

        looks: one for all frames, or one per frame, all with one network; None for the default look.
        Raises LivestyleError for anything else, TooLargeError for frames that do not fit the memory.
        """
        if self._closed:
            raise LivestyleError("this Stylizer is closed; make another")
        for frame in frames:
            if not is_picture(frame, self.engine.takes_nv12):
                raise LivestyleError(f"expected frames (H, W, 3) uint8 RGB, found {kind_of(frame)}")
        shapes = {frame.shape for frame in frames}
        if len(shapes) != 1:
            raise LivestyleError(f"expected one or more frames of one size, found {sorted(shapes) or 'none'}")
        if looks is None or isinstance(looks, Look):
            looks = [looks or self.default_look] * len(frames)
        if len(looks) != len(frames):
            raise LivestyleError(f"expected one look, or {len(frames)}, one for each frame; found {len(looks)}")
        if any(look.body != looks[0].body for look in looks):
            raise LivestyleError("the looks of one batch have different networks; submit a batch for each")
        return self.engine.submit([(np.ascontiguousarray(frame), look) for frame, look in zip(frames, looks, strict=True)])

    def __call__(self, frames: Image, look: Look | None = None) -> Image:
        """(H, W, 3) or (N, H, W, 3) uint8 RGB -> the same shape, painted in a look, or in the default one.

        Raises LivestyleError for any other array.
        """
        try:
            frames = np.asarray(frames)
        except (TypeError, ValueError) as error:  # lists of unequal lengths, tensors on another device
            raise LivestyleError(f"expected (H, W, 3) or (N, H, W, 3) uint8 RGB, found {kind_of(frames)}: {error}") from error
        if frames.dtype != np.uint8 or frames.ndim not in (3, 4) or frames.shape[-1] != 3 or 0 in frames.shape[-3:]:
            raise LivestyleError(f"expected (H, W, 3) or (N, H, W, 3) uint8 RGB, found {kind_of(frames)}")
        if frames.ndim == 3:
            return self.submit([frames], look).result()[0]
        painted = np.empty_like(frames, order="C")
        size = self.best_batch(frames.shape[1:], len(frames))
        for start in range(0, len(frames), size):
            batch = list(frames[start : start + size])
            painted[start : start + len(batch)] = self.submit(batch, look).result()
        return painted

    def warm_up(self, height: int, width: int) -> None:
        """Build every per-size resource, including the mixed variant, before the first frame."""
        for look in (self.default_look, replace(self.default_look, strength=0.5)):
            self.submit([np.zeros((height, width, 3), np.uint8)], look).result()

    def best_batch(self, frame_shape: tuple[int, ...], frame_count: int | None = None) -> int:
        """The batch size that takes the least time per frame of that shape. Measured once per shape and model.

        frame_count: the number of frames to paint, None if unknown. For few frames it is 1, unless it was measured before.
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

        def seconds_per_frame(size: int) -> float:
            started = time.perf_counter()
            self.submit(frames[:size]).result()
            return (time.perf_counter() - started) / size

        times: dict[int, float] = {}
        for size in self.engine.batches:
            try:
                seconds_per_frame(size)  # the first run includes preparation
                times[size] = min(seconds_per_frame(size) for _ in range(2))
            except TooLargeError:
                break  # larger batches are too large as well
            if times[size] > 1.5 * min(times.values()):
                break  # painted in strips, for example
        return min(times, key=times.__getitem__, default=1)

    def close(self) -> None:
        """Free the device's memory. Idempotent; nothing can be painted afterwards."""
        if not self._closed:
            self._closed = True
            self.engine.close()

    def __repr__(self) -> str:
        return f"Stylizer({self.default_look!r}, device={self.engine.name!r})"

    def __enter__(self) -> "Stylizer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _find(self, style: Blend, strength: float, keep_colors: bool) -> Look:
        """The look of a style or a blend, with its body loaded from disk."""
        strength, blend = _checked(strength), parse_blend(style)
        available = {name: self.gallery.models(name) for name in blend}
        shared = [model for model in self._models if all(model in models for models in available.values())]
        if not shared:
            have = "; ".join(f"{name} is there for {', '.join(models)}" for name, models in available.items())
            raise StyleError(f"the model {' or '.join(self._models)} does not fit: {have}")
        headers = {name: available[name][shared[0]] for name in blend}
        if len({header.body_hash for header in headers.values()}) > 1:
            raise StyleError(f"{' and '.join(headers)} cannot be blended: their bodies differ; blend styles trained together")
        weights = np.array(list(blend.values()), np.float32)
        with self._loading:
            rows = np.tensordot(weights, np.stack([self._load_rows(headers[name]) for name in blend]), 1)
            body = self._body(next(iter(headers.values())))
        words = style if isinstance(style, str) else ",".join(f"{name}:{share:.2g}" for name, share in blend.items())
        return Look(body, rows, strength, bool(keep_colors), words if len(blend) > 1 else next(iter(blend)))

    def _load_rows(self, header: StyleHeader) -> FloatArray:
        if header not in self._rows:
            self._rows[header] = load_rows(header)
        return self._rows[header]

    def _body(self, header: StyleHeader) -> Body:
        if header.body_hash not in self._bodies:
            self._bodies[header.body_hash] = load_body(self.gallery.body(header))
        return self._bodies[header.body_hash]


def _checked(strength: float) -> float:
    """The strength as a float. Raises LivestyleError if it is not a number from 0 to 1."""
    try:
        number = float(strength)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise LivestyleError(f"strength is from 0, the photo, to 1, the painting; {strength!r} is not")
    return number


def styles() -> list[str]:
    """The names of all styles found, in alphabetical order. Each may be given to `Stylizer` and `stylize`.

    For their files, networks and origins, and for notes on unreadable files, see `livestyle.style_files.gallery.Gallery`.
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
    """Paint one picture, (H, W, 3) uint8 RGB -> the same shape. For several pictures, keep a Stylizer."""
    with Stylizer(style, model, device, strength=strength, keep_colors=keep_colors) as stylizer:
        return stylizer(image)
