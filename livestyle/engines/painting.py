"""What every engine does with a batch, on whatever device it is."""

import torch
from torch import Tensor

from livestyle.engines import Look
from livestyle.errors import TooLargeError
from livestyle.frame import Image
from livestyle.network import Transformer

LUMA = (0.299, 0.587, 0.114)  # BT.601


def paint(network: Transformer, rows: Tensor, look: Look, frames: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> the same, painted. All arguments on one device; the network's type decides the precision."""
    x = frames.permute(0, 3, 1, 2)  # (N, 3, H, W), channels-last in memory without a copy
    photo = x.to(next(network.parameters()).dtype).div_(255)
    painted: Tensor = network(photo, rows)
    if look.keep_colors:
        luma = torch.tensor(LUMA, dtype=photo.dtype, device=photo.device)[:, None, None]
        painted = photo + ((painted - photo) * luma).sum(1, keepdim=True)
    if look.strength < 1:
        painted = torch.lerp(photo, painted, look.strength)
    painted = painted.mul_(255).round_().clamp_(0, 255).to(torch.uint8)  # (N, 3, H, W)
    return painted.permute(0, 2, 3, 1).contiguous()  # (N, H, W, 3)


def check_memory(network: Transformer, frame: Image, count: int, free_bytes: int) -> None:
    """Raises TooLargeError with the --size that fits, before anything is allocated for `count` frames of this size."""
    height, width = frame.shape[:2]
    needed = network.bytes_per_pixel * height * width * count
    if needed > free_bytes:
        factor = (free_bytes / needed) ** 0.5 * 0.95
        fits = f"{max(1, int(width * factor))}x{max(1, int(height * factor))}"
        raise TooLargeError(
            f"{width}x{height} needs about {needed / 2**30:.1f} GiB in the {network.architecture} network, "
            f"and {free_bytes / 2**30:.1f} GiB are free; use --size {fits}"
        )
