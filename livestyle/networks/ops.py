"""The operations that transformer networks are made of.

A network is a function of an interpreter, `Ops`, and a photo: it calls the interpreter's operations in order. Each backend is an
interpreter: PyTorch tensors (`torch_ops`, also for training), strips of a picture (`strip_ops`), fused GPU kernels (`fused_ops`),
an OpenVINO graph (`openvino_graph`), or sizes alone (`plan`).
"""

from typing import Literal, Protocol, TypeVar

X = TypeVar("X")  # an interpreter's type for feature maps, (N, C, H, W)
Border = Literal["reflect", "repeat", "none"]


class Ops(Protocol[X]):
    """An interpreter of networks.

    Every operation except `conv` and `upsample` may overwrite its first feature map. A network must not use that map again.
    """

    def size(self, x: X) -> tuple[int, int]:
        """Height and width."""

    def centre(self, x: X) -> X:
        """Subtract the mean of every channel of every picture.

        The first norm would do it too, but later: in a nearly uniform picture the contrast is small against the mean, and its
        variance is lost in rounding. White fades and flat skies were painted as noise.
        """

    def scale(self, x: X, factor: float, shift: float = 0.0) -> X:
        """x * factor + shift."""

    def reflect(self, x: X, left: int, right: int, top: int, bottom: int) -> X:
        """Reflect padding of any width. Pads wider than the picture are reflected repeatedly; one-pixel sides are repeated."""

    def conv(self, name: str, x: X, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> X:
        """The named convolution, with its bias. Output size: input size / stride with a border, smaller with border "none"."""

    def norm(self, x: X) -> X:
        """Conditional instance norm: normalise every channel of every picture over its pixels, then scale and shift it.

        Each call takes the next channels of the style's rows: the order of the norms in the network is the order of the rows.
        """

    def relu(self, x: X) -> X: ...

    def tanh(self, x: X) -> X: ...

    def sigmoid(self, x: X) -> X: ...

    def add(self, x: X, y: X) -> X: ...

    def upsample(self, x: X) -> X:
        """Nearest-neighbour upsampling by 2."""

    def painted(self, x: X) -> X:
        """Mark the values as final, in [0, 1]. Only `shuffle` and `crop` may follow; a backend may quantise to uint8."""

    def shuffle(self, x: X, factor: int) -> X:
        """Move channels to pixels: (N, factor factor C, H, W), in the order row, column, colour, -> (N, C, factor H, factor W).

        F.pixel_shuffle has the colour first. In channels-last memory this order copies runs of factor C values, three times as
        fast.
        """

    def crop(self, x: X, top: int, left: int, height: int, width: int) -> X: ...


def mirrored(side: int, before: int, after: int) -> list[int]:
    """Source index of every row or column of a reflect-padded side: 2 1 [0 1 2] 1 0 1 ... A side of 1 is repeated."""
    period = max(1, 2 * (side - 1))
    return [min(index % period, -index % period) for index in range(-before, side + after)]


def residual_block(ops: Ops[X], name: str, x: X, channels: int, border: Border) -> X:
    """conv, norm, ReLU, conv, norm, plus the input (He et al. 2016, without the last ReLU, as in Johnson et al.)."""
    y = ops.relu(ops.norm(ops.conv(f"{name}.first", x, channels, 3, border=border)))
    return ops.add(ops.norm(ops.conv(f"{name}.second", y, channels, 3, border=border)), x)
