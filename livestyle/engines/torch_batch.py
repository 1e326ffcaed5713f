"""Paint a batch with PyTorch, on any device."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.engines.nv12 import nv12_from_rgb, rgb_from_nv12
from livestyle.networks.torch_ops import to_uint8


def paint_batch(network: Callable[[Tensor, Tensor], Tensor], rows: Tensor, mixing: Tensor | None, frames: Tensor) -> Tensor:
    """Paint frames, (N, H, W, 3) uint8 RGB or (N, H + H/2, W) NV12. Returns the same shape. All tensors are on one device.

    rows: (2, K) for all frames or (N, 2, K), in the network's precision.
    mixing: the looks' mixing matrices in fp32, (N, 3, 3); None to return the paintings unmixed.
    """
    picture = network(_photo(frames, rows.dtype), rows)  # (N, 3, H, W)
    if mixing is not None:
        picture = mix(_photo(frames, torch.float32), picture.float(), mixing)
    return nv12_from_rgb(picture) if frames.dim() == 3 else to_uint8(picture)


def mix(photo: Tensor, painting: Tensor, mixing: Tensor) -> Tensor:
    """Return photo + M (painting - photo), all (N, 3, H, W), with the mixing matrix M of each picture. Overwrites photo.

    mixing: (N, 3, 3). All tensors are fp32, so that strength 0 is exactly the photo.
    """
    for one, other, matrix in zip(torch.split(photo, 1), torch.split(painting, 1), mixing, strict=True):
        one += F.conv2d(other - one, matrix[:, :, None, None])
    return photo


def _photo(frames: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert frames, uint8 RGB or NV12, to the network's input: (N, 3, H, W) in [0, 1], channels-last."""
    if frames.dim() == 3:
        return rgb_from_nv12(frames).to(dtype).contiguous(memory_format=torch.channels_last)
    return frames.permute(0, 3, 1, 2).to(dtype).div_(255)
