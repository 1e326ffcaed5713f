"""What every engine on torch does with a batch, on whatever device it is."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def paint(network: Callable[[Tensor, Tensor], Tensor], rows: Tensor, mixing: Tensor | None, frames: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> the same, painted. All on one device; the rows' type is the network's precision.

    mixing: the look's, (3, 3) in fp32.
    """
    x = frames.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last in memory without a copy
    photo = x.to(rows.dtype).div_(255)
    painted = network(photo, rows)
    if mixing is not None:  # in fp32, so that no strength is exactly the photo
        photo = x.float().div_(255)
        painted = photo + F.conv2d(painted.float() - photo, mixing[:, :, None, None])
    painted = painted.mul_(255).round_().clamp_(0, 255).to(torch.uint8)  # (N, 3, H, W)
    return painted.permute(0, 2, 3, 1).contiguous()  # (N, H, W, 3)
