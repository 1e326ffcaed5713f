"""Painting a batch with PyTorch, on any device."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.networks.torch_ops import to_uint8


def paint_batch(
    network: Callable[[Tensor, Tensor], Tensor],
    rows: Tensor,
    mixing: Tensor | None,
    frames: Tensor,
    is_mixed: Tensor | None = None,
) -> Tensor:
    """(N, H, W, 3) uint8 RGB or (N, H + H/2, W) NV12 -> the same shape, painted. All tensors are on one device.

    rows: (2, K) for all frames or (N, 2, K), in the network's precision. mixing: the looks' matrices in fp32, (N, 3, 3); None
    if no look has one. is_mixed: (N,) bool, the frames to which mixing applies; None for all.
    """
    painted = network(_photo(frames, rows.dtype), rows)  # (N, 3, H, W)
    if mixing is None:
        return _packed(painted, frames)
    photo = _photo(frames, torch.float32)  # in fp32, so that strength 0 is exactly the photo
    pictures = zip(photo.split(1), painted.float().split(1), mixing, strict=True)
    mixed = torch.cat([one + F.conv2d(other - one, matrix[:, :, None, None]) for one, other, matrix in pictures])
    if is_mixed is None:
        return _packed(mixed, frames)
    where = is_mixed.view(-1, *[1] * (frames.dim() - 1))
    return torch.where(where, _packed(mixed, frames), _packed(painted, frames))


def _packed(picture: Tensor, frames: Tensor) -> Tensor:
    """(N, 3, H, W) in [0, 1], overwritten -> uint8, in the pixel format of the frames."""
    return nv12_from_rgb(picture) if frames.dim() == 3 else to_uint8(picture)


def _photo(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """(N, 3, H, W) in [0, 1], channels-last in memory."""
    if frames.dim() == 3:
        return rgb_from_nv12(frames).to(dtype).contiguous(memory_format=torch.channels_last)
    return frames.permute(0, 3, 1, 2).to(dtype).div_(255)
