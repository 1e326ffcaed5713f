"""The temporal loss: a photo and a slightly shifted or warped, noisy copy of it should be painted in the same way.

Compound regularisation, after ReReVST (Wang et al., "Consistent Video Style Transfer via Relaxation and Regularization", 2020):
a photo is painted, and so is its copy; the painting, moved like the copy, should equal the painting of the copy. No optical flow
is needed, and painting frames costs nothing extra. Its weight in a conf file is `steady_weight`.

Half of the copies are shifted by whole pixels, a quarter are warped by a smooth flow, and a quarter stay still. Whole-pixel
shifts are exact, so they measure aliasing: a network whose strides and upsampling alias paints a shifted photo differently.
Warps are resampled, which blurs what is compared and hides aliasing, but includes rotation and scaling.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FLOW_SIGMA = 8.0  # pixels, of the coarse flow
FLOW_CELL = 100  # pixels per cell of the coarse flow
WARP_SHIFT = 10.0  # pixels, at most: the mean motion of a warp
WHOLE_SHIFT = 8  # pixels, at most: above the stride of every network, so that shifts of all phases occur
SHIFTED_SHARE, WARPED_SHARE = 0.5, 0.25  # of the copies; the others stay still
SHIFTED_WEIGHT, WARPED_WEIGHT, STILL_WEIGHT = 4.0, 1.0, 8.0  # of their losses; those of still copies are the smallest
NOISE_SIGMA = 0.015  # at most, for values in [0, 1]: as the noise of a camera in a dim room


class RandomWarp:
    """A random motion and random noise for each picture of a batch.

    A picture is shifted by whole pixels, warped, or still; still pictures differ from their copies by noise only. count: the
    number of pictures, N. size: their sides, pixels. The seed determines everything, on one kind of device.
    """

    def __init__(self, count: int, size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self._random: dict[str, Any] = {"generator": torch.Generator(device).manual_seed(seed), "device": device}
        cells = max(2, round(size / FLOW_CELL))
        coarse = torch.randn(count, 2, cells, cells, **self._random) * FLOW_SIGMA
        warp = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)  # (N, 2, H, W) in pixels
        warp = warp + (torch.rand(count, 2, 1, 1, **self._random) * 2 - 1) * WARP_SHIFT
        kind = torch.rand(count, 1, 1, 1, **self._random)
        shift = torch.randint(-WHOLE_SHIFT, WHOLE_SHIFT + 1, (count, 2, 1, 1), **self._random).float()
        is_shifted, is_still = kind < SHIFTED_SHARE, kind >= SHIFTED_SHARE + WARPED_SHARE
        flow = torch.where(is_shifted, shift, warp).masked_fill(is_still, 0)  # (N, 2, H, W)
        weights = torch.full_like(kind, WARPED_WEIGHT).masked_fill(is_shifted, SHIFTED_WEIGHT).masked_fill(is_still, STILL_WEIGHT)
        self.weights = weights[:, 0, 0, 0]  # (N,)
        line = torch.arange(size, dtype=torch.float32, device=device)
        positions = torch.stack([line.expand(size, size), line[:, None].expand(size, size)]) + flow  # x, y
        self.grid = (positions * 2 / (size - 1) - 1).permute(0, 2, 3, 1)  # (N, H, W, 2) in [-1, 1], as grid_sample takes it
        self.inside = (self.grid.abs() <= 1 + 1e-5).all(3)[:, None].float()  # (N, 1, H, W): 1 for pixels from inside the picture

    def warp(self, pictures: Tensor) -> Tensor:
        """Move pictures, (N, 3, H, W) -> the same shape, fp32.

        Sampling is bicubic: bilinear sampling blurs, so the loss could fall only by painting weaker strokes. Shifts by whole
        pixels are exact, up to rounding.
        """
        return F.grid_sample(pictures.float(), self.grid, "bicubic", "border", align_corners=True)

    def noisy_copies(self, photos: Tensor) -> Tensor:
        """Move photos, (N, 3, H, W) in [0, 1], and add noise. Returns the same shape in [0, 1]."""
        sigma = torch.rand(len(self.grid), 1, 1, 1, **self._random) * NOISE_SIGMA
        noise = torch.randn(photos.shape, **self._random) * sigma
        return (self.warp(photos) + noise).clamp(0, 1)

    def loss(self, painted: Tensor, painted_copies: Tensor) -> Tensor:
        """The mean squared difference between the moved painting and the painting of the copy, (N,), times `weights`.

        It covers the pixels that come from inside the picture.
        """
        difference = (self.warp(painted) - painted_copies.float()).square() * self.inside
        return self.weights * difference.sum((1, 2, 3)) / (3 * self.inside.sum((1, 2, 3)).clamp_min(1))
