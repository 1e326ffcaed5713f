"""Interpreter that only computes sizes: lists a network's convolutions and norms, and their cost."""

from dataclasses import dataclass, replace
from typing import Any

from livestyle.networks.ops import Border


@dataclass(frozen=True)
class FeatureMapSize:
    """Size of a feature map of one picture."""

    channels: int
    height: int
    width: int
    scaled_by: str | None = None
    """Convolution whose scale is the map's scale: a positive factor of its weights and bias multiplies the map by that factor."""

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
        self.costs: list[ConvolutionCost] = []
        self._reach_norm: set[str | None] = set()  # convolutions
        self._reach_others: set[str | None] = set()  # convolutions whose scale changes the painting

    @property
    def normed(self) -> list[str]:
        """Names of the convolutions whose scale is cancelled by a norm: between the two, operations keep the scale."""
        return [name for name in self.weights if name in self._reach_norm and name not in self._reach_others]

    def size(self, x: FeatureMapSize) -> tuple[int, int]:
        return x.height, x.width

    def _same(self, x: FeatureMapSize, *_: Any) -> FeatureMapSize:
        return x

    centre = relu = blur = _same

    def _without_scale(self, x: FeatureMapSize, *_: Any) -> FeatureMapSize:
        self._reach_others.add(x.scaled_by)
        return replace(x, scaled_by=None)

    scale = tanh = sigmoid = painted = _without_scale

    def add(self, x: FeatureMapSize, y: FeatureMapSize) -> FeatureMapSize:
        self._reach_others.add(y.scaled_by)
        return self._without_scale(x)

    def reflect(self, x: FeatureMapSize, left: int, right: int, top: int, bottom: int) -> FeatureMapSize:
        return replace(x, height=x.height + top + bottom, width=x.width + left + right)

    def conv(
        self, name: str, x: FeatureMapSize, channels: int, size: int, stride: int = 1, border: Border = "reflect"
    ) -> FeatureMapSize:
        self._without_scale(x)
        pad = 0 if border == "none" else size // 2
        y = FeatureMapSize(channels, (x.height + 2 * pad - size) // stride + 1, (x.width + 2 * pad - size) // stride + 1, name)
        self.weights[name] = (channels, x.channels, size, size)
        self.costs.append(ConvolutionCost(2 * y.values * x.channels * size * size, x.values, y.values))
        return y

    def norm(self, x: FeatureMapSize) -> FeatureMapSize:
        self.norm_channels.append(x.channels)
        self._reach_norm.add(x.scaled_by)
        return replace(x, scaled_by=None)

    def upsample(self, x: FeatureMapSize) -> FeatureMapSize:
        return replace(x, height=2 * x.height, width=2 * x.width)

    def shuffle(self, x: FeatureMapSize, factor: int) -> FeatureMapSize:
        return replace(x, channels=x.channels // factor**2, height=factor * x.height, width=factor * x.width)

    def crop(self, x: FeatureMapSize, top: int, left: int, height: int, width: int) -> FeatureMapSize:
        return replace(x, height=height, width=width)
