"""The transformer networks, each said once: what is done to a photo, in which order, with which convolutions.

A network is a function of an interpreter, `Ops`, and a photo. Interpreters do it with torch's tensors
(`livestyle.network`, also for training), on strips of a picture (`engines.strips`), in kernels that
fuse what lies between convolutions (`engines.fused`), by building an OpenVINO graph
(`engines.openvino`), or with sizes alone (`Plan`). None of that is known here.

Every network takes RGB in [0, 1], any height and width >= 1, and returns the same shape in [0, 1],
nothing shifted. All use conditional instance normalisation (Dumoulin et al., "A Learned
Representation for Artistic Style", 2017): the convolutions, called the body, are shared by all
styles, and a style is only the scale and shift of every norm. Laid end to end these are the style's
rows, (2, K): row 0 the scales, row 1 the shifts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

X = TypeVar("X")  # whatever an interpreter takes for feature maps, (N, C, H, W)
Border = Literal["reflect", "repeat", "none"]


class Ops(Protocol[X]):
    """What networks are made of. A verb may overwrite its first feature map, except conv and upsample."""

    def size(self, x: X) -> tuple[int, int]:
        """Height and width."""

    def centre(self, x: X) -> X:
        """Take the mean of every channel of every picture away.

        The first norm would do it anyway, but late: a nearly even picture is a small contrast on a large
        mean, whose variance is lost in rounding. White fades and flat skies came out as noise.
        """

    def scale(self, x: X, factor: float, shift: float = 0.0) -> X:
        """x * factor + shift."""

    def reflect(self, x: X, left: int, right: int, top: int, bottom: int) -> X:
        """Reflect padding of any width: pads wider than the picture bounce back and forth; one-pixel sides are repeated."""

    def conv(self, name: str, x: X, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> X:
        """The convolution of that name, with its bias. The border keeps the size, over the stride; none lets it shrink."""

    def norm(self, x: X) -> X:
        """Normalise every channel of every picture over its pixels, then scale and shift it with the next of the rows."""

    def relu(self, x: X) -> X: ...

    def tanh(self, x: X) -> X: ...

    def sigmoid(self, x: X) -> X: ...

    def add(self, x: X, y: X) -> X: ...

    def upsample(self, x: X) -> X:
        """Every pixel twice, across and down."""

    def painted(self, x: X) -> X:
        """The values are the painting's, in [0, 1]: from here on pixels only move, and may be bytes."""

    def shuffle(self, x: X, factor: int) -> X:
        """Channels into pixels: (N, factor factor C, H, W), in the order row, column, colour, -> (N, C, factor H, factor W).

        F.pixel_shuffle has the colour first; in channels-last memory this order copies runs of factor C
        numbers, three times as fast.
        """

    def crop(self, x: X, top: int, left: int, height: int, width: int) -> X: ...


def mirrored(side: int, before: int, after: int) -> NDArray[np.int64]:
    """For every row or column of a reflecting pad, the one of the picture that it shows: 2 1 [0 1 2] 1 0 1 ..."""
    bounce = max(1, 2 * (side - 1))  # one side long: a bounce at a pad's end would not be about the picture's edges
    place = np.abs(np.arange(-before, side + after)) % bounce
    return np.minimum(place, bounce - place) if side > 1 else np.zeros_like(place)


def residual_block(ops: Ops[X], name: str, x: X, channels: int, border: Border) -> X:
    """conv, norm, ReLU, conv, norm, plus the input (He et al. 2016, without the last ReLU, as in Johnson et al.)."""
    y = ops.relu(ops.norm(ops.conv(f"{name}.first", x, channels, 3, border=border)))
    return ops.add(ops.norm(ops.conv(f"{name}.second", y, channels, 3, border=border)), x)


def full(ops: Ops[X], photo: X) -> X:
    """The original program's transformer network.

    Johnson et al., "Perceptual Losses for Real-Time Style Transfer", 2016 (supplementary material),
    with the instance norm of Ulyanov et al. 2016, the last layer included, and resize-convolutions
    in place of transposed ones.
    """
    h, w = ops.size(photo)
    m = 10  # reflected before, cropped after: keeps the borders alive
    x = ops.reflect(ops.scale(ops.centre(photo), 2), m, m, m, m)  # (N, 3, H + 20, W + 20)
    x = ops.relu(ops.norm(ops.conv("down1", x, 32, 9)))  # (N, 32, H + 20, W + 20)
    x = ops.relu(ops.norm(ops.conv("down2", x, 64, 3, stride=2)))  # (N, 64, half)
    x = ops.relu(ops.norm(ops.conv("down3", x, 128, 3, stride=2)))  # (N, 128, quarter)
    for number in range(5):
        x = residual_block(ops, f"blocks.{number}", x, 128, "reflect")
    x = ops.relu(ops.norm(ops.conv("up1", ops.upsample(x), 64, 3)))  # (N, 64, half)
    x = ops.relu(ops.norm(ops.conv("up2", ops.upsample(x), 32, 3)))  # (N, 32, whole)
    x = ops.tanh(ops.norm(ops.conv("out", x, 3, 9)))  # (N, 3, whole) in [-1, 1]
    return ops.crop(ops.painted(ops.scale(x, 0.5, 0.5)), m, m, h, w)


def lite(ops: Ops[X], photo: X) -> X:
    """A network for CPUs: 2.6 GFLOP at 640x360, nothing wider than three channels at full size.

    Most of its work is done at an eighth of the size, where sight is far and pixels are few; the
    stem's quarter-size features pass beside that, so that the photo's edges stay sharp.
    """
    h, w = ops.size(photo)
    # to a multiple of eight, and at least sixteen, as a norm needs more than one pixel; and the stem's rim
    x = ops.centre(ops.reflect(photo, 2, 2 + max(-w % 8, 16 - w), 2, 2 + max(-h % 8, 16 - h)))
    fine = ops.relu(ops.norm(ops.conv("stem", x, 32, 8, stride=4, border="none")))  # (N, 32, quarter)
    x = ops.relu(ops.norm(ops.conv("down", fine, 64, 3, stride=2, border="repeat")))  # (N, 64, eighth)
    for number in range(3):
        x = residual_block(ops, f"blocks.{number}", x, 64, "repeat")
    x = ops.add(ops.upsample(ops.conv("widen", x, 32, 1, border="none")), fine)  # (N, 32, quarter)
    x = ops.relu(ops.norm(ops.conv("up", x, 32, 3, border="repeat")))
    x = ops.painted(ops.sigmoid(ops.conv("out", x, 48, 3, border="repeat")))  # (N, 4 4 3, quarter)
    return ops.crop(ops.shuffle(x, 4), 0, 0, h, w)  # (N, 3, H, W)


@dataclass(frozen=True)
class Sizes:
    """A feature map without its pixels."""

    channels: int
    height: int
    width: int

    @property
    def numbers(self) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Work:
    """One convolution on one picture."""

    operations: int
    """Two a multiply-add."""
    read: int
    """Numbers read, and numbers written."""
    written: int


class Plan:
    """The interpreter that computes nothing: it notes the convolutions, the norms and the work."""

    def __init__(self) -> None:
        self.weights: dict[str, tuple[int, int, int, int]] = {}  # name -> (outputs, inputs, size, size)
        self.norm_channels: list[int] = []
        self.normed: list[str] = []  # the convolutions that a norm follows
        self.work: list[Work] = []

    def size(self, x: Sizes) -> tuple[int, int]:
        return x.height, x.width

    def _same(self, x: Sizes, *_: Any) -> Sizes:
        return x

    centre = scale = relu = tanh = sigmoid = add = painted = _same

    def reflect(self, x: Sizes, left: int, right: int, top: int, bottom: int) -> Sizes:
        return Sizes(x.channels, x.height + top + bottom, x.width + left + right)

    def conv(self, name: str, x: Sizes, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> Sizes:
        rim = 0 if border == "none" else size // 2
        y = Sizes(channels, (x.height + 2 * rim - size) // stride + 1, (x.width + 2 * rim - size) // stride + 1)
        self.weights[name] = (channels, x.channels, size, size)
        self.work.append(Work(2 * y.numbers * x.channels * size * size, x.numbers, y.numbers))
        return y

    def norm(self, x: Sizes) -> Sizes:
        self.norm_channels.append(x.channels)
        self.normed.append(next(reversed(self.weights)))
        return x

    def upsample(self, x: Sizes) -> Sizes:
        return Sizes(x.channels, 2 * x.height, 2 * x.width)

    def shuffle(self, x: Sizes, factor: int) -> Sizes:
        return Sizes(x.channels // factor**2, factor * x.height, factor * x.width)

    def crop(self, x: Sizes, top: int, left: int, height: int, width: int) -> Sizes:
        return Sizes(x.channels, height, width)


@dataclass(frozen=True)
class Architecture:
    """A network's name, what it does, and what it takes."""

    name: str
    paint: Callable[[Ops[Any], Any], Any]
    """(interpreter, photo (N, 3, H, W) in [0, 1]) -> painted, the same shape in [0, 1]."""
    bytes_per_pixel: int
    """Memory at the peak of a forward pass in fp32, measured, a pixel of the picture."""
    strip_bytes_per_pixel: int
    """The same in strips, whose feature maps are kept in 16 bits ..."""
    strip_bytes: int
    """... beside what the strips themselves take, for pictures up to 4096 pixels wide."""

    def plan(self, height: int, width: int) -> Plan:
        """The convolutions, norms and work for a photo of this size."""
        plan = Plan()
        self.paint(plan, Sizes(3, height, width))
        return plan

    @cached_property
    def weights(self) -> dict[str, tuple[int, int, int, int]]:
        """Every convolution's weight (outputs, inputs, size, size), in the order in which they run."""
        return self.plan(64, 64).weights

    @cached_property
    def normed(self) -> list[str]:
        """The convolutions that a norm follows, which undoes any scale that they have."""
        return self.plan(64, 64).normed

    @cached_property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of everything in a body: each convolution's weight and bias."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, shape in self.weights.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes

    @cached_property
    def row_length(self) -> int:
        """K of the rows, (2, K)."""
        return sum(self.plan(64, 64).norm_channels)


FULL = Architecture("full", full, bytes_per_pixel=850, strip_bytes_per_pixel=115, strip_bytes=280 * 2**20)
LITE = Architecture("lite", lite, bytes_per_pixel=80, strip_bytes_per_pixel=20, strip_bytes=130 * 2**20)
ARCHITECTURES = {network.name: network for network in (FULL, LITE)}
