"""PyTorch backend of the transformer networks: for training, and for engines that run on PyTorch."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function

from livestyle.networks.architecture import Architecture
from livestyle.networks.body import Body
from livestyle.networks.ops import Border

PAD_MODES = {"reflect": "reflect", "repeat": "replicate"}
"""Border of a convolution -> mode of F.pad."""
EPS = 1e-5
"""Value added to variances: the default of torch's group norm."""


def reflect_pad(x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Pad by reflection, by any width.

    F.pad requires a pad smaller than the side. In channels-last memory it also takes four times as long with three channels;
    with many channels it is faster. Raises ValueError for an empty picture.
    """
    if 0 in x.shape:
        raise ValueError(f"cannot reflect an empty picture, {tuple(x.shape)}")  # the loop below would not end
    if x.shape[3] == 1:
        x, left, right = F.pad(x, (left, right, 0, 0), mode="replicate"), 0, 0
    if x.shape[2] == 1:
        x, top, bottom = F.pad(x, (0, 0, top, bottom), mode="replicate"), 0, 0
    far_y, far_x = x.shape[2] - 1, x.shape[3] - 1  # the most that one reflection can add; the loop reflects again
    while left or right or top or bottom:
        west, east, north, south = min(left, far_x), min(right, far_x), min(top, far_y), min(bottom, far_y)
        h, w = x.shape[2:]
        x = torch.cat([x[..., 1 : west + 1].flip(3), x, x[..., w - 1 - east : w - 1].flip(3)], 3)
        x = torch.cat([x[:, :, 1 : north + 1].flip(2), x, x[:, :, h - 1 - south : h - 1].flip(2)], 2)
        left, right, top, bottom = left - west, right - east, top - north, bottom - south
    return x


def to_uint8(picture: Tensor) -> Tensor:
    """Convert pictures, (N, 3, H, W) in [0, 1], which are overwritten, to (N, H, W, 3) uint8."""
    return picture.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


class Bordered(Function):
    """Pad by a rim narrower than the picture, like F.pad. Keeps channels-last memory, which F.pad does not do on GPUs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rim: int, border: Border) -> Tensor:
        ctx.rim, ctx.border = rim, border
        n, c, h, w = x.shape
        out = x.new_empty(n, h + 2 * rim, w + 2 * rim, c)
        out[:, rim:-rim, rim:-rim] = x.permute(0, 2, 3, 1)
        for lines in (out[:, rim:-rim].transpose(1, 2), out):  # columns, then rows including corners: (N, side, other side, C)
            for outside, inside in ends(lines, rim, border):
                outside.copy_(inside.flip(1))
        return out.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        lines, rim = gradient.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format), ctx.rim
        for each in (lines, lines[:, rim:-rim].transpose(1, 2)):
            for outside, inside in ends(each, rim, ctx.border):
                inside += outside.flip(1) if inside.shape == outside.shape else outside.sum(1, keepdim=True)
        return lines[:, rim:-rim, rim:-rim].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last), None, None


def ends(lines: Tensor, rim: int, border: Border) -> list[tuple[Tensor, Tensor]]:
    """Return views of the two padded rims at the ends of axis 1, each with the lines that its padding copies: (outside, inside).

    lines: the padded picture, (N, side, other side, C). outside: the rim, (N, rim, other side, C). inside: the lines next to it
    in the picture, which the rim repeats in reverse order, in the same shape; for the border "repeat" only the last line of the
    picture, (N, 1, other side, C).
    """
    far, past = lines.shape[1] - rim, lines.shape[1]
    outside = lines[:, :rim], lines[:, far:past]
    if border == "repeat":
        return list(zip(outside, (lines[:, rim : rim + 1], lines[:, far - 1 : far]), strict=True))
    return list(zip(outside, (lines[:, rim + 1 : 2 * rim + 1], lines[:, far - rim - 1 : far - 1]), strict=True))


def normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    """Normalise every channel of every picture, (N, C, H, W), to mean 0 and variance 1.

    Also returns 1 / standard deviation of each channel, (N, C). On CPUs this is torch's group norm; on GPUs that does not keep
    channels-last memory.
    """
    if x.is_cuda:
        return normalised_in_lines(x)
    n, c, h, w = x.shape
    normed, _, rstd = torch.native_group_norm(x, None, None, n, c, h * w, c, EPS)
    return normed, rstd


def normalised_in_lines(x: Tensor) -> tuple[Tensor, Tensor]:
    """Do the same as `normalised` for channels-last memory, with statistics in fp32."""
    n, c, h, w = x.shape
    lines = x.permute(0, 2, 3, 1).reshape(n, h * w, c)
    mean = lines.mean(1, keepdim=True, dtype=torch.float32)  # (N, 1, C)
    centred = torch.sub(lines, mean, out=torch.empty_like(lines))
    variance = (centred * centred).mean(1, keepdim=True, dtype=torch.float32)  # autocast would compute a power in fp32
    rstd = (variance + EPS).rsqrt()
    normed = torch.mul(centred, rstd, out=centred)
    return normed.reshape(n, h, w, c).permute(0, 3, 1, 2), rstd[:, 0]


class StyledNorm(Function):
    """Instance norm of pictures (N, C, H, W), each with its own scales and shifts, rows (N, 2, C). Statistics are in fp32.

    The gradient is implemented here (Ioffe and Szegedy 2015, section 3). In channels-last memory on CPUs, the gradient of
    torch's group norm takes seven times as long, which is half of a training step of `full`.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        normed, rstd = normalised(x)
        ctx.save_for_backward(normed, rstd, rows)
        scale, shift = rows.to(x.dtype)[..., None, None].unbind(1)  # (N, C, 1, 1)
        return torch.addcmul(shift, normed, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        normed, rstd, rows = ctx.saved_tensors
        n, c, h, w = normed.shape
        lines = [x.permute(0, 2, 3, 1).reshape(n, h * w, c) for x in (gradient, normed)]  # (N, H W, C), for fast sums
        sums = torch.stack([(lines[0] * lines[1]).sum(1, dtype=rows.dtype), lines[0].sum(1, dtype=rows.dtype)], 1)  # (N, 2, C)
        factor = (rows[:, 0] * rstd)[:, None]  # (N, 1, C)
        slope, mean = (factor * sums / (h * w)).to(gradient.dtype)[:, :, None].unbind(1)
        through = torch.addcmul(-mean, lines[0], factor.to(gradient.dtype))  # (N, H W, C)
        through = torch.addcmul(through, lines[1], slope, value=-1)
        return through.reshape(n, h, w, c).permute(0, 3, 1, 2), sums


def blurred_by_pooling(x: Tensor) -> Tensor:
    """Blur maps (N, C, H, W) by averaging neighbours twice: at the edges the first pooling averages the edge pixels alone.

    For GPUs: it needs no weights, whose upload a CUDA graph could not capture, and it keeps channels-last memory.
    """
    return F.avg_pool2d(F.avg_pool2d(x, 2, 1, padding=1, count_include_pad=False), 2, 1)


class Blurred(Function):
    """Filter maps (N, C, H, W) with the binomial kernel [1 2 1] / 4 in both directions, with repeated edge pixels.

    With repeated edges the filter is a symmetric matrix, so the gradient is filtered alike. On CPUs a depthwise convolution is
    faster than poolings, which take up to three times as long; the gradient of F.pad takes as long as all the rest.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        if x.is_cuda:
            return blurred_by_pooling(x)
        channels = x.shape[1]
        kernel = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        weight = (kernel[:, None] * kernel).expand(channels, 1, 3, 3)
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, groups=channels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        blurred: Tensor = Blurred.apply(gradient)
        return blurred


class TorchOps:
    """Interpreter on PyTorch. Feature maps are tensors, (N, C, H, W).

    convolutions: name -> module. rows: (2, K) for the whole batch, or (N, 2, K), one per picture.
    """

    def __init__(self, convolutions: Mapping[str, nn.Conv2d], rows: Tensor) -> None:
        self.convolutions = convolutions
        self.rows = rows
        self._taken = 0

    def next_rows(self, channels: int) -> Tensor:
        """Take the columns of the rows for the next norm: (2, C) or (N, 2, C)."""
        part = self.rows[..., self._taken : self._taken + channels]
        self._taken += channels
        return part

    def size(self, x: Tensor) -> tuple[int, int]:
        return x.shape[2], x.shape[3]

    def centre(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        lines = x.permute(0, 2, 3, 1).reshape(n, h, w * c)  # sums over long rows of channels-last memory are three times as fast
        mean = lines.mean(1).reshape(n, w, c).mean(1)  # (N, C)
        return (lines - mean.repeat(1, w)[:, None]).reshape(n, h, w, c).permute(0, 3, 1, 2)

    def scale(self, x: Tensor, factor: float, shift: float = 0.0) -> Tensor:
        return x * factor + shift if shift else x * factor

    def reflect(self, x: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
        return reflect_pad(x, left, right, top, bottom)

    def conv(self, name: str, x: Tensor, channels: int, size: int, stride: int = 1, border: Border = "reflect") -> Tensor:
        module, rim = self.convolutions[name], size // 2
        if border != "none":
            x = Bordered.apply(x, rim, border) if x.is_cuda else F.pad(x, (rim, rim, rim, rim), mode=PAD_MODES[border])
        return F.conv2d(x, module.weight, module.bias, stride)

    def norm(self, x: Tensor) -> Tensor:
        """Compute the instance norm as a group norm with one group per channel.

        Its statistics are in fp32 for every dtype of x, and on CPUs it is many times faster than torch's instance norm.
        """
        channels = x.shape[1]
        part = self.next_rows(channels)
        if part.dim() == 2:  # one style for the whole batch
            return F.group_norm(x, channels, part[0], part[1])
        normed: Tensor = StyledNorm.apply(x, part)
        return normed

    def relu(self, x: Tensor) -> Tensor:
        return x.relu_()

    def tanh(self, x: Tensor) -> Tensor:
        return x.tanh_()

    def sigmoid(self, x: Tensor) -> Tensor:
        return x.sigmoid_()

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        return x.add_(y)

    def blur(self, x: Tensor) -> Tensor:
        blurred: Tensor = Blurred.apply(x)
        return blurred

    def upsample(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear")

    def painted(self, x: Tensor) -> Tensor:
        return x

    def shuffle(self, x: Tensor, factor: int) -> Tensor:
        n, _, h, w = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(n, h, w, factor, -1).transpose(2, 3)  # (N, H, factor, W, factor C)
        return pixels.reshape(n, h * factor, w * factor, -1).permute(0, 3, 1, 2)

    def crop(self, x: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
        return x[:, :, top : top + height, left : left + width]


class TransformerNetwork(nn.Module):
    """A network as a PyTorch module. Its submodules are the convolutions, with their names in the architecture."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for name, (outputs, inputs, size, _) in architecture.weights.items():
            *folders, last = name.split(".")
            place: nn.Module = self
            for folder in folders:
                if not hasattr(place, folder):
                    place.add_module(folder, nn.Module())
                place = place.get_submodule(folder)
            place.add_module(last, nn.Conv2d(inputs, outputs, size))

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """Paint photos, (N, 3, H, W) in [0, 1]. Returns the same shape and range. rows: (2, K), or one per picture, (N, 2, K)."""
        painted: Tensor = self.architecture.forward(TorchOps(self.convolutions, rows), x)
        return painted

    @property
    def convolutions(self) -> dict[str, nn.Conv2d]:
        return {name: module for name, module in self.named_modules() if isinstance(module, nn.Conv2d)}

    def plain_rows(self) -> Tensor:
        """Rows (2, K) with scales of 1 and shifts of 0, with which training starts."""
        length = self.architecture.row_length
        return torch.stack([torch.ones(length), torch.zeros(length)])

    def body(self) -> Body:
        """Copy the current parameters into a body."""
        state = {name: value.detach().float().cpu().numpy().copy() for name, value in self.state_dict().items()}
        return Body(self.architecture, state)

    @classmethod
    def of(cls, body: Body) -> "TransformerNetwork":
        """Build the network of a body, in evaluation mode, without gradients."""
        with torch.device("meta"):
            network = cls(body.architecture)
        network.load_state_dict({name: torch.tensor(value) for name, value in body.parameters.items()}, assign=True)
        return network.eval().requires_grad_(False)
