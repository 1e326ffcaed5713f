"""The shift error: how far strokes stay behind when the photo moves by whole pixels. And the lattice figure.

A network without aliasing paints a photo that is shifted by whole pixels as the shifted painting: its shift error is 0. Strides
without a low-pass filter and nearest-neighbour upsampling alias (Zhang 2019, "Making Convolutional Networks Shift-Invariant
Again"): strokes then change as the camera moves, and quiet areas get a lattice that is fixed to the picture's corner.
"""

from collections.abc import Callable

import numpy as np

from livestyle.frame import Image

SHIFTS = ((1, 0), (2, 3), (4, 4), (3, 5), (6, 1))  # (x, y) in pixels: multiples of 1, 2 and 4, below the networks' period of 8
RIM = 40  # pixels along each side that are not compared: padding and the photo's new edge change what is painted there
LEAST_WIDTH, LEAST_HEIGHT = (2 * RIM + max(shifts) + 1 for shifts in zip(*SHIFTS, strict=True))  # one pixel remains to compare
PERIOD = 8  # pixels: the distance of the networks' coarsest activations


def shift_error(paint: Callable[[Image], Image], photo: Image, painted: Image) -> float | None:
    """The root mean square difference, in grey levels, between paintings of the shifted photo and the shifted painting.

    photo, painted: (H, W, 3) uint8 RGB. Squares are averaged over the SHIFTS, over pixels at least RIM from the sides, and over
    channels. Returns None for a photo of less than LEAST_WIDTH x LEAST_HEIGHT pixels, which has no such pixels.
    """
    height, width = photo.shape[:2]
    if width < LEAST_WIDTH or height < LEAST_HEIGHT:
        return None
    squares = []
    for x, y in SHIFTS:
        again = paint(np.ascontiguousarray(photo[y:, x:]))
        difference = (painted[y:, x:].astype(np.float64) - again)[RIM:-RIM, RIM:-RIM]
        squares.append(np.square(difference).mean())
    return float(np.sqrt(np.mean(squares)))


def lattice(painted: Image) -> float:
    """How unevenly a painting's edges are spread over the columns and rows modulo PERIOD: 0 is even.

    painted: (H, W, 3) uint8 RGB, with H, W > PERIOD. The mean absolute difference of neighbours in brightness is averaged for
    each of the PERIOD positions. Returns the standard deviation of these averages divided by the mean over all positions, as the
    mean of columns and rows.
    """
    grey = painted.mean(2)  # (H, W)
    edges = np.abs(np.diff(grey, axis=1)).mean(0), np.abs(np.diff(grey, axis=0)).mean(1)  # (W - 1,), (H - 1,)
    return float(np.mean([_unevenness(line) for line in edges]))


def _unevenness(line: np.ndarray) -> float:
    if not line.any():
        return 0.0  # no edges at all
    return float(np.std([line[phase::PERIOD].mean() for phase in range(PERIOD)]) / line.mean())
