"""Interpreter that only computes sizes: lists a network's convolutions and norms, and their cost."""

from dataclasses import dataclass
from typing import Any

from livestyle.networks.ops import Border


@dataclass(frozen=True)
class FeatureMapSize:
    """Size of a feature map of one picture."""

    channels: int
    height: int
    width: int

    @property
    def values(self) -> int:
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class ConvolutionCost:
    """Cost of one convolution on one picture."""

    operations: int
    """Floating-point operations: two per multiply-add."""
    read: int
    """Number of values in the input feature map."""
    written: int
    """Number of values in the output feature map."""


class Plan:
    """Interpreter that records convolutions, norms and their cost. Feature maps are `FeatureMapSize`."""

    def __init__(self) -> None:
        self.weights: dict[str, tuple[int, int, int, int]] = {}  # name -> (outputs, inputs, size, size)
        self.norm_channels: list[int] = []  # of each norm
        self.normed: list[str] = []  # convolutions followed by a norm
        self.costs: list[ConvolutionCost] = []

    def size(self, x: FeatureMapSize) -> tuple[int, int]:
        return x.height, x.width

    def _same(self, x: FeatureMapSize, *_: Any) -> FeatureMapSize:
        return x

    centre = scale = relu = tanh = sigmoid = add = blur = painted = _same

    def reflect(self, x: FeatureMapSize, left: int, right: int, top: int, bottom: int) -> FeatureMapSize:
        return FeatureMapSize(x.channels, x.height + top + bottom, x.width + left + right)

    def conv(
        self, name: str, x: FeatureMapSize, channels: int, size: int, stride: int = 1, border: Border = "reflect"
    ) -> FeatureMapSize:
        pad = 0 if border == "none" else size // 2
        y = FeatureMapSize(channels, (x.height + 2 * pad - size) // stride + 1, (x.width + 2 * pad - size) // stride + 1)
        self.weights[name] = (channels, x.channels, size, size)
        self.costs.append(ConvolutionCost(2 * y.values * x.channels * size * size, x.values, y.values))
        return y

    def norm(self, x: FeatureMapSize) -> FeatureMapSize:
        self.norm_channels.append(x.channels)
        self.normed.append(next(reversed(self.weights)))
        return x

    def upsample(self, x: FeatureMapSize) -> FeatureMapSize:
        return FeatureMapSize(x.channels, 2 * x.height, 2 * x.width)

    def shuffle(self, x: FeatureMapSize, factor: int) -> FeatureMapSize:
        return FeatureMapSize(x.channels // factor**2, factor * x.height, factor * x.width)

    def crop(self, x: FeatureMapSize, top: int, left: int, height: int, width: int) -> FeatureMapSize:
        return FeatureMapSize(x.channels, height, width)
