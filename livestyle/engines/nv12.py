"""Conversion between NV12, the pixel format of video decoders, and RGB, on the GPU: NV12 has half as many bytes to copy.

NV12 is (H + H/2, W) uint8 with even H and W: H rows of luma, then H/2 rows of chroma, in which U and V alternate, one pair
for 2 x 2 pixels. It is in limited range, in BT.709 or BT.601 depending on the size. A chroma sample is at the left of its two
columns, midway between its two rows (chroma location "left", the default of H.264; ISO/IEC 23091-2).
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.frame import is_hd


@cache
def _constants(hd: bool, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Convolution kernels (RGB to YUV, YUV to RGB, downsampling of U and V by 2).

    The first two are (3, 3, 1, 1), for RGB and Y in [0, 1] and U, V in [-0.5, 0.5]; the last one is (2, 1, 2, 3).
    Cached per device, as they cannot be copied from pageable host memory while a CUDA graph is captured.
    """
    red, blue = (0.2126, 0.0722) if hd else (0.299, 0.114)
    luma = torch.tensor([red, 1 - red - blue, blue])
    u, v = torch.tensor([0.0, 0, 1]) - luma, torch.tensor([1.0, 0, 0]) - luma
    to_yuv = torch.stack([luma, u / (2 - 2 * blue), v / (2 - 2 * red)])
    halving = (torch.tensor([[1.0, 2, 1], [1, 2, 1]]) / 8).expand(2, 1, 2, 3).contiguous()
    return to_yuv[:, :, None, None].to(device), torch.linalg.inv(to_yuv)[:, :, None, None].to(device), halving.to(device)


def rgb_from_nv12(frames: Tensor) -> Tensor:
    """Convert NV12, (N, H + H/2, W) uint8, to RGB, (N, 3, H, W) fp32 in [0, 1]."""
    n, rows, width = frames.shape
    height = rows * 2 // 3
    luma = (frames[:, None, :height].float() - 16) / 219  # (N, 1, H, W)
    pairs = frames[:, height:].reshape(n, height // 2, width // 2, 2).permute(0, 3, 1, 2)  # (N, 2, H/2, W/2)
    colour = F.interpolate((pairs.float() - 128) / 224, scale_factor=(2, 1), mode="bilinear")
    after = torch.cat([colour[..., 1:], colour[..., -1:]], 3)
    colour = torch.stack([colour, (colour + after) / 2], -1).reshape(n, 2, height, width)
    _, to_rgb, _ = _constants(is_hd(width, height), frames.device)
    return F.conv2d(torch.cat([luma, colour], 1), to_rgb).clamp_(0, 1)


def nv12_from_rgb(painted: Tensor) -> Tensor:
    """Convert RGB, (N, 3, H, W) in [0, 1], to NV12, (N, H + H/2, W) uint8."""
    n, _, height, width = painted.shape
    to_yuv, _, halving = _constants(is_hd(width, height), painted.device)
    yuv = F.conv2d(painted.float(), to_yuv)
    luma = yuv[:, 0] * 219 + 16  # (N, H, W)
    left = F.pad(yuv[:, 1:], (1, 0, 0, 0), mode="replicate")
    colour = F.conv2d(left, halving, stride=2, groups=2) * 224 + 128  # (N, 2, H/2, W/2)
    pairs = colour.permute(0, 2, 3, 1).reshape(n, height // 2, width)
    return torch.cat([luma, pairs], 1).round_().clamp_(0, 255).to(torch.uint8)
