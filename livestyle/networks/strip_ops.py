"""Backend for pictures that do not fit in memory: each layer is computed in strips, with the same result as on the whole picture.

A norm uses statistics of the whole picture, so painting one strip after another through all layers would show seams. Here
every convolution runs over the whole picture, strip by strip, and its output is stored in 16 bits. The norm's statistics are
computed from that. The operations between two convolutions are computed again for every strip that the second one reads.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from livestyle.networks.ops import Border, mirrored
from livestyle.networks.torch_ops import PAD_MODES, TorchOps, TransformerNetwork, reflect_pad

STRIP_VALUES = 2**22  # fp32 values per strip: 16 MiB
MIN_STRIP_ROWS = 16  # rows per strip: neighbouring strips overlap by a few rows, which are computed twice


@dataclass(frozen=True)
class Strips:
    """A feature map that is computed on demand, some rows at a time."""

    channels: int
    height: int
    width: int
    read: Callable[[int, int], Tensor]
    """Computes rows: (first, last) -> rows first to last - 1, (1, C, last - first, W) fp32. The caller may overwrite them."""

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Yield the rows of every strip as (first, last); last is exclusive."""
        step = max(MIN_STRIP_ROWS, STRIP_VALUES // (self.channels * self.width))
        for first in range(0, self.height, step):
            yield first, min(first + step, self.height)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Strips":
        """Apply a function to every strip. The function must be pointwise: independent of neighbouring pixels."""
        return replace(self, read=lambda first, last: change(self.read(first, last)))

    def affine(self, factor: Tensor, shift: Tensor) -> "Strips":
        """Multiply every channel by its factor and add its shift, (C) each."""
        return self.mapped(lambda strip: _affine(strip, factor, shift))

    def padded(self, rows: NDArray[np.int64], change: Callable[[Tensor], Tensor], width: int) -> "Strips":
        """Select rows, by index and in this order, and widen every strip to `width` columns with the function `change`."""

        def read(first: int, last: int) -> Tensor:
            wanted = rows[first:last]
            low, high = int(wanted.min()), int(wanted.max()) + 1
            block = self.read(low, high)
            if high - low != last - first or wanted[0] != low:  # mirrored or repeated, at a border
                picked = torch.from_numpy(wanted - low).to(block.device)
                block = block.permute(0, 2, 3, 1).index_select(1, picked).permute(0, 3, 1, 2)
            return change(block)

        return Strips(self.channels, len(rows), width, read)


class StripOps:
    """Interpreter that computes in strips. Feature maps are `Strips` of one picture, in fp32 on the network's device.

    rows: (2, K).
    """

    def __init__(self, network: TransformerNetwork, rows: Tensor) -> None:
        self._torch = TorchOps(network.convolutions, rows)

    def size(self, x: Strips) -> tuple[int, int]:
        return x.height, x.width

    def _moments(self, x: Strips) -> tuple[Tensor, Tensor]:
        """Mean and variance of every channel over the whole picture, (C) fp32.

        Accumulated in double precision on the CPU, as Apple's GPUs do not support it.
        """
        mean = square = torch.zeros(x.channels, dtype=torch.float64)
        for first, last in x.ranges():
            # group norm returns them too, and on CPUs is ten times as fast as var_mean
            pixels, share = (last - first) * x.width, (last - first) / x.height
            strip = x.read(first, last)
            strip = strip if strip.is_cpu else strip.contiguous()  # required on other devices in older PyTorch
            _, means, inverse = torch.native_group_norm(strip, None, None, 1, x.channels, pixels, x.channels, 0.0)
            means, inverse = means[0].cpu().double(), inverse[0].cpu().double()
            mean = mean + share * means
            square = square + share * (inverse**-2 + means.square())
        variance = (square - mean.square()).clamp_min(0)
        return mean.float().to(self._torch.rows.device), variance.float().to(self._torch.rows.device)

    def _stored(self, x: Strips, compute: Callable[[int, int], Tensor]) -> Strips:
        """Compute a feature map of x's size once, and store it in 16 bits.

        Values are quantised evenly between the minimum and maximum of each channel of a strip: several times finer than fp16.
        """
        shape, device = (1, x.channels, x.height, x.width), self._torch.rows.device
        # one block: it is returned to the system when freed, while a block per strip would fragment the heap
        stored = torch.empty(shape, dtype=torch.int16, device=device, memory_format=torch.channels_last)
        scales: list[tuple[int, int, Tensor, Tensor]] = []  # (first, last, step (C), middle (C)) of each strip
        for first, last in x.ranges():
            strip = compute(first, last)
            least, greatest = strip.amin((0, 2, 3)), strip.amax((0, 2, 3))
            middle, step = (least + greatest) / 2, ((greatest - least) / 65534).clamp_min(1e-30)
            stored[:, :, first:last] = _affine(strip, 1 / step, -middle / step).round_()
            scales.append((first, last, step, middle))
        _trim_heap()

        def read(first: int, last: int) -> Tensor:
            parts = [
                _affine(stored[:, :, max(first, low) : min(last, high)].float(), step, middle)
                for low, high, step, middle in scales
                if low < last and first < high
            ]
            if len(parts) == 1:
                return parts[0]
            return torch.cat([part.permute(0, 2, 3, 1) for part in parts], 1).permute(0, 3, 1, 2)

        return replace(x, read=read)

    def centre(self, x: Strips) -> Strips:
        mean, _ = self._moments(x)
        return x.affine(torch.ones_like(mean), -mean)

    def scale(self, x: Strips, factor: float, shift: float = 0.0) -> Strips:
        return x.mapped(lambda strip: self._torch.scale(strip, factor, shift))

    def reflect(self, x: Strips, left: int, right: int, top: int, bottom: int) -> Strips:
        rows = np.array(mirrored(x.height, top, bottom))
        return x.padded(rows, lambda strip: reflect_pad(strip, left, right, 0, 0), x.width + left + right)

    def conv(self, name: str, x: Strips, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> Strips:
        rim = 0 if border == "none" else size // 2
        repeated = np.arange(-rim, x.height + rim).clip(0, x.height - 1)
        rows = repeated if border == "repeat" else np.array(mirrored(x.height, rim, rim))
        if rim:
            x = x.padded(rows, lambda strip: F.pad(strip, (rim, rim, 0, 0), mode=PAD_MODES[border]), x.width + 2 * rim)
        module = self._torch.convolutions[name]

        def compute(first: int, last: int) -> Tensor:
            strip = x.read(first * stride, (last - 1) * stride + size)
            return F.conv2d(strip.contiguous(memory_format=torch.channels_last), module.weight, module.bias, stride)

        result = Strips(channels, (x.height - size) // stride + 1, (x.width - size) // stride + 1, x.read)
        return self._stored(result, compute)

    def norm(self, x: Strips) -> Strips:
        mean, variance = self._moments(x)
        rows = self._torch.next_rows(x.channels)  # (2, C)
        factor = rows[0] / (variance + 1e-5).sqrt()
        return x.affine(factor, rows[1] - mean * factor)

    def relu(self, x: Strips) -> Strips:
        return x.mapped(self._torch.relu)

    def tanh(self, x: Strips) -> Strips:
        return x.mapped(self._torch.tanh)

    def sigmoid(self, x: Strips) -> Strips:
        return x.mapped(self._torch.sigmoid)

    def add(self, x: Strips, y: Strips) -> Strips:
        # stored, as otherwise every residual block would compute all blocks before it again
        return self._stored(x, lambda first, last: x.read(first, last).add_(y.read(first, last)))

    def blur(self, x: Strips) -> Strips:
        def read(first: int, last: int) -> Tensor:
            low = max(0, first - 1)
            block = self._torch.blur(x.read(low, min(last + 1, x.height)))
            return block[:, :, first - low : last - low]

        return replace(x, read=read)

    def upsample(self, x: Strips) -> Strips:
        def read(first: int, last: int) -> Tensor:
            low = max(0, (first - 1) // 2)
            block = self._torch.upsample(x.read(low, min(last // 2 + 1, x.height)))
            return block[:, :, first - 2 * low : last - 2 * low]

        return Strips(x.channels, 2 * x.height, 2 * x.width, read)

    def painted(self, x: Strips) -> Strips:
        return x

    def shuffle(self, x: Strips, factor: int) -> Strips:
        def read(first: int, last: int) -> Tensor:
            block = self._torch.shuffle(x.read(first // factor, -(-last // factor)), factor)
            return block[:, :, first % factor : first % factor + last - first]

        return Strips(x.channels // factor**2, x.height * factor, x.width * factor, read)

    def crop(self, x: Strips, top: int, left: int, height: int, width: int) -> Strips:
        return Strips(x.channels, height, width, lambda first, last: x.read(top + first, top + last)[..., left : left + width])


def _affine(strip: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Multiply every channel by its factor and add its shift, (C) each.

    Computed on rows of W * C values, which is five times as fast as on rows of C values.
    """
    _, channels, height, width = strip.shape
    lines = strip.permute(0, 2, 3, 1).reshape(height, width * channels)
    lines = torch.addcmul(shift.repeat(width), lines, factor.repeat(width))
    return lines.reshape(1, height, width, channels).permute(0, 3, 1, 2)


def _trim_heap() -> None:
    """Return freed memory to the system. Otherwise glibc retains a gigabyte after a few layers of a large picture."""
    with suppress(OSError, AttributeError):  # not glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)
