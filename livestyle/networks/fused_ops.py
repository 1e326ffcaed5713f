"""GPU backend with fused kernels: norm, ReLU, blur or upsampling, addition and padding run in one pass over memory.

Eager PyTorch reads and writes the feature map once for each of these operations. Here a convolution's output is read once for
the norm's statistics, and once more to write the padded input of the next convolution. Neighbouring pixels that a blur or an
upsampling needs are normalised again for each output pixel; their values come from the cache.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from livestyle.networks.ops import Border
from livestyle.networks.torch_ops import TorchOps

TILE = 256  # pixels per program of `tile_moments`
BLOCK = 2048  # values per program of `apply_pending`


@triton.jit
def tile_moments(x, means, squares, pixels, channels: tl.constexpr, padded: tl.constexpr, tile_pixels: tl.constexpr):
    """Compute the mean of each tile of pixels, and the sum of squared differences from it, which avoids cancellation errors."""
    tile, picture, tiles = tl.program_id(0), tl.program_id(1), tl.num_programs(0)
    pixel = tile * tile_pixels + tl.arange(0, tile_pixels)
    channel = tl.arange(0, padded)
    mask = (pixel < pixels)[:, None] & (channel < channels)[None]
    offsets = (picture.to(tl.int64) * pixels + pixel)[:, None] * channels + channel[None]
    values = tl.load(x + offsets, mask, 0.0).to(tl.float32)
    count = tl.minimum(pixels - tile * tile_pixels, tile_pixels).to(tl.float32)
    mean = tl.sum(values, 0) / count
    difference = tl.where(mask, values - mean[None], 0.0)
    out = (picture * tiles + tile) * channels + channel
    tl.store(means + out, mean, channel < channels)
    tl.store(squares + out, tl.sum(difference * difference, 0), channel < channels)


@triton.jit
def norm_factors(means, squares, rows, factors, shifts, first, length, row_step, pixels, tiles, channels: tl.constexpr,
                 padded: tl.constexpr, tile_pixels: tl.constexpr, step: tl.constexpr):  # fmt: skip
    """Compute the factor and shift of every channel for the conditional instance norm, from the tiles' moments and the rows.

    row_step: distance between the rows of two pictures, in values; 0 if all pictures share rows.
    """
    picture, channel = tl.program_id(0), tl.arange(0, padded)
    mask = channel < channels
    base = picture * tiles * channels + channel
    total = tl.zeros([step, padded], tl.float32)
    for start in range(0, tiles, step):
        tile = start + tl.arange(0, step)
        inside = (tile < tiles)[:, None] & mask[None]
        count = tl.minimum(pixels - tile * tile_pixels, tile_pixels).to(tl.float32)[:, None]
        total += tl.load(means + base[None] + tile[:, None] * channels, inside, 0.0) * count
    mean = tl.sum(total, 0) / pixels
    total = tl.zeros([step, padded], tl.float32)
    for start in range(0, tiles, step):
        tile = start + tl.arange(0, step)
        inside = (tile < tiles)[:, None] & mask[None]
        count = tl.minimum(pixels - tile * tile_pixels, tile_pixels).to(tl.float32)[:, None]
        difference = tl.where(inside, tl.load(means + base[None] + tile[:, None] * channels, inside, 0.0) - mean[None], 0.0)
        total += tl.load(squares + base[None] + tile[:, None] * channels, inside, 0.0) + count * difference * difference
    square = tl.sum(total, 0)
    rows += picture * row_step
    factor = tl.load(rows + first + channel, mask, 0.0).to(tl.float32) / tl.sqrt(square / pixels + 1e-5)
    shift = tl.load(rows + length + first + channel, mask, 0.0).to(tl.float32) - mean * factor
    tl.store(factors + picture * channels + channel, factor, mask)
    tl.store(shifts + picture * channels + channel, shift, mask)


@triton.jit
def apply_pending(x, factors, shifts, other, out, height, width, out_width, rim, channels: tl.constexpr, padded: tl.constexpr,
                  has_norm: tl.constexpr, has_relu: tl.constexpr, blurs: tl.constexpr, upsamples: tl.constexpr,
                  adds: tl.constexpr, reflects: tl.constexpr, tile_pixels: tl.constexpr):  # fmt: skip
    """Normalise x, apply ReLU, blur or upsample it, add another map, and write the padded result.

    Each program writes part of a row.
    """
    out_row, out_height, picture = tl.program_id(1), tl.num_programs(1), tl.program_id(2)
    out_column, channel = tl.program_id(0) * tile_pixels + tl.arange(0, tile_pixels), tl.arange(0, padded)
    mask = (out_column < out_width)[:, None] & (channel < channels)[None]
    row, column = out_row - rim, out_column - rim
    if reflects:
        last_row, last_column = out_height - 2 * rim - 1, out_width - 2 * rim - 1
        row, column = last_row - tl.abs(last_row - tl.abs(row)), last_column - tl.abs(last_column - tl.abs(column))
    else:
        row = tl.minimum(tl.maximum(row, 0), out_height - 2 * rim - 1)
        column = tl.minimum(tl.maximum(column, 0), out_width - 2 * rim - 1)
    if has_norm:
        factor = tl.load(factors + picture * channels + channel, channel < channels, 0.0)
        shift = tl.load(shifts + picture * channels + channel, channel < channels, 0.0)
    taps: tl.constexpr = 3 if blurs else (2 if upsamples else 1)  # input pixels per output pixel, in each direction
    total = tl.zeros([tile_pixels, padded], tl.float32)
    for i in tl.static_range(taps):
        for j in tl.static_range(taps):
            weight: tl.constexpr = 1.0
            source_row, source_column = row, column
            if blurs:
                weight = (0.5 if i == 1 else 0.25) * (0.5 if j == 1 else 0.25)
                source_row, source_column = row + (i - 1), column + (j - 1)
            if upsamples:  # 3/4 of the nearest pixel; 1/4 of the one before it for even pixels, else of the one after it
                weight = (0.25 if i == 1 else 0.75) * (0.25 if j == 1 else 0.75)
                source_row = row // 2 + i * (2 * (row % 2) - 1)
                source_column = column // 2 + j * (2 * (column % 2) - 1)
            source_row = tl.minimum(tl.maximum(source_row, 0), height - 1)
            source_column = tl.minimum(tl.maximum(source_column, 0), width - 1)
            source = x + (picture.to(tl.int64) * height + source_row) * width * channels
            values = tl.load(source + (source_column * channels)[:, None] + channel[None], mask, 0.0).to(tl.float32)
            if has_norm:
                values = values * factor[None] + shift[None]
            if has_relu:
                values = tl.maximum(values, 0.0)
            total += values * weight
    offsets = (picture.to(tl.int64) * out_height + out_row) * out_width * channels
    offsets += (out_column * channels)[:, None] + channel[None]
    if adds:
        total += tl.load(other + offsets, mask, 0.0).to(tl.float32)
    tl.store(out + offsets, total.to(out.dtype.element_ty), mask)


@dataclass(frozen=True)
class PendingMap:
    """A convolution's output, and the operations still to be applied: norm, ReLU, and a blur or an upsampling, in this order."""

    raw: Tensor
    """The convolution's output, (N, C, H, W), channels-last."""
    factors: Tensor | None = None
    """Factors of the norm, (N, C) fp32, as are the shifts. None if no norm is pending."""
    shifts: Tensor | None = None
    relu: bool = False
    filter: Literal["blur", "upsample"] | None = None

    @property
    def size(self) -> tuple[int, int]:
        times = 2 if self.filter == "upsample" else 1
        return times * self.raw.shape[2], times * self.raw.shape[3]

    @property
    def is_plain(self) -> bool:
        """Whether no operation is pending."""
        return self.factors is None and not self.relu and self.filter is None

    @property
    def unfiltered(self) -> "PendingMap":
        """The map with a pending blur or upsampling applied, as other pending operations would come before it."""
        return self if self.filter is None else PendingMap(self.written())

    def written(self, rim: int = 0, border: Border = "none", plus: Tensor | None = None) -> Tensor:
        """Apply all pending operations, add another map of the resulting size, and pad by `rim` on every side."""
        n, channels, height, width = self.raw.shape
        out_height, out_width = (side + 2 * rim for side in self.size)
        out = torch.empty(
            (n, channels, out_height, out_width), dtype=self.raw.dtype, device=self.raw.device, memory_format=torch.channels_last
        )
        padded = triton.next_power_of_2(channels)
        pixels = BLOCK // padded
        apply_pending[(triton.cdiv(out_width, pixels), out_height, n)](
            self.raw, self.factors, self.shifts, plus, out, height, width, out_width, rim, channels, padded,
            self.factors is not None, self.relu, self.filter == "blur", self.filter == "upsample", plus is not None,
            border == "reflect", pixels,
        )  # fmt: skip
        return out


class FusedOps:
    """Interpreter with fused kernels. Feature maps are `PendingMap`. Photo and rows, (2, K) or (N, 2, K), are on one GPU.

    The sides of feature maps must be longer than the border of a convolution.
    """

    def __init__(self, convolutions: dict[str, nn.Conv2d], rows: Tensor) -> None:
        self._torch = TorchOps(convolutions, rows)
        self._taken = 0

    def size(self, x: PendingMap) -> tuple[int, int]:
        return x.size

    def conv(self, name: str, x: PendingMap, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> PendingMap:
        rim = 0 if border == "none" else size // 2
        padded = x.raw if x.is_plain and not rim else x.written(rim, border)
        module = self._torch.convolutions[name]
        y = F.conv2d(padded, module.weight, module.bias, stride)
        return PendingMap(y.contiguous(memory_format=torch.channels_last))

    def norm(self, x: PendingMap) -> PendingMap:
        x = PendingMap(self._plain(x))
        n, channels, height, width = x.raw.shape
        pixels, padded = height * width, triton.next_power_of_2(channels)
        tiles = triton.cdiv(pixels, TILE)
        means, squares = torch.empty((2, n, tiles, channels), device=x.raw.device)
        factors, shifts = torch.empty((2, n, channels), device=x.raw.device)
        tile_moments[(tiles, n)](x.raw, means, squares, pixels, channels, padded, TILE, num_warps=8)
        rows = self._torch.rows.contiguous()
        length = rows.shape[-1]
        row_step = 2 * length if rows.dim() == 3 else 0
        norm_factors[(n,)](
            means, squares, rows, factors, shifts, self._taken, length, row_step, pixels, tiles, channels, padded, TILE,
            4096 // padded,
        )  # fmt: skip
        self._taken += channels
        return PendingMap(x.raw, factors, shifts)

    def relu(self, x: PendingMap) -> PendingMap:
        return replace(x.unfiltered, relu=True)

    def blur(self, x: PendingMap) -> PendingMap:
        return replace(x.unfiltered, filter="blur")

    def upsample(self, x: PendingMap) -> PendingMap:
        return replace(x.unfiltered, filter="upsample")

    def add(self, x: PendingMap, y: PendingMap) -> PendingMap:
        if x.is_plain:  # then the operations pending on y and the addition are one pass
            x, y = y, x
        return PendingMap(x.written(plus=self._plain(y)))

    def _plain(self, x: PendingMap) -> Tensor:
        """Apply all pending operations: (N, C, H, W)."""
        return x.raw if x.is_plain else x.written()

    # the operations below run in eager mode: the photo and the last layer have few channels

    @staticmethod
    def _eager(x: Tensor) -> PendingMap:
        """Wrap the result of an eager operation. The kernels need channels-last memory, which torch.cat does not always keep."""
        return PendingMap(x.contiguous(memory_format=torch.channels_last))

    def centre(self, x: PendingMap) -> PendingMap:
        return self._eager(self._torch.centre(self._plain(x)))

    def scale(self, x: PendingMap, factor: float, shift: float = 0.0) -> PendingMap:
        return self._eager(self._torch.scale(self._plain(x), factor, shift))

    def reflect(self, x: PendingMap, left: int, right: int, top: int, bottom: int) -> PendingMap:
        return self._eager(self._torch.reflect(self._plain(x), left, right, top, bottom))

    def tanh(self, x: PendingMap) -> PendingMap:
        return PendingMap(self._torch.tanh(self._plain(x)))

    def sigmoid(self, x: PendingMap) -> PendingMap:
        return PendingMap(self._torch.sigmoid(self._plain(x)))

    def painted(self, x: PendingMap) -> PendingMap:
        return x

    def shuffle(self, x: PendingMap, factor: int) -> PendingMap:
        return self._eager(self._torch.shuffle(self._plain(x), factor))

    def crop(self, x: PendingMap, top: int, left: int, height: int, width: int) -> PendingMap:
        return self._eager(self._torch.crop(self._plain(x), top, left, height, width))
