"""The operations of transformer networks.

A network is a function of an interpreter, `Ops`, and a photo: it calls the interpreter's operations in order. Every backend is
an interpreter: PyTorch (`torch_ops`, also for training), strips of a picture (`strip_ops`), fused GPU kernels (`fused_ops`), an
OpenVINO graph (`openvino_graph`), and one that computes sizes only (`plan`).
"""

from typing import Literal, Protocol, TypeVar

X = TypeVar("X")  # an interpreter's type for feature maps, (N, C, H, W)
Border = Literal["reflect", "repeat", "none"]
"""How a convolution pads its input by half the kernel size: mirrored, with repeated edge pixels, or not at all."""


class Ops(Protocol[X]):
    """Interpreter of networks: one implementation of every operation.

    Every operation except `conv`, `blur` and `upsample` may overwrite its first feature map: a network must not use that map
    afterwards.
    """

    def size(self, x: X) -> tuple[int, int]:
        """Height and width of a feature map."""

    def centre(self, x: X) -> X:
        """Subtract the mean over pixels from every channel of every picture.

        The first norm also removes the mean, but too late: in a nearly uniform picture the contrast is small compared to the
        mean, and is lost by rounding in the first convolution. Fades to white and clear skies were painted as noise.
        """

    def scale(self, x: X, factor: float, shift: float = 0.0) -> X:
        """Return x * factor + shift."""

    def reflect(self, x: X, left: int, right: int, top: int, bottom: int) -> X:
        """Pad by reflection. A pad wider than the picture is reflected repeatedly; a side of one pixel is repeated."""

    def conv(self, name: str, x: X, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> X:
        """Apply the convolution `name`, with bias, to `channels` output channels; `size` is its kernel size.

        With a border and an odd kernel size, output sides are the input sides / stride, rounded up.
        """

    def norm(self, x: X) -> X:
        """Conditional instance norm: normalise every channel of every picture over its pixels, then scale and shift it.

        Each call uses the next C columns of the style's rows, which are in the order in which the norms run.
        """

    def relu(self, x: X) -> X: ...

    def tanh(self, x: X) -> X: ...

    def sigmoid(self, x: X) -> X: ...

    def add(self, x: X, y: X) -> X: ...

    def blur(self, x: X) -> X:
        """Filter with the binomial kernel [1 2 1] / 4 in both directions, with repeated edge pixels; the size stays the same.

        In front of a strided convolution it removes the frequencies that would alias (Zhang, "Making Convolutional Networks
        Shift-Invariant Again", 2019).
        """

    def upsample(self, x: X) -> X:
        """Upsample by 2, bilinear, with repeated edge pixels: output pixels are 3/4 and 1/4 of the nearest input pixels."""

    def painted(self, x: X) -> X:
        """Mark values as final, in [0, 1]: a backend may quantise them to uint8. Only `shuffle` and `crop` may follow."""

    def shuffle(self, x: X, factor: int) -> X:
        """Rearrange channels into pixels: (N, factor * factor * C, H, W) -> (N, C, factor * H, factor * W).

        The channels are in the order row, column, colour; F.pixel_shuffle expects the colour first. In channels-last memory
        this order copies runs of factor * C values, which is three times as fast.
        """

    def crop(self, x: X, top: int, left: int, height: int, width: int) -> X: ...


def mirrored(side: int, before: int, after: int) -> list[int]:
    """Source indices of the rows or columns of a reflect-padded side: 2 1 [0 1 2] 1 0 1 ... A side of 1 is repeated."""
    period = max(1, 2 * (side - 1))
    return [min(index % period, -index % period) for index in range(-before, side + after)]


def residual_block(ops: Ops[X], name: str, x: X, channels: int, border: Border) -> X:
    """Apply conv, norm, ReLU, conv, norm, and add the input (He et al. 2016, without the last ReLU, as in Johnson et al.)."""
    y = ops.relu(ops.norm(ops.conv(f"{name}.first", x, channels, 3, border=border)))
    return ops.add(ops.norm(ops.conv(f"{name}.second", y, channels, 3, border=border)), x)
