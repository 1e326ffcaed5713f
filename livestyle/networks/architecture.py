"""The definition of a transformer network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from livestyle.networks.ops import Ops
from livestyle.networks.plan import FeatureMapSize, Plan


@dataclass(frozen=True)
class StripMemory:
    """Measured memory for painting in strips: per_pixel * pixels + fixed bytes, up to a width of 4096 pixels.

    For wider pictures, `fixed` is proportional to the width.
    """

    per_pixel: int
    """Bytes per pixel of the photo, for feature maps of the whole picture in 16 bits."""
    fixed: int
    """Bytes for the strips that are computed at one time, whatever the height of the photo."""


@dataclass(frozen=True)
class Architecture:
    """A transformer network: its definition, and what it supports.

    Every network takes RGB in [0, 1] of any height and width >= 1, and returns a painting of the same shape in [0, 1], aligned
    with the photo.
    All use conditional instance norm (Dumoulin et al., "A Learned Representation for Artistic Style", 2017): all styles share
    the convolutions, called the body; a style consists of the scale and shift of every norm. Concatenated, these are the
    style's rows, (2, K): row 0 holds the scales, row 1 the shifts.
    """

    name: str
    """Name of the network in style files and on the command line."""
    summary: str
    """Phrase that follows the name in the help of `--model`: "is fast on a CPU"."""
    made_for: Literal["cpu", "gpu"]
    """Kind of device on which `--model auto` prefers it."""
    forward: Callable[[Ops[Any], Any], Any]
    """Function that paints: (interpreter, photo (N, 3, H, W) in [0, 1]) -> painting, the same shape in [0, 1]. It is at module
    level, so that looks can be pickled."""
    bytes_per_pixel: int
    """Measured peak memory of a forward pass in fp32, in bytes per pixel of the photo."""
    strips: StripMemory | None
    """Memory for painting in strips. None: strips are not supported; a frame that does not fit in memory whole is refused."""
    supports_fused: bool = True
    """Whether the architecture may run with the fused GPU kernels."""
    supports_half: bool = True
    """Whether the architecture may run in fp16 and bf16. If not, it runs in fp32 on every device."""

    def plan(self, height: int, width: int) -> Plan:
        """The convolutions, norms and cost for a photo of this size."""
        plan = Plan()
        self.forward(plan, FeatureMapSize(3, height, width))
        return plan

    @cached_property
    def weights(self) -> dict[str, tuple[int, int, int, int]]:
        """Name -> weight shape (outputs, inputs, size, size) of every convolution, in order of execution."""
        return self.plan(64, 64).weights

    @cached_property
    def normed(self) -> list[str]:
        """Names of the convolutions followed by a norm, which cancels any scale of their weights."""
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
        """K of a style's rows, (2, K)."""
        return sum(self.plan(64, 64).norm_channels)
