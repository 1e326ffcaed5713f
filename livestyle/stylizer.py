"""The Python API for painting: arrays in, arrays out, styles by name."""

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
from livestyle.style_files.file_format import PredictedStyle, StyleHeader, load_body, load_rows
from livestyle.style_files.gallery import Gallery

Blend = str | PathLike[str] | Mapping[str, float]
"""A style's name, the path of a style file, the path of a picture of a painting, or a blend of these: "wave:.7,udnie:.3" or
{"wave": .7, "painting.jpg": .3}. The rows of a picture are predicted, which takes about half a second for a new picture."""

MANY_FRAMES = 32  # for fewer frames, measuring the best batch size takes longer than it saves


class Stylizer:
    """Paints frames on one device, in any style of a gallery. Several threads may use one Stylizer.

    style: the style to paint in by default, see Blend; `livestyle.styles()` lists the names.
    model: the network, "full" or "lite"; "auto" prefers the one made for the device, and takes another if the style lacks it.
    device: "auto", "cpu" (PyTorch), "openvino" (also the CPU), "cuda", "cuda:N" or "mps".
    strength: from 0 (the photo) to 1 (the painting). keep_colors: paint the lightness only, keep the photo's colours.
    gallery: the styles that can be named; None for those in the default folders.

    Raises StyleError if the style does not exist or lacks the model, DeviceError if the device is not available,
    LivestyleError if the strength is not from 0 to 1. Use it as a context manager, or call `close`, to free the device's memory.
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
            raise StyleError(f"no model {model!r}; use one of auto, {', '.join(ARCHITECTURES)}")
        self.gallery = gallery or Gallery()
        self._bodies: dict[str, Body] = {}  # hash -> body
        self._rows: dict[StyleHeader, FloatArray] = {}
        self._best_batches: dict[tuple[tuple[int, ...], str], int] = {}
        self._loading = threading.Lock()  # guards _bodies and _rows
        self._closed = False
        chosen = choose_device(str(device))
        kind = "cpu" if chosen in ("cpu", "openvino") else "gpu"
        preferred = sorted(ARCHITECTURES, key=lambda name: ARCHITECTURES[name].made_for != kind)
        self._models = preferred if model == "auto" else [model]
        self.default_look = self._find(style, strength, keep_colors)  # validates arguments before opening the device
        self.engine: Engine = open_engine(chosen)
        try:
            self.engine.prepare(self.default_look.body)
        except BaseException:
            self.close()
            raise

    def look(self, style: Blend | None = None, *, strength: float | None = None, keep_colors: bool | None = None) -> Look:
        """Return a look to pass to `submit` or `__call__`. Arguments that are None are taken from the default look.

        Copies the look's network to the device, so that the first frame starts without delay.
        Raises StyleError if the style does not exist or lacks the model, LivestyleError if the strength is not from 0 to 1.
        """
        default = self.default_look
        strength = default.strength if strength is None else strength
        keep_colors = default.keep_colors if keep_colors is None else keep_colors
        if style is None:
            return replace(default, strength=_checked_strength(strength), keep_colors=bool(keep_colors))
        look = self._find(style, strength, keep_colors)
        self.engine.prepare(look.body)
        return look

    def predict(self, picture: Image, name: str) -> Look:
        """Predict the look of a painting from its picture, (H, W, 3) uint8 RGB, without adding it to the gallery.

        Takes half a second. name: of the look. Raises StyleError if the picture is too small, or if no network of this stylizer
        has a predictor.
        """
        from livestyle.style_files.from_picture import predict_rows  # imports OpenCV

        for model in self._models:
            for predictor in self.gallery.predictors:
                if predictor.architecture == model:
                    with self._loading:
                        body = self._body(predictor)
                    self.engine.prepare(body)
                    return Look(body, predict_rows(picture, name, predictor), name=name)
        raise StyleError(f"the model {' or '.join(self._models)} has no predictor, so a picture cannot be used as a style")

    def load_all(self) -> list[str]:
        """Load every style of the gallery that has this stylizer's model, so that switching is immediate. Returns their names.

        The last ones are those that were predicted from pictures so far.

        For each style that cannot be loaded, a note is added to `gallery.notes`.
        """
        loaded = []
        for name in [*self.gallery.names, *self.gallery.predicted]:
            try:
                self.look(name)
            except StyleError as error:
                self.gallery.notes.append(f"skipped: {error}")
            else:
                loaded.append(name)
        return loaded

    def reload_styles(self) -> None:
        """Read the folders of the gallery again: for styles that were added, replaced or removed. Looks remain valid."""
        gallery = Gallery(self.gallery.folders)
        gallery.predicted = self.gallery.predicted
        with self._loading:
            self.gallery = gallery
            self._rows.clear()

    @property
    def model(self) -> str:
        """Name of the default look's network."""
        return self.default_look.body.architecture.name

    def submit(self, frames: Sequence[Image], looks: Look | Sequence[Look] | None = None) -> Ticket:
        """Start painting a batch of frames, (H, W, 3) uint8 RGB, all of one size. They may be NV12 if `engine.takes_nv12`.

        looks: one for all frames, or one per frame, all with the same body; None for the default look.
        Raises LivestyleError for other frames, or if the number or the bodies of the looks do not match. Raises TooLargeError
        if a frame does not fit in memory.
        """
        if self._closed:
            raise LivestyleError("this Stylizer is closed; open another one")
        for frame in frames:
            if not is_picture(frame, self.engine.takes_nv12):
                raise LivestyleError(f"expected frames (H, W, 3) uint8 RGB, found {kind_of(frame)}")
        shapes = {frame.shape for frame in frames}
        if len(shapes) != 1:
            raise LivestyleError(f"expected one or more frames of one size, found {sorted(shapes) or 'none'}")
        if looks is None:
            looks = self.default_look
        if isinstance(looks, Look):
            looks = [looks] * len(frames)
        if len(looks) != len(frames):
            raise LivestyleError(f"expected one look, or one for each of {len(frames)} frames, found {len(looks)} looks")
        if any(look.body != looks[0].body for look in looks):
            raise LivestyleError("the looks of one batch have different bodies; submit a batch for each body")
        return self.engine.submit([(np.ascontiguousarray(frame), look) for frame, look in zip(frames, looks, strict=True)])

    def __call__(self, frames: Image, look: Look | None = None) -> Image:
        """Paint one frame, (H, W, 3) uint8 RGB, or several, (N, H, W, 3). Returns a new array of the same shape.

        look: None for the default look. Raises LivestyleError for other arrays, TooLargeError if a frame does not fit in memory.
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
        size = self.best_batch(frames.shape[1:], len(frames), look)
        for start in range(0, len(frames), size):
            batch = list(frames[start : start + size])
            painted[start : start + len(batch)] = self.submit(batch, look).result()
        return painted

    def warm_up(self, height: int, width: int, look: Look | None = None) -> None:
        """Paint a blank frame of this size, with and without mixing, so that the first real frame starts without delay.

        look: a look with the network to prepare; None for the default look.
        """
        look = look or self.default_look
        for strength in (1.0, 0.5):
            self.submit([np.zeros((height, width, 3), np.uint8)], replace(look, strength=strength)).result()

    def best_batch(self, frame_shape: tuple[int, ...], frame_count: int | None = None, look: Look | None = None) -> int:
        """Return the batch size with the least time per frame of this shape. It is measured once per shape and model.

        frame_count: number of frames to paint; None if unknown. Below MANY_FRAMES, returns 1 unless it was measured before.
        look: the look to paint in; None for the default look.
        """
        look = look or self.default_look
        key = (frame_shape, look.body.architecture.name)
        if key not in self._best_batches:
            if frame_count is not None and frame_count < MANY_FRAMES:
                return 1
            self._best_batches[key] = self._measure_batches(frame_shape, look)
        return self._best_batches[key]

    def _measure_batches(self, frame_shape: tuple[int, ...], look: Look) -> int:
        """Paint random frames with each of the engine's batch sizes, and return the fastest one."""
        rng = np.random.default_rng(0)
        frames = list(rng.integers(0, 256, (max(self.engine.batches), *frame_shape), np.uint8))

        def seconds_per_frame(size: int) -> float:
            started = time.perf_counter()
            self.submit(frames[:size], look).result()
            return (time.perf_counter() - started) / size

        times: dict[int, float] = {}
        for size in self.engine.batches:
            try:
                seconds_per_frame(size)  # the first run includes preparation
                times[size] = min(seconds_per_frame(size) for _ in range(2))
            except TooLargeError:
                break  # larger batches are too large as well
            if times[size] > 1.5 * min(times.values()):
                break  # for example, the batch does not fit in memory and is painted in parts
        return min(times, key=times.__getitem__, default=1)

    def close(self) -> None:
        """Free the device's memory. Idempotent. Painting afterwards raises LivestyleError."""
        if not self._closed:
            self._closed = True
            self.engine.close()

    def __repr__(self) -> str:
        look, device = self.default_look, self.engine.name
        return (
            f"Stylizer({look.name!r}, model={self.model!r}, device={device!r}, "
            f"strength={look.strength}, keep_colors={look.keep_colors})"
        )

    def __enter__(self) -> "Stylizer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _find(self, style: Blend, strength: float, keep_colors: bool) -> Look:
        """Return the look of a style or blend. Loads rows and body from disk if they are not loaded yet. Raises StyleError."""
        strength, blend = _checked_strength(strength), parse_blend(style)
        headers = self._choose({name: self.gallery.files_of(name) for name in blend})
        weights = np.array(list(blend.values()), np.float32)
        with self._loading:
            rows = np.tensordot(weights, np.stack([self._load_rows(header) for header in headers]), 1)
            body = self._body(headers[0])
        names = [
            header.name if isinstance(header, PredictedStyle) else name for name, header in zip(blend, headers, strict=True)
        ]
        as_text = ",".join(f"{name}:{share:.2g}" for name, share in zip(names, blend.values(), strict=True))
        if isinstance(style, str) and names == list(blend):
            as_text = style
        return Look(body, rows, strength, bool(keep_colors), name=as_text if len(names) > 1 else names[0])

    def _choose(self, available: Mapping[str, Sequence[StyleHeader]]) -> list[StyleHeader]:
        """Choose a file for each style, so that all files are for one body of the preferred model. Raises StyleError if none are.

        available: style -> its files.
        """
        models = {name: {header.architecture for header in files} for name, files in available.items()}
        shared = [model for model in self._models if all(model in found for found in models.values())]
        if not shared:
            have = "; ".join(f"{name} has {', '.join(sorted(found))}" for name, found in models.items())
            raise StyleError(f"the model {' or '.join(self._models)} is not available: {have}")
        for model in shared:
            for first in next(iter(available.values())):
                same_body = [[file for file in files if file.body_hash == first.body_hash] for files in available.values()]
                if first.architecture == model and all(same_body):
                    return [files[0] for files in same_body]
        raise StyleError(f"{' and '.join(available)} cannot be blended: their bodies differ; blend styles trained together")

    def _load_rows(self, header: StyleHeader) -> FloatArray:
        if isinstance(header, PredictedStyle):  # the picture may have changed since
            return header.rows
        if header not in self._rows:
            self._rows[header] = load_rows(header)
        return self._rows[header]

    def _body(self, header: StyleHeader) -> Body:
        if header.body_hash not in self._bodies:
            self._bodies[header.body_hash] = load_body(self.gallery.body(header))
        return self._bodies[header.body_hash]


def _checked_strength(strength: float) -> float:
    """The strength as a float. Raises LivestyleError if it is not a number from 0 to 1."""
    try:
        number = float(strength)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise LivestyleError(f"strength must be from 0 (the photo) to 1 (the painting), found {strength!r}")
    return number


def styles() -> list[str]:
    """Names of all styles in the default folders, in alphabetical order. Pass a name to `Stylizer` or `stylize`.

    `livestyle.style_files.gallery.Gallery` provides their files, networks and origins, and notes on unreadable files.
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
    """Paint one picture, (H, W, 3) uint8 RGB, or several of one size, (N, H, W, 3). Returns a new array of the same shape.

    See Stylizer for the arguments and errors. Every call loads the network again: to paint more than once, use a Stylizer.
    """
    with Stylizer(style, model, device, strength=strength, keep_colors=keep_colors) as stylizer:
        return stylizer(image)
