"""Find the onsets in a sound while it arrives: drum beats, notes, claps.

The onset strength is the rise of the level within 30 ms, in dB, averaged over frequency bands: spectral flux with a logarithm
(Bello et al. 2005, "A tutorial on onset detection in music signals"). An onset is where it exceeds a threshold that adapts to
the last 1.5 s, so the loudness of the sound does not matter.
"""

from collections import deque

import numpy as np

from livestyle.frame import FloatArray
from livestyle.sound import RATE

SHORTEST_SECONDS = 0.34
"""Shortest time from one onset to the next: at most three in any second. A picture that flashes more often can cause seizures in
people with photosensitive epilepsy (WCAG 2.3.1, "Three Flashes or Below Threshold")."""

HOPS_PER_SECOND = 100
HOP, WINDOW = RATE // HOPS_PER_SECOND, RATE // 25
"""In samples: 10 ms and 40 ms."""
BAND_HZ = np.geomspace(40, 16_000, 7)
"""Borders of the six frequency bands."""
RISE_HOPS = 3
"""The level is compared with the one this many hops earlier. With fewer, an onset is spread over several windows, and weaker."""
HISTORY_HOPS = 150
LEAST_HISTORY_HOPS = 20
SILENCE = 1e-7
"""Mean square, relative to full scale, below which a band is silent (-70 dB)."""
MASKED = 0.03
"""A band is also silent below this share of the mean power of the history: a hi-hat above a loud bass is no beat."""
MEDIANS, LEAST_RISE_DB, PEAK_SHARE = 3.0, 1.5, 0.4
"""The threshold: this many times the median of the history plus this rise, and at least this share of its maximum. The strength
of white noise stays below 1.3 dB; that of a bass drum in loud music is 4 dB."""
DELAY_SECONDS = 0.02
"""Time from an onset to the end of the window that shows it; for clicks and drums, measured within 20 ms of this."""


class OnsetDetector:
    """Finds the onsets in consecutive blocks of samples, at 48 kHz. Takes 1 to 2 % of the time that the sound lasts."""

    def __init__(self) -> None:
        hann = np.hanning(WINDOW + 1)[:-1]
        self._window = hann * np.sqrt(2 / (np.square(hann).sum() * WINDOW))  # the sum of all bands is then the mean square
        self._bins = np.round(BAND_HZ * WINDOW / RATE).astype(int)
        self._pending = np.zeros(0)  # mono samples from the beginning of the next window on
        self._hops = 0  # number of windows so far
        self._last_hop = -HOPS_PER_SECOND  # the one of the last onset
        self._bands: deque[FloatArray] = deque(maxlen=RISE_HOPS)  # powers by band, (6,), of the last windows
        self._powers: deque[float] = deque(maxlen=HISTORY_HOPS)
        self._strengths = deque([0.0], maxlen=HISTORY_HOPS)  # in dB

    def feed(self, samples: FloatArray) -> list[float]:
        """Return the times of new onsets, in seconds since the first sample of the first block.

        samples: (N, channels), the block that follows the one before.
        """
        mono = np.nan_to_num(samples.mean(axis=1, dtype=np.float64), posinf=0, neginf=0)  # a damaged file can have such samples
        pending = np.concatenate([self._pending, mono])
        count = max(0, (len(pending) - WINDOW) // HOP + 1)
        self._pending = pending[count * HOP :]
        if not count:
            return []
        windows = np.lib.stride_tricks.sliding_window_view(pending, WINDOW)[::HOP]  # (count, window)
        powers = np.square(np.abs(np.fft.rfft(windows * self._window)))[:, : self._bins[-1]]
        bands = np.add.reduceat(powers, self._bins[:-1], axis=1)  # (count, 6)
        return [self._time() for row in bands if self._is_onset(row)]

    def _is_onset(self, bands: FloatArray) -> bool:
        """Whether the next window shows an onset. bands: its powers by band, (6,)."""
        strength = self._strength(bands)
        threshold = max(MEDIANS * float(np.median(self._strengths)) + LEAST_RISE_DB, PEAK_SHARE * max(self._strengths))
        self._bands.append(bands)
        self._powers.append(float(bands.sum()))
        self._strengths.append(strength)
        self._hops += 1
        is_early = (self._hops - self._last_hop) / HOPS_PER_SECOND < SHORTEST_SECONDS
        if strength <= threshold or is_early or self._hops <= LEAST_HISTORY_HOPS:
            return False
        self._last_hop = self._hops
        return True

    def _strength(self, bands: FloatArray) -> float:
        if len(self._bands) < RISE_HOPS:
            return 0.0
        silence = SILENCE + MASKED * sum(self._powers) / len(self._powers)
        rises = 10 * np.log10((bands + silence) / (self._bands[0] + silence))
        return float(np.maximum(rises, 0).mean())

    def _time(self) -> float:
        end = ((self._hops - 1) * HOP + WINDOW) / RATE  # of the last window
        return end - DELAY_SECONDS
