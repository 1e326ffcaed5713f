"""The steady pass: what moves a little, or carries a little noise, must be painted the same.

Compound regularisation, after ReReVST (Wang et al., "Consistent Video Style Transfer via Relaxation and
Regularization", 2020): a photo is painted, and so is a warped, slightly noisy copy; the warped
painting and the painting of the warped photo should agree. No optical flow is needed, and when frames
are painted nothing is added.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FLOW_SIGMA = 8.0  # pixels, of the coarse flow
FLOW_CELL = 100  # pixels a cell of it
SHIFT = 10.0  # pixels, at most, of the whole picture
NOISE_SIGMA = 0.015  # at most, on [0, 1]: a camera's, in a dim room
STILL_WEIGHT = 8.0  # of a still scene's loss, which is so much less than a moving one's that it would hardly count


class Motion:
    """One random motion a picture, and noise. Half of the pictures, by chance, stay where they are: still scenes, whose
    noise is all.

    count, size: N pictures of size x size pixels. seed: fixes everything, on a device of one kind.
    """

    def __init__(self, count: int, size: int, seed: int, device: torch.device | str = "cpu") -> None:
        self.chance: dict[str, Any] = {"generator": torch.Generator(device).manual_seed(seed), "device": device}
        cells = max(2, round(size / FLOW_CELL))
        coarse = torch.randn(count, 2, cells, cells, **self.chance) * FLOW_SIGMA
        flow = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)  # (N, 2, H, W) pixels
        flow = flow + (torch.rand(count, 2, 1, 1, **self.chance) * 2 - 1) * SHIFT
        moving = (torch.rand(count, 1, 1, 1, **self.chance) < 0.5).float()
        line = torch.arange(size, dtype=torch.float32, device=device)
        places = torch.stack([line.expand(size, size), line[:, None].expand(size, size)]) + flow * moving  # x, y
        self.grid = (places * 2 / (size - 1) - 1).permute(0, 2, 3, 1)  # (N, H, W, 2), of the pictures' sides
        self.weights = moving[:, 0, 0, 0] + STILL_WEIGHT * (1 - moving[:, 0, 0, 0])  # (N,)
        self.inside = (self.grid.abs() <= 1).all(3)[:, None].float()  # (N, 1, H, W): what was in the picture before

    def warp(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) -> moved, the same shape. Bicubic, or the strokes would have to fade to agree."""
        return F.grid_sample(pictures.float(), self.grid, "bicubic", "border", align_corners=True)

    def copies(self, photos: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1] -> moved and noisy, the same shape in [0, 1]."""
        sigma = torch.rand(len(self.grid), 1, 1, 1, **self.chance) * NOISE_SIGMA
        noise = torch.randn(photos.shape, **self.chance) * sigma
        return (self.warp(photos) + noise).clamp(0, 1)

    def loss(self, painted: Tensor, painted_copies: Tensor) -> Tensor:
        """Mean squared difference of the warped painting and the painting of the copy, where both show the scene, (N,);
        of pictures that stay where they are, STILL_WEIGHT times that."""
        difference = (self.warp(painted) - painted_copies.float()).square() * self.inside
        return self.weights * difference.sum((1, 2, 3)) / (3 * self.inside.sum((1, 2, 3)).clamp_min(1))
