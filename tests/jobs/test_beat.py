"""Live runs that change the look on the beat of the sound."""

import itertools
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clock import Clock

from livestyle.errors import InputError
from livestyle.frame import Frame
from livestyle.jobs.live.beat import Beat
from livestyle.jobs.live.cues import Cue, Show
from livestyle.jobs.live.look_control import LookControl
from livestyle.jobs.live.loop import LiveLoop
from livestyle.jobs.live.session import LiveJob, LiveSession
from livestyle.sinks.window import NoWindow
from livestyle.sound import RATE, Sound
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Paced, Pausable
from livestyle.streaming.working_size import WorkingSize
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer


def clicks(seconds: float, times: list[float]) -> Sound:
    """A sound from time 0 on: quiet noise with clicks of 10 ms."""
    mono = np.random.default_rng(1).normal(0, 0.003, round(seconds * RATE))
    for begin in times:
        mono[round(begin * RATE) :][:480] += 0.5 * np.sin(2 * np.pi * 2000 * np.arange(480) / RATE)
    sound = Sound()
    sound.add(Fraction(0), np.stack([mono, mono], axis=1).astype(np.float32))
    return sound


@pytest.fixture
def stylizer(style_folder: Path) -> Stylizer:
    return Stylizer("ash", "lite", "cpu", gallery=Gallery([style_folder]))


class Running:
    """A live loop at 50 frames a second, whose sound begins with the first frame."""

    def __init__(self, stylizer: Stylizer, sound: Sound, every: int = 1, cues: Iterator[Cue] | None = None) -> None:
        self.clock = Clock()
        source = Pausable(Paced(DemoScene(16, 8), self.clock, self.clock.sleep))
        self.looks = LookControl(stylizer, stylizer.load_all(), stylizer.default_look, clock=self.clock)
        screen = NoWindow()
        self.loop = LiveLoop(self.looks, source, WorkingSize(source), screen, Path(), lambda error: None, self.clock)
        self.loop.change_on_beat(Beat(sound, every, self.clock), cues or iter(()))
        self.number = 0
        self._begun_at = self.clock()

    def changes(self, seconds: float, late_seconds: float = 0) -> list[tuple[float, str]]:
        """Show frames for some seconds of the sound. Returns when the look changed, and to which.

        late_seconds: the time that the loop takes for the first frame.
        """
        found = []
        end = self.number + round(seconds * 50)
        while self.number < end:
            at = Fraction(self.number, 50)
            self.loop.write(Frame(np.zeros((8, 16, 3), np.uint8), at, self._begun_at + float(at), sound_seconds=at))
            self.clock.now = max(self.clock.now, self._begun_at + float(at)) + late_seconds
            before, late_seconds = self.looks.look, 0
            self.loop.follow_beat()
            if self.looks.look is not before:
                found.append((self.clock.now - self._begun_at, self.looks.look.name))
            self.number += 1
        return found


def times(changes: list[tuple[float, str]]) -> list[float]:
    return [time for time, _ in changes]


def names(changes: list[tuple[float, str]]) -> list[str]:
    return [name for _, name in changes]


BEATS = [0.5, 1.0, 1.5, 2.0, 2.5]


def test_the_next_style_follows_on_each_beat(stylizer: Stylizer) -> None:
    """The sound is all there from the first frame on, as that of a file can be: the beats wait for their pictures."""
    changes = Running(stylizer, clicks(4, BEATS)).changes(3)
    assert names(changes) == ["birch", "coal", "ash", "birch", "coal"]
    assert times(changes) == pytest.approx([beat + 0.03 for beat in BEATS], abs=0.03)


def test_every_second_beat(stylizer: Stylizer) -> None:
    changes = Running(stylizer, clicks(4, BEATS), every=2).changes(3)
    assert times(changes) == pytest.approx([1.03, 2.03], abs=0.03)


def test_cues_follow_in_turn_whatever_their_times(stylizer: Stylizer) -> None:
    show = Show((Cue("end", "coal", at_seconds=9), Cue("begin", "ash", at_seconds=0), Cue("thin", strength=0.5)))
    assert names(Running(stylizer, clicks(4, BEATS), cues=show.in_turn()).changes(3)) == ["ash", "coal", "ash", "ash", "coal"]
    assert [cue.name for cue in itertools.islice(show.in_turn(), 4)] == ["thin", "end", "begin", "thin"]
    assert list(Show().in_turn()) == []
    assert next(Show((Cue("first"), Cue("second", at_seconds=5))).in_turn()).name == "first"


def test_a_late_loop_does_not_catch_up(stylizer: Stylizer) -> None:
    """After 1.7 s of waiting, of which the last one is searched, the beats at 1.0 and 1.5 make one change."""
    running = Running(stylizer, clicks(4, BEATS))
    assert running.changes(0.1) == []
    changes = running.changes(2.9, late_seconds=1.7)
    assert names(changes) == ["birch", "coal", "ash"]
    assert times(changes) == pytest.approx([1.82, 2.16, 2.53], abs=0.03)  # 2.16: 0.34 s after the first one
    running = Running(stylizer, clicks(4, BEATS), every=3)  # only the beats at 1.0 and 1.5 are counted
    running.changes(0.1)
    assert times(running.changes(2.9, late_seconds=1.7)) == pytest.approx([2.03], abs=0.03)


def test_a_sound_that_steps_back_is_followed(stylizer: Stylizer) -> None:
    running = Running(stylizer, clicks(4, BEATS))
    assert len(running.changes(3)) == 5
    running.number, running._begun_at = 0, running.clock()  # the file begins again
    assert times(running.changes(1.2)) == pytest.approx([0.53, 1.03], abs=0.03)


def test_frames_without_a_sound_time_and_an_empty_sound_have_no_beat() -> None:
    frame = Frame(np.zeros((8, 16, 3), np.uint8), Fraction(0), 100.0)
    beat = Beat(clicks(1, [0.5]), 1, Clock())
    assert not beat.is_due(None)
    assert not beat.is_due(frame)
    assert not Beat(Sound(), 1, Clock()).is_due(replace(frame, sound_seconds=Fraction(0)))


# sessions


class Drummer(Paced):
    """The demo scene with clicks."""

    def __init__(self) -> None:
        super().__init__(DemoScene(64, 36))
        self.sound = clicks(4, BEATS)

    def read(self) -> Frame | None:
        frame = super().read()
        return None if frame is None else replace(frame, sound_seconds=frame.pts_seconds)


def test_session_changes_the_style_on_the_beat(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    class Screen(NoWindow):
        """Closes after the second change."""

        def __init__(self) -> None:
            super().__init__()
            self.begun_at = time.monotonic()

        @property
        def is_open(self) -> bool:  # type: ignore[override]
            return len(seen) < 3 and time.monotonic() - self.begun_at < 20

        def write(self, frame: Frame) -> None:
            style = self.overlay.status.split("   ")[0]
            if not style.startswith("loading") and style not in seen:
                seen.append(style)

    monkeypatch.setattr("livestyle.jobs.live.session.open_live_source", lambda camera, size, rate, loop: Drummer())
    result = LiveSession(LiveJob("demo", "ash", on_beat=1), Screen()).run(lambda: nullcontext(stylizer))
    assert result.errors == ()
    assert seen == ["ash", "birch", "coal"]


def test_on_beat_needs_a_sound(stylizer: Stylizer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot follow the beat: demo has no sound") as raised:
        LiveSession(LiveJob("demo", "ash", (None, 36), on_beat=1), NoWindow()).run(lambda: nullcontext(stylizer))
    assert raised.value.advice == "add --sound microphone"
    monkeypatch.setattr("livestyle.jobs.live.session.open_live_source", lambda camera, size, rate, loop: Drummer())
    with pytest.raises(InputError, match="cannot follow the beat: demo has no sound"):
        LiveSession(LiveJob("demo", "ash", on_beat=1, sound="none"), NoWindow()).run(lambda: nullcontext(stylizer))
