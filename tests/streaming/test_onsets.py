import itertools
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from livestyle.frame import FloatArray
from livestyle.sound import RATE
from livestyle.streaming.onsets import SHORTEST_SECONDS, OnsetDetector

Mono = NDArray[np.float64]


def seconds(duration: float) -> Mono:
    return np.arange(round(duration * RATE)) / RATE


def stereo(mono: Mono) -> FloatArray:
    return np.stack([mono, mono], axis=1).astype(np.float32)


def onsets(mono: Mono, block: int = 1600) -> list[float]:
    detector = OnsetDetector()
    samples = stereo(mono)
    return [time for begin in range(0, len(samples), block) for time in detector.feed(samples[begin : begin + block])]


@cache
def chord(duration: float) -> Mono:
    """A major chord of tones with five harmonics each, above noise at -50 dB."""
    waves = itertools.product((110, 137.5, 165), range(1, 6))
    tones = sum(np.sin(2 * np.pi * hertz * partial * seconds(duration)) / partial for hertz, partial in waves)
    return 0.03 * tones + np.random.default_rng(1).normal(0, 0.003, round(duration * RATE))


def click() -> Mono:
    return 0.5 * np.sin(2 * np.pi * 2000 * seconds(0.01)) * np.exp(-seconds(0.01) / 0.003)


def bass_drum() -> Mono:
    pitch = 50 + 100 * np.exp(-seconds(0.25) / 0.03)
    return 0.5 * np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-seconds(0.25) / 0.08)


def hi_hat() -> Mono:
    noise = np.random.default_rng(2).normal(0, 0.08, round(0.08 * RATE))
    return np.diff(noise, prepend=0) * np.exp(-seconds(0.08) / 0.02)


def with_hits(mono: Mono, hit: Mono, times: Mono) -> Mono:
    mono = mono.copy()
    for time in times:
        begin = round(time * RATE)
        mono[begin : begin + len(hit)] += hit
    return mono


BEATS = np.arange(0.5, 5.6, 0.5)
"""120 beats per minute"""


@pytest.mark.parametrize("hit", [click(), bass_drum()], ids=["click", "bass drum"])
@pytest.mark.parametrize("level", [1, 0.02])
def test_finds_every_beat_of_music_and_nothing_else(hit: Mono, level: float) -> None:
    found = onsets(level * with_hits(chord(6), hit, BEATS))
    assert found == pytest.approx(BEATS.tolist(), abs=0.03)


def test_quiet_hits_between_the_beats_are_no_onsets() -> None:
    music = with_hits(with_hits(chord(6), bass_drum(), BEATS[::2]), hi_hat(), BEATS[1::2])
    assert onsets(music) == pytest.approx(BEATS[::2].tolist(), abs=0.03)


@pytest.mark.parametrize("change", [0.1, 10])
def test_adapts_to_a_level_that_changes_by_20_db(change: float) -> None:
    """The change itself may be an onset, and beats of the 1.5 s after it may be missed."""
    music = 0.1 * with_hits(chord(6), bass_drum(), BEATS)
    music[round(2.7 * RATE) :] *= change
    found = [time for time in onsets(music) if not 2.6 < time < 4.3]
    assert found == pytest.approx([beat for beat in BEATS if not 2.6 < beat < 4.3], abs=0.03)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(RATE * 6),
        np.random.default_rng(3).normal(0, 0.2, RATE * 10),
        np.random.default_rng(4).normal(0, 0.0002, RATE * 6),
        chord(6) * 10 ** ((4 * seconds(6) - 40) / 20),
        with_hits(np.zeros(RATE * 6), 0.0002 * click(), BEATS),
    ],
    ids=["silence", "noise", "quiet noise", "crescendo by 4 dB a second", "clicks at -80 dB"],
)
def test_sounds_without_a_beat_have_no_onsets(sound: Mono) -> None:
    assert onsets(sound) == []


def test_blocks_of_any_size_give_the_same_onsets() -> None:
    music = with_hits(chord(6)[: 2 * RATE], click(), BEATS[:3])
    expected = onsets(music)
    assert len(expected) == 3
    assert onsets(music, len(music)) == onsets(music, 480) == onsets(music, 777) == expected
    detector = OnsetDetector()
    assert detector.feed(stereo(np.zeros(0))) == []
    assert detector.feed(stereo(music)) == expected


def test_at_most_three_onsets_in_any_second() -> None:
    found = onsets(with_hits(chord(6), click(), np.arange(0.5, 5.9, 0.11)))
    assert len(found) > 10
    assert min(later - earlier for earlier, later in itertools.pairwise(found)) >= SHORTEST_SECONDS - 1e-9
    assert all(later - earlier > 1 for earlier, later in zip(found, found[3:], strict=False))


def test_continues_after_damaged_samples() -> None:
    music = with_hits(chord(6), click(), BEATS)
    music[RATE : RATE + 3] = np.nan, np.inf, -np.inf
    assert [time for time in onsets(music) if time > 3] == pytest.approx([beat for beat in BEATS if beat > 3], abs=0.03)
