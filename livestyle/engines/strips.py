"""Painting a picture in strips, for pictures that do not fit the memory whole."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from livestyle.frame import Image
from livestyle.networks.strip_ops import StripOps, Strips
from livestyle.networks.torch_ops import TransformerNetwork, to_uint8


@torch.inference_mode()
def paint_in_strips(network: TransformerNetwork, rows: Tensor, mixing: Tensor | None, image: Image) -> Image:
    """(H, W, 3) uint8 RGB -> the same shape, painted, on the network's device.

    rows: (2, K). mixing: the look's matrix (1, 3, 3), or None. All in fp32.
    """
    height, width = image.shape[:2]

    def read(first: int, last: int) -> Tensor:
        strip = torch.tensor(image[first:last]).to(rows.device)  # copied: PyTorch warns about read-only arrays
        return strip.permute(2, 0, 1)[None].float().div_(255)  # (1, 3, rows, W)

    photo = Strips(3, height, width, read)
    painting: Strips = network.architecture.forward(StripOps(network, rows), photo)
    result = np.empty_like(image, order="C")
    for first, last in photo.ranges():
        strip = painting.read(first, last)
        if mixing is not None:
            part = read(first, last)
            strip = part + F.conv2d(strip - part, mixing[0][:, :, None, None])
        result[first:last] = to_uint8(strip)[0].cpu().numpy()
    return result
