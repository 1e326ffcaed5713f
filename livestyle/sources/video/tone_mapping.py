"""Tone mapping from HDR (PQ, HLG) to SDR, with the transfer functions of BT.2100. Light 1.0 is reference white, 203 cd/m²."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from livestyle.frame import FloatArray, Image

REFERENCE_WHITE = 203.0  # cd/m², BT.2408
PEAK = 1000.0 / REFERENCE_WHITE  # most films are mastered for 1000 cd/m²; brighter light becomes white
KNEE = 0.6  # linear light below this is unchanged
BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
"""Matrix that converts linear RGB, as column vectors, from BT.2020 to BT.709 primaries (ITU-R BT.2087)."""


def pq_to_linear(signal: FloatArray) -> FloatArray:
    """Convert a PQ signal in [0, 1], any shape, to display light, 1.0 = reference white, float32."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = signal ** np.float32(1 / m2)
    light = (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return np.asarray(light * (10000 / REFERENCE_WHITE), np.float32)


def hlg_to_linear(signal: FloatArray) -> FloatArray:
    """Convert an HLG signal in [0, 1], any shape, to scene light in [0, 1], float32."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


def _table(curve: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Look-up table of the curve at 65,536 levels from 0 to 1: (65536,) float32."""
    return curve(np.linspace(0, 1, 65536, dtype=np.float32))


class ToneMapper:
    """Tone-maps images: (H, W, 3) uint16 RGB with BT.2020 primaries -> (H, W, 3) uint8 RGB, BT.709, gamma 2.4.

    hlg: whether the input is HLG; else it is PQ.
    """

    def __init__(self, hlg: bool) -> None:
        self._hlg = hlg
        self._linear = _table(hlg_to_linear if hlg else pq_to_linear)
        self._encoded: NDArray[np.uint8] = (_table(lambda light: light ** np.float32(1 / 2.4)) * 255).round().astype(np.uint8)

    def __call__(self, image: NDArray[np.uint16]) -> Image:
        light = self._linear[image]  # (H, W, 3) float32
        if self._hlg:  # the system gamma of a display of 1000 cd/m²
            luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)  # (H, W)
            light *= (np.maximum(luminance, 1e-6) ** np.float32(0.2) * np.float32(PEAK))[..., None]
        light = np.maximum(light @ BT2020_TO_BT709.T, 0)
        # one factor for all three channels preserves the hue
        brightest = np.maximum(light.max(axis=2, keepdims=True), 1e-6)
        over = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
        span = (PEAK - KNEE) / (1 - KNEE)
        mapped = np.minimum(brightest, KNEE) + (1 - KNEE) * over * (1 + over / span**2) / (1 + over)
        light *= mapped / brightest
        return np.asarray(self._encoded[(np.minimum(light, 1) * 65535).astype(np.uint16)])
