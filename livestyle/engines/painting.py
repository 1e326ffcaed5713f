"""What every engine on torch does with a batch, on whatever device it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12


def paint(network: Callable[[Tensor, Tensor], Tensor], rows: Tensor, mixing: Tensor | None, frames: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 RGB or (N, H + H/2, W) NV12 -> the same, painted. All on one device.

    rows: (2, K), of the network's precision. mixing: the look's, (3, 3) in fp32.
    """
    painted = network(_photo(frames, rows.dtype), rows)
    if mixing is not None:  # in fp32, so that no strength is exactly the photo
        photo = _photo(frames, torch.float32)
        painted = photo + F.conv2d(painted.float() - photo, mixing[:, :, None, None])
    if frames.dim() == 3:
        return nv12_from_rgb(painted)
    return levels(painted)


def levels(picture: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1], which is overwritten -> (N, H, W, 3) uint8."""
    return picture.mul_(255).round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _photo(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, 3, H, W) in [0, 1], channels-last in memory."""
    if frames.dim() == 3:
        return rgb_from_nv12(frames).to(dtype).contiguous(memory_format=torch.channels_last)
    return frames.permute(0, 3, 1, 2).to(dtype).div_(255)
