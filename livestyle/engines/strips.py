"""Paint in strips a frame that does not fit in memory whole."""

import numpy as np
import torch
from torch import Tensor

from livestyle.engines.torch_batch import mix
from livestyle.frame import Image
from livestyle.networks.strip_ops import StripOps, Strips
from livestyle.networks.torch_ops import TransformerNetwork, to_uint8


@torch.inference_mode()
def paint_in_strips(network: TransformerNetwork, rows: Tensor, mixing: Tensor | None, frame: Image) -> Image:
    """Paint a frame, (H, W, 3) uint8 RGB, on the network's device. Returns an array of the same shape.

    rows: (2, K). mixing: the look's matrix, (1, 3, 3), or None. All in fp32.
    """
    height, width = frame.shape[:2]

    def read(first: int, last: int) -> Tensor:
        strip = torch.tensor(frame[first:last]).to(rows.device)  # a copy, as PyTorch warns about read-only arrays
        return strip.permute(2, 0, 1)[None].float().div_(255)  # (1, 3, last - first, W)

    photo = Strips(3, height, width, read)
    painting: Strips = network.architecture.forward(StripOps(network, rows), photo)
    painted = np.empty_like(frame, order="C")
    for first, last in photo.ranges():
        strip = painting.read(first, last)
        if mixing is not None:
            strip = mix(read(first, last), strip, mixing)
        painted[first:last] = to_uint8(strip)[0].cpu().numpy()
    return painted
