"""Statistics of a style picture: means and standard deviations of the activations of the bundled loss network.

The network is `own` of livestyle.train.losses.loss_network, computed with NumPy. It is a VGG-19 whose 3 x 3 convolutions are
factored: 1 x 1 to few channels, 3 x 3, then 1 x 1 to all channels. Each of them is one product of matrices for the whole picture:
where other programs use the processor, the threads of OpenBLAS wait for each other in every product, so few products are faster
than products of small bands that fit into the cache (2 s and 4 s with four other programs on two cores; 0.3 s of one core).
"""

import importlib.resources
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from livestyle.errors import StyleError
from livestyle.frame import FloatArray, Image
from livestyle.pictures.pixels import resize

LAYERS = {"conv1_2": 64, "conv2_2": 128, "conv3_3": 256, "conv4_3": 512}
"""The layers that are measured -> their number of channels."""
STATISTICS = 2 * sum(LAYERS.values())
SHORT_SIDE, LONG_SIDE = 256, 512  # pixels: the style picture is scaled to the first, and cropped to the second
LEAST_SIDE = 16  # pixels; of a style picture, as for training
MAX_ASPECT = 4  # long side / short side of what is scaled; a longer strip is cropped first, as scaled it may not fit in memory


def style_statistics(picture: Image, name: str) -> FloatArray:
    """Compute the statistics of a style picture, (H, W, 3) uint8 RGB; their shape is (1920,).

    They are, for each of LAYERS, log(1 + mean) of every channel and then log(1 + standard deviation) of every channel, over the
    pixels of the activations after ReLU.

    name: for messages. Raises StyleError if the picture is too small or of one colour.
    """
    height, width = picture.shape[:2]
    if min(height, width) < LEAST_SIDE:
        raise StyleError(f"{name} is too small for a style, {width}x{height}; the minimum is {LEAST_SIDE} pixels a side")
    if (picture == picture[0, 0]).all():
        raise StyleError(f"{name} is of one colour, and has no style; name another picture")
    network = _load_network()
    colours: FloatArray = np.divide(_scaled(picture).transpose(2, 0, 1), 255, dtype=np.float32)  # (3, h, w)
    maps = _product(network.scale, colours) + network.shift  # (3, h, w)
    parts = []
    for layer in network.layers:
        maps = _run(layer, maps)  # (C, h, w)
        if layer.name in LAYERS:
            parts.append(_moments(maps))
        if layer.is_pooled:
            maps = _pooled(maps)
        if layer.narrow is not None:
            maps = _product(layer.narrow, maps)  # (c, h, w)
    return np.log1p(np.concatenate(parts))


@dataclass(frozen=True)
class _Layer:
    """A 3 x 3 convolution of few channels with what surrounds it; all matrices are (outputs, inputs)."""

    name: str
    filters: FloatArray
    """The 3 x 3 convolution, (outputs, 9 x inputs); the inputs are in the order row, column, channel."""
    widen: FloatArray | None
    """The 1 x 1 convolution to all channels; None for the first layer, which is not factored."""
    bias: FloatArray
    """(channels, 1), added before ReLU."""
    is_pooled: bool
    """Whether a max pooling of 2 x 2 follows."""
    narrow: FloatArray | None
    """The next layer's 1 x 1 convolution to few channels; None for the last layer."""


@dataclass(frozen=True)
class _Network:
    scale: FloatArray
    """With `shift`, (3, 1, 1), the normalisation of RGB in [0, 1]; (3, 3)."""
    shift: FloatArray
    layers: list[_Layer]


@cache
def _load_network() -> _Network:
    """Load the bundled loss network up to the last of LAYERS."""
    file = Path(str(importlib.resources.files("livestyle.prediction"))) / "loss_network.safetensors"
    tensors = {name.removeprefix("convolutions."): value.astype(np.float32) for name, value in load_file(file).items()}
    names = sorted({name.split(".")[0] for name in tensors if name.startswith("conv")})
    layers = []
    for name, following in zip(names, [*names[1:], None], strict=True):
        is_factored = f"{name}.1.weight" in tensors
        filters = tensors[f"{name}.1.weight" if is_factored else f"{name}.weight"]  # (outputs, inputs, 3, 3)
        layers.append(
            _Layer(
                name,
                filters.transpose(0, 2, 3, 1).reshape(len(filters), -1),
                tensors[f"{name}.2.weight"][:, :, 0, 0] if is_factored else None,
                tensors[f"{name}.2.bias" if is_factored else f"{name}.bias"][:, None],
                following is not None and following[4] != name[4],
                tensors[f"{following}.0.weight"][:, :, 0, 0] if following else None,
            )
        )
    return _Network(tensors["normalise.weight"][:, :, 0, 0], tensors["normalise.bias"][:, None, None], layers)


def _scaled(picture: Image) -> Image:
    """Scale a picture to a short side of SHORT_SIDE pixels, and crop its long side to at most LONG_SIDE, around the centre."""
    height, width = picture.shape[:2]
    picture = _centre(picture, MAX_ASPECT * min(height, width))
    height, width = picture.shape[:2]
    factor = SHORT_SIDE / min(height, width)
    return _centre(resize(picture, round(width * factor), round(height * factor)), LONG_SIDE)


def _centre(picture: Image, longest: int) -> Image:
    """Crop both sides to at most `longest` pixels, around the centre."""
    top, left = (max(0, side - longest) // 2 for side in picture.shape[:2])
    return picture[top : top + longest, left : left + longest]


def _run(layer: _Layer, maps: FloatArray) -> FloatArray:
    """Run a layer on maps of few channels, (c, H, W). Returns its activations after ReLU, (C, H, W)."""
    inputs, height, width = maps.shape
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
    columns = np.empty((9, inputs, height, width), np.float32)
    for place in range(9):
        y, x = divmod(place, 3)
        columns[place] = padded[:, y : y + height, x : x + width]
    wide = layer.filters @ columns.reshape(9 * inputs, -1)
    if layer.widen is not None:
        wide = layer.widen @ wide
    wide += layer.bias
    activations: FloatArray = np.maximum(wide, 0, out=wide).reshape(-1, height, width)
    return activations


def _moments(maps: FloatArray) -> FloatArray:
    """Compute the mean of every channel of (C, H, W), then the standard deviation of every channel: (2 C,)."""
    flat = maps.reshape(len(maps), -1)
    mean = flat.mean(1, keepdims=True)
    variance = np.square(flat - mean).mean(1)  # not mean of squares - square of mean, which loses digits where the mean is large
    return np.concatenate([mean[:, 0], np.sqrt(variance)])


def _product(matrix: FloatArray, maps: FloatArray) -> FloatArray:
    """Apply a 1 x 1 convolution, (outputs, channels), to maps (channels, H, W)."""
    return (matrix @ maps.reshape(len(maps), -1)).reshape(-1, *maps.shape[1:])


def _pooled(maps: FloatArray) -> FloatArray:
    """Take the maximum of each square of 2 x 2 pixels: (C, H, W) -> (C, H//2, W//2). An odd last row or column is dropped."""
    _, height, width = maps.shape
    even = maps[:, : height // 2 * 2, : width // 2 * 2]
    rows = np.maximum(even[:, ::2], even[:, 1::2])
    return np.maximum(rows[:, :, ::2], rows[:, :, 1::2])
