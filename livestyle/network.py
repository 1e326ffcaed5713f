"""The transformer networks: a picture in, the same picture painted out.

Every network takes RGB in [0, 1], (N, 3, H, W) with any H and W >= 1, and returns the same shape in
[0, 1], nothing shifted. Padding, normalisation and cropping happen inside.

All of them use conditional instance normalisation (Dumoulin et al., "A Learned Representation for
Artistic Style", 2017): the convolutions, called the body, are shared by all styles, and a style is
only the scale and shift of every norm. Laid end to end these are the style's rows, (2, K): row 0
the scales, row 1 the shifts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def reflect_pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Reflect padding of any width: pads wider than the picture bounce back and forth.

    F.pad refuses a pad that is not smaller than the side, and takes three times as long in channels-last
    memory; one-pixel sides have nothing to reflect and are repeated.
    """
    if x.shape[3] == 1:
        x, left, right = F.pad(x, (left, right, 0, 0), mode="replicate"), 0, 0
    if x.shape[2] == 1:
        x, top, bottom = F.pad(x, (0, 0, top, bottom), mode="replicate"), 0, 0
    far_y, far_x = x.shape[2] - 1, x.shape[3] - 1  # a bounce is one side long, so that every one is about the picture's edges
    while left or right or top or bottom:
        west, east, north, south = min(left, far_x), min(right, far_x), min(top, far_y), min(bottom, far_y)
        h, w = x.shape[2:]
        x = torch.cat([x[..., 1 : west + 1].flip(3), x, x[..., w - 1 - east : w - 1].flip(3)], 3)
        x = torch.cat([x[:, :, 1 : north + 1].flip(2), x, x[:, :, h - 1 - south : h - 1].flip(2)], 2)
        left, right, top, bottom = left - west, right - east, top - north, bottom - south
    return x


def centre(x: Tensor) -> Tensor:
    """Take the mean of every channel of every picture away.

    The first norm would do it anyway, but late: a nearly even picture is a small contrast on a large
    mean, whose variance is lost in rounding. White fades and flat skies came out as noise.
    """
    n, c, h, w = x.shape
    lines = x.permute(0, 2, 3, 1).reshape(n, h, w * c)  # three times as fast: long rows, in channels-last memory
    mean = lines.mean(1).reshape(n, w, c).mean(1)  # (N, C)
    return (lines - mean.repeat(1, w)[:, None]).reshape(n, h, w, c).permute(0, 3, 1, 2)


def shuffle(x: Tensor, factor: int) -> Tensor:
    """Turn channels into pixels: (N, factor factor C, H, W), in the order row, column, colour, -> (N, C, factor H, factor W).

    F.pixel_shuffle has the colour first; in channels-last memory this order copies runs of factor C
    numbers, three times as fast.
    """
    n, _, h, w = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(n, h, w, factor, -1).transpose(2, 3)  # (N, H, factor, W, factor C)
    return pixels.reshape(n, h * factor, w * factor, -1).permute(0, 3, 1, 2)


class RowReader:
    """Hands each norm its own part of the rows, in the order in which the norms run."""

    def __init__(self, rows: Tensor) -> None:
        self.rows = rows  # (2, K) or (N, 2, K)
        self.position = 0

    def take(self, channels: int) -> Tensor:
        part = self.rows[..., self.position : self.position + channels]
        self.position += channels
        return part


def conditional_instance_norm(x: Tensor, rows: RowReader) -> Tensor:
    """Normalise every channel of every picture over its pixels, then scale and shift it.

    A group norm with a group a channel is an instance norm, with statistics in fp32 whatever the
    type of x, and on CPUs many times faster than torch's own.
    """
    channels = x.shape[1]
    part = rows.take(channels)
    if part.dim() == 2:  # one style for the whole batch
        return F.group_norm(x, channels, part[0], part[1])
    scale, shift = part[:, 0, :, None, None], part[:, 1, :, None, None]  # (N, C, 1, 1)
    return F.group_norm(x, channels) * scale + shift


class Convolution(nn.Conv2d):
    """A convolution that keeps the size (over its stride), its border padded by reflection or repetition."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, padding: str = "reflect") -> None:
        # torch's own annotation of padding_mode is a Literal
        super().__init__(inputs, outputs, size, stride, padding=size // 2, padding_mode=padding)  # type: ignore[arg-type]


class ResidualBlock(nn.Module):
    """conv, norm, ReLU, conv, norm, plus the input (He et al. 2016, without the last ReLU, as in Johnson et al.)."""

    def __init__(self, channels: int, padding: str = "reflect") -> None:
        super().__init__()
        self.first = Convolution(channels, channels, 3, padding=padding)
        self.second = Convolution(channels, channels, 3, padding=padding)

    def forward(self, x: Tensor, rows: RowReader) -> Tensor:
        y = conditional_instance_norm(self.first(x), rows).relu_()
        return conditional_instance_norm(self.second(y), rows).add_(x)


class Transformer(nn.Module):
    """What the networks have in common: an architecture's name, and how many channels its norms have."""

    architecture: str
    bytes_per_pixel: int
    """Memory at the peak of a forward pass in fp32, measured, a pixel of the picture."""
    norm_channels: tuple[int, ...]

    @property
    def row_length(self) -> int:
        """K of the rows, (2, K)."""
        return sum(self.norm_channels)

    def plain_rows(self) -> Tensor:
        """The rows that scale by one and shift by nothing, (2, K): where training starts."""
        return torch.stack([torch.ones(self.row_length), torch.zeros(self.row_length)])


class Full(Transformer):
    """The original program's transformer network.

    Johnson et al., "Perceptual Losses for Real-Time Style Transfer", 2016 (supplementary material),
    with the instance norm of Ulyanov et al. 2016, the last layer included, and resize-convolutions
    in place of transposed ones.
    """

    architecture = "full"
    bytes_per_pixel = 850
    margin = 10  # reflected before, cropped after: keeps the borders alive

    def __init__(self) -> None:
        super().__init__()
        self.norm_channels = (32, 64, 128) + (128,) * 10 + (64, 32, 3)
        self.down1 = Convolution(3, 32, 9)
        self.down2 = Convolution(32, 64, 3, stride=2)
        self.down3 = Convolution(64, 128, 3, stride=2)
        self.blocks = nn.ModuleList(ResidualBlock(128) for _ in range(5))
        self.up1 = Convolution(128, 64, 3)
        self.up2 = Convolution(64, 32, 3)
        self.out = Convolution(32, 3, 9)

    def forward(self, x: Tensor, rows_: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1], rows (2, K) or one a picture (N, 2, K) -> (N, 3, H, W) in [0, 1]."""
        rows, m = RowReader(rows_), self.margin
        h, w = x.shape[2:]
        x = reflect_pad(centre(x) * 2, m, m, m, m)  # (N, 3, H + 20, W + 20)
        x = conditional_instance_norm(self.down1(x), rows).relu_()  # (N, 32, H + 20, W + 20)
        x = conditional_instance_norm(self.down2(x), rows).relu_()  # (N, 64, half)
        x = conditional_instance_norm(self.down3(x), rows).relu_()  # (N, 128, quarter)
        for block in self.blocks:
            x = block(x, rows)
        x = conditional_instance_norm(self.up1(F.interpolate(x, scale_factor=2)), rows).relu_()  # (N, 64, half)
        x = conditional_instance_norm(self.up2(F.interpolate(x, scale_factor=2)), rows).relu_()  # (N, 32, whole)
        x = torch.tanh(conditional_instance_norm(self.out(x), rows))  # (N, 3, whole) in [-1, 1]
        return x[:, :, m : m + h, m : m + w] * 0.5 + 0.5


class Lite(Transformer):
    """A network for CPUs: 2.6 GFLOP at 640x360, nothing wider than three channels at full size.

    Most of its work is done at an eighth of the size, where sight is far and pixels are few; the
    stem's quarter-size features pass beside that, so that the photo's edges stay sharp.
    """

    architecture = "lite"
    bytes_per_pixel = 80

    def __init__(self) -> None:
        super().__init__()
        stem, width, blocks = 32, 64, 3
        self.norm_channels = (stem, width) + (width,) * 2 * blocks + (stem,)
        self.stem = nn.Conv2d(3, stem, 8, stride=4)
        self.down = Convolution(stem, width, 3, stride=2, padding="replicate")
        self.blocks = nn.ModuleList(ResidualBlock(width, "replicate") for _ in range(blocks))
        self.widen = nn.Conv2d(width, stem, 1)
        self.up = Convolution(stem, stem, 3, padding="replicate")
        self.out = Convolution(stem, 48, 3, padding="replicate")

    def forward(self, x: Tensor, rows_: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1], rows (2, K) or one a picture (N, 2, K) -> (N, 3, H, W) in [0, 1]."""
        rows = RowReader(rows_)
        h, w = x.shape[2:]
        # to a multiple of eight, and at least sixteen, as a norm needs more than one pixel; and the stem's rim
        x = centre(reflect_pad(x, 2, 2 + max(-w % 8, 16 - w), 2, 2 + max(-h % 8, 16 - h)))
        fine = conditional_instance_norm(self.stem(x), rows).relu_()  # (N, 32, quarter)
        x = conditional_instance_norm(self.down(fine), rows).relu_()  # (N, 64, eighth)
        for block in self.blocks:
            x = block(x, rows)
        x = F.interpolate(self.widen(x), scale_factor=2).add_(fine)  # (N, 32, quarter)
        x = conditional_instance_norm(self.up(x), rows).relu_()
        x = shuffle(self.out(x).sigmoid_(), 4)  # (N, 3, whole)
        return x[:, :, :h, :w]


NETWORKS: dict[str, type[Full] | type[Lite]] = {network.architecture: network for network in (Full, Lite)}
