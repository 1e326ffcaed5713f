"""The temporal loss: a photo and a slightly warped, noisy copy of it should be painted in the same way.

Compound regularisation, after ReReVST (Wang et al., "Consistent Video Style Transfer via Relaxation and Regularization", 2020):
a photo is painted, and so is a warped, slightly noisy copy; the warped painting and the painting of the warped photo should be
equal. No optical flow is needed, and painting frames costs nothing extra. Its weight in a conf file is `steady_weight`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FLOW_SIGMA = 8.0  # pixels, of the coarse flow
FLOW_CELL = 100  # pixels per cell of the coarse flow
SHIFT = 10.0  # pixels, at most, of the whole picture
WHOLE_SHIFT = 8  # pixels, at most
SHARE_SHIFTED, SHARE_WARPED = 0.5, 0.25  # of the pictures; the others stay still
NOISE_SIGMA = 0.015  # at most, for values in [0, 1]: as the noise of a camera in a dim room
SHIFTED_WEIGHT = 4.0
STILL_WEIGHT = 8.0  # of the loss of pictures that are not warped, which is much smaller than that of the others


class RandomWarp:
    """A random warp and random noise for each picture of a batch.

    About half of the pictures are not warped and differ by noise only, as still scenes. count: the number of pictures, N. size:
    their sides, pixels. The seed determines everything, on one kind of device.
    """

    def __init__(self, count: int, size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self._random: dict[str, Any] = {"generator": torch.Generator(device).manual_seed(seed), "device": device}
        cells = max(2, round(size / FLOW_CELL))
        coarse = torch.randn(count, 2, cells, cells, **self._random) * FLOW_SIGMA
        flow = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)  # (N, 2, H, W) in pixels
        flow = flow + (torch.rand(count, 2, 1, 1, **self._random) * 2 - 1) * SHIFT
        kind = torch.rand(count, 1, 1, 1, **self._random)
        moving = (kind < SHARE_SHIFTED + SHARE_WARPED).float()
        shift = torch.randint(-WHOLE_SHIFT, WHOLE_SHIFT + 1, (count, 2, 1, 1), **self._random).float()
        flow = torch.where(kind < SHARE_SHIFTED, shift, flow)
        line = torch.arange(size, dtype=torch.float32, device=device)
        positions = torch.stack([line.expand(size, size), line[:, None].expand(size, size)]) + flow * moving  # x, y
        self.grid = (positions * 2 / (size - 1) - 1).permute(0, 2, 3, 1)  # (N, H, W, 2) in [-1, 1], as grid_sample takes it
        weights = torch.where(kind < SHARE_SHIFTED, SHIFTED_WEIGHT, torch.where(kind < SHARE_SHIFTED + SHARE_WARPED, 1.0, STILL_WEIGHT))
        self.weights = weights[:, 0, 0, 0]  # (N,)
        self.inside = (self.grid.abs() <= 1).all(3)[:, None].float()  # (N, 1, H, W): 1 for pixels from inside the picture

    def warp(self, pictures: Tensor) -> Tensor:
        """Warp pictures, (N, 3, H, W) -> the same shape, fp32.

        Sampling is bicubic: bilinear sampling blurs, so the loss could fall only by painting weaker strokes.
        """
        return F.grid_sample(pictures.float(), self.grid, "bicubic", "border", align_corners=True)

    def noisy_copies(self, photos: Tensor) -> Tensor:
        """Warp photos, (N, 3, H, W) in [0, 1], and add noise. Returns the same shape in [0, 1]."""
        sigma = torch.rand(len(self.grid), 1, 1, 1, **self._random) * NOISE_SIGMA
        noise = torch.randn(photos.shape, **self._random) * sigma
        return (self.warp(photos) + noise).clamp(0, 1)

    def loss(self, painted: Tensor, painted_copies: Tensor) -> Tensor:
        """The mean squared difference between the warped painting and the painting of the copy, (N,).

        It covers the pixels that come from inside the picture. For pictures that are not warped it is multiplied by STILL_WEIGHT.
        """
        difference = (self.warp(painted) - painted_copies.float()).square() * self.inside
        return self.weights * difference.sum((1, 2, 3)) / (3 * self.inside.sum((1, 2, 3)).clamp_min(1))
