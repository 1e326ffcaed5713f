"""A network's definition and what it supports."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from livestyle.networks.ops import Ops
from livestyle.networks.plan import FeatureMapSize, Plan


@dataclass(frozen=True)
class StripMemory:
    """Memory that painting in strips takes: bytes = per_pixel * pixels + fixed, for pictures up to 4096 pixels wide."""

    per_pixel: int
    """Bytes; feature maps are kept in 16 bits."""
    fixed: int
    """Bytes of the strips themselves."""


@dataclass(frozen=True)
class Architecture:
    """A transformer network: its name, its definition and what it supports.

    Every network takes RGB in [0, 1] of any height and width >= 1, and returns the same shape in [0, 1], without a shift.
    All use conditional instance norm (Dumoulin et al., "A Learned Representation for Artistic Style", 2017): the convolutions,
    called the body, are shared by all styles, and a style is only the scale and shift of every norm. Concatenated, these are
    the style's rows, (2, K): row 0 the scales, row 1 the shifts.
    """

    name: str
    """In style files and on the command line."""
    summary: str
    """One phrase for the command line's help."""
    made_for: Literal["cpu", "gpu"]
    """`--model auto` prefers the network that is made for the device."""
    forward: Callable[[Ops[Any], Any], Any]
    """(interpreter, photo (N, 3, H, W) in [0, 1]) -> painting, the same shape in [0, 1]."""
    bytes_per_pixel: int
    """Peak memory of a forward pass in fp32, measured, per pixel of the picture."""
    strips: StripMemory | None
    """Memory in strips, measured. None: strips are not supported, and a picture larger than the memory is refused."""
    supports_fused: bool = True
    """Whether the fused GPU kernels may run it."""
    supports_half: bool = True
    """Whether it may run in fp16 and bf16; else it runs in fp32."""

    def plan(self, height: int, width: int) -> Plan:
        """The convolutions, norms and cost for a photo of this size."""
        plan = Plan()
        self.forward(plan, FeatureMapSize(3, height, width))
        return plan

    @cached_property
    def weights(self) -> dict[str, tuple[int, int, int, int]]:
        """Shape of every convolution's weight (outputs, inputs, size, size), in the order of execution."""
        return self.plan(64, 64).weights

    @cached_property
    def normed(self) -> list[str]:
        """The convolutions followed by a norm, which cancels any scale of their weights."""
        return self.plan(64, 64).normed

    @cached_property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape of every parameter of a body: each convolution's weight and bias."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name, shape in self.weights.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes

    @cached_property
    def row_length(self) -> int:
        """K of the rows, (2, K)."""
        return sum(self.plan(64, 64).norm_channels)
