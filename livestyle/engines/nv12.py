"""The colours of video files, converted on the device: half the bytes of RGB to bring there and back.

NV12 is (H + H/2, W) uint8, H and W even: H rows of luma, then H/2 rows of colour, U and V in turn, one of each for 2 x 2
pixels; in limited range, after BT.709 or BT.601 by its size. The colours lie beside the left one of two pixels, between
the rows (the default of H.264, ISO 23091-2).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.frame import is_hd


def _matrix(height: int, width: int, device: torch.device) -> Tensor:
    """RGB in 0..1 to Y in 0..1 and U, V in -.5..5."""
    red, blue = (0.2126, 0.0722) if is_hd(width, height) else (0.299, 0.114)
    luma = torch.tensor([red, 1 - red - blue, blue])
    u, v = torch.tensor([0.0, 0, 1]) - luma, torch.tensor([1.0, 0, 0]) - luma
    return torch.stack([luma, u / (2 - 2 * blue), v / (2 - 2 * red)]).to(device)


def rgb_from_nv12(frames: Tensor) -> Tensor:
    """(N, H + H/2, W) uint8 -> (N, 3, H, W) fp32 in [0, 1]."""
    n, rows, width = frames.shape
    height = rows * 2 // 3
    luma = (frames[:, None, :height].float() - 16) / 219  # (N, 1, H, W)
    pairs = frames[:, height:].reshape(n, height // 2, width // 2, 2).permute(0, 3, 1, 2)  # (N, 2, H/2, W/2)
    colour = F.interpolate((pairs.float() - 128) / 224, scale_factor=(2, 1), mode="bilinear")
    after = torch.cat([colour[..., 1:], colour[..., -1:]], 3)
    colour = torch.stack([colour, (colour + after) / 2], -1).reshape(n, 2, height, width)
    to_rgb = torch.linalg.inv(_matrix(height, width, torch.device("cpu"))).to(frames.device)
    return F.conv2d(torch.cat([luma, colour], 1), to_rgb[:, :, None, None]).clamp_(0, 1)


def nv12_from_rgb(painted: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1] -> (N, H + H/2, W) uint8."""
    n, _, height, width = painted.shape
    yuv = F.conv2d(painted.float(), _matrix(height, width, painted.device)[:, :, None, None])
    luma = yuv[:, 0] * 219 + 16  # (N, H, W)
    left = F.pad(yuv[:, 1:], (1, 0, 0, 0), mode="replicate")
    taps = torch.tensor([[1.0, 2, 1], [1, 2, 1]], device=painted.device).expand(2, 1, 2, 3) / 8
    colour = F.conv2d(left, taps, stride=2, groups=2) * 224 + 128  # (N, 2, H/2, W/2)
    pairs = colour.permute(0, 2, 3, 1).reshape(n, height // 2, width)
    return torch.cat([luma, pairs], 1).round_().clamp_(0, 255).to(torch.uint8)
