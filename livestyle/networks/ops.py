"""The operations that transformer networks are made of.

A network is a function of an interpreter, `Ops`, and a photo: it calls the interpreter's operations in order. Every backend is
an interpreter: PyTorch (`torch_ops`, also for training), strips of a picture (`strip_ops`), fused GPU kernels (`fused_ops`), an
OpenVINO graph (`openvino_graph`), and one that computes sizes only (`plan`).
"""

from typing import Literal, Protocol, TypeVar

X = TypeVar("X")  # an interpreter's type for feature maps, (N, C, H, W)
Border = Literal["reflect", "repeat", "none"]
"""How a convolution pads its input by half its size: mirrored, with the edge pixels, or not at all."""


class Ops(Protocol[X]):
    """An interpreter of networks.

    Every operation except `conv` and `upsample` may overwrite its first feature map: a network must not use that map afterwards.
    """

    def size(self, x: X) -> tuple[int, int]:
        """Height and width."""

    def centre(self, x: X) -> X:
        """Subtract the mean of every channel of every picture.

        The first norm removes the mean as well, but too late: in a nearly uniform picture the contrast is small against the
        mean, and rounding in the first convolution destroys it. Fades to white and clear skies were painted as noise.
        """

    def scale(self, x: X, factor: float, shift: float = 0.0) -> X:
        """x * factor + shift."""

    def reflect(self, x: X, left: int, right: int, top: int, bottom: int) -> X:
        """Reflect padding of any width: a pad wider than the picture is reflected repeatedly, a side of one pixel is repeated."""

    def conv(self, name: str, x: X, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> X:
        """The named convolution, with bias, to `channels` channels. With a border the output size is the input size / stride."""

    def norm(self, x: X) -> X:
        """Conditional instance norm: normalise every channel of every picture over its pixels, then scale and shift it.

        Every call takes the next C columns of the style's rows: the columns are in the order in which the network's norms run.
        """

    def relu(self, x: X) -> X: ...

    def tanh(self, x: X) -> X: ...

    def sigmoid(self, x: X) -> X: ...

    def add(self, x: X, y: X) -> X: ...

    def upsample(self, x: X) -> X:
        """Nearest-neighbour upsampling by 2."""

    def painted(self, x: X) -> X:
        """Values are final, in [0, 1]; a backend may quantise to uint8. Only `shuffle` and `crop` may follow."""

    def shuffle(self, x: X, factor: int) -> X:
        """Rearrange channels into pixels: (N, factor factor C, H, W) -> (N, C, factor H, factor W).

        The channels are in the order row, column, colour; F.pixel_shuffle expects the colour first. In channels-last memory
        this order copies runs of factor C values, which is three times as fast.
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
