from fractions import Fraction

import numpy as np
import pytest

from livestyle.sound import KEPT_SECONDS, RATE, Sound


def block(first: int, count: int) -> np.ndarray:
    """Samples whose left channel counts up from `first`, and whose right channel is its negative."""
    left = np.arange(first, first + count, dtype=np.float32)
    return np.stack([left, -left], 1)


def at(sample: int) -> Fraction:
    return Fraction(sample, RATE)


@pytest.fixture
def sound() -> Sound:
    return Sound()


def test_reads_across_blocks(sound: Sound) -> None:
    sound.add(at(1000), block(1000, 480))
    sound.add(at(1480), block(1480, 480))
    assert sound.end_seconds == at(1960)
    np.testing.assert_array_equal(sound.read(at(1400), at(1500)), block(1400, 100))


def test_is_silent_where_there_is_no_sound(sound: Sound) -> None:
    assert sound.end_seconds is None
    assert not sound.read(at(0), at(10)).any()
    sound.add(at(100), block(100, 50))
    samples = sound.read(at(90), at(160))
    np.testing.assert_array_equal(samples[10:60], block(100, 50))
    assert not samples[:10].any()
    assert not samples[60:].any()


def test_jitter_is_no_gap(sound: Sound) -> None:
    sound.add(at(0), block(0, 480))
    sound.add(at(480 + 240), block(480, 480))  # 5 ms late
    sound.add(at(960 - 240), block(960, 480))  # 5 ms early
    np.testing.assert_array_equal(sound.read(at(0), at(1440)), block(0, 1440))


def test_a_gap_is_silent(sound: Sound) -> None:
    sound.add(at(0), block(1, 480))
    sound.add(at(RATE), block(1, 480))
    assert not sound.read(at(480), at(RATE)).any()
    np.testing.assert_array_equal(sound.read(at(RATE), at(RATE + 480)), block(1, 480))


def test_keeps_the_last_seconds(sound: Sound) -> None:
    kept = KEPT_SECONDS * RATE
    for begin in range(0, 3 * kept, kept // 3):
        sound.add(at(begin), block(begin, kept // 3))
    end = sound.end_seconds
    assert end is not None
    np.testing.assert_array_equal(sound.read(end - KEPT_SECONDS, end), block(int(end * RATE) - kept, kept))
    assert not sound.read(end - KEPT_SECONDS - 1, end - KEPT_SECONDS).any()


def test_a_block_longer_than_what_is_kept(sound: Sound) -> None:
    kept = KEPT_SECONDS * RATE
    sound.add(at(0), block(0, 2 * kept))
    np.testing.assert_array_equal(sound.read(at(kept), at(2 * kept)), block(kept, kept))


def test_a_clock_that_steps_back_starts_again(sound: Sound) -> None:
    sound.add(at(5 * RATE), block(1, RATE))
    sound.add(at(0), block(1, 480))
    assert sound.end_seconds == at(480)
    assert not sound.read(at(5 * RATE), at(6 * RATE)).any()


def test_a_gap_or_an_overlap_of_20_ms_is_no_jitter(sound: Sound) -> None:
    """The sound of a repeated file may be shorter than its picture: it must not be early by that in each round."""
    sound.add(at(0), block(1, 4800))
    sound.add(at(4800 + 960), block(1, 4800))
    np.testing.assert_array_equal(sound.read(at(4800 + 960), at(9600)), block(1, 3840))
    sound.add(at(9600), block(1, 480))
    np.testing.assert_array_equal(sound.read(at(9600), at(9600 + 480)), block(1, 480))
    np.testing.assert_array_equal(sound.read(at(0), at(4800)), block(1, 4800))


def test_a_gap_longer_than_what_is_kept(sound: Sound) -> None:
    sound.add(at(0), block(1, RATE))
    begin = 100 * KEPT_SECONDS * RATE
    sound.add(at(begin), block(1, 480))
    assert not sound.read(at(begin - RATE), at(begin)).any()
    np.testing.assert_array_equal(sound.read(at(begin), at(begin + 480)), block(1, 480))
