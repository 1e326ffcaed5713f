"""A live run of many frames with everything that a user changes: memory, threads and open files stay the same.

The test runs FRAMES frames; an evening has 100,000:

    LIVESTYLE_EVENING_FRAMES=100000 python -m pytest -s tests/jobs/test_evening.py
"""

import gc
import os
import socket
import threading
from contextlib import nullcontext
from pathlib import Path
from threading import Semaphore
from typing import NamedTuple

import numpy as np
import psutil
import pytest
from pythonosc.udp_client import SimpleUDPClient

from livestyle.frame import Frame
from livestyle.jobs.live.cues import Cue, Show
from livestyle.jobs.live.session import LiveJob, LiveSession
from livestyle.sinks.window import NoWindow
from livestyle.sound import RATE, Sound
from livestyle.sources.demo import DemoScene
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

FRAMES = int(os.environ.get("LIVESTYLE_EVENING_FRAMES", "1200"))
WIDTH, HEIGHT = 64, 48
CYCLE = 400
"""Frames after which the user repeats all actions; the last of them are without a recording and without a fade."""
KEYS = {
    **dict.fromkeys((10, 250), "r"),  # start and stop a recording
    **{20: "2", 60: "3", 100: "n", 130: "p", 150: "1"},  # styles of the same body, and of another one
    **{155: "2", 165: "b", 175: "left", 185: "right", 195: "right"},  # blends
    **{200: "-", 205: "-", 210: "c", 215: "c", 218: "+", 220: "+"},
    **{225: ".", 240: ",", 260: "v", 265: "v", 270: "?", 275: "?", 278: "h", 280: "h"},
    **{285: "s", 290: "space", 295: "space", 300: "d", 310: "9"},
}
MESSAGES: dict[int, tuple[str, object]] = {
    30: ("style", "birch"),
    70: ("blend", 0.3),
    110: ("cue", "drop"),
    160: ("fade", 0.05),
    212: ("strength", 1.0),
    255: ("style", "no such style"),
    305: ("colours", 0),
    320: ("record", 1),
    340: ("record", 0),
    345: ("style", "ash"),
}


class State(NamedTuple):
    """What a process holds."""

    frames: int
    memory_mib: float
    objects: int
    threads: int
    files: int

    @classmethod
    def now(cls, frames: int) -> "State":
        gc.collect()
        process = psutil.Process()
        files = process.num_handles() if psutil.WINDOWS else process.num_fds()
        return cls(frames, process.memory_info().rss / 2**20, len(gc.get_objects()), threading.active_count(), files)


class Scene:
    """The demo scene with sound, as fast as the frames are shown: `read` waits until the last frame was shown."""

    state = ""

    def __init__(self, count: int) -> None:
        self._scene = DemoScene(WIDTH, HEIGHT)
        self.info, self.notes, self.damage = self._scene.info, self._scene.notes, self._scene.damage
        self.sound: Sound | None = Sound()
        self.shown = Semaphore()
        self._count, self._read = count, 0

    def read(self) -> Frame | None:
        self.shown.acquire()
        frame = self._scene.read()
        if frame is None or self._read == self._count or self.sound is None:
            return None
        self._read += 1
        self.sound.add(frame.pts_seconds, np.full((RATE // 30, 2), 0.1, np.float32))
        return Frame(frame.image, frame.pts_seconds, sound_seconds=frame.pts_seconds)

    def stop(self) -> None:
        self.shown.release()

    def close(self) -> None:
        self._scene.close()


class Performer(NoWindow):
    """A screen whose user presses keys, and sends remote messages, at certain frames. It notes the state after each cycle."""

    is_visible = True

    def __init__(self, scene: Scene, port: int) -> None:
        super().__init__()
        self.states: list[State] = []
        self._scene, self._remote = scene, SimpleUDPClient("127.0.0.1", port)
        self._frames = 0
        self._last: Frame | None = None
        self._is_new = False

    def write(self, frame: Frame) -> None:
        if frame is self._last or frame.image.shape != (HEIGHT, WIDTH, 3):  # the overlay has changed
            return
        self._last, self._is_new = frame, True
        self._frames += 1
        self._scene.shown.release()

    def key(self) -> str:
        is_new, self._is_new = self._is_new, False
        if not is_new:
            return ""
        place = self._frames % CYCLE
        if place == CYCLE - 1:
            self.states.append(State.now(self._frames))
        if place in MESSAGES:
            name, argument = MESSAGES[place]
            self._remote.send_message(f"/livestyle/{name}", argument)
        return KEYS.get(place, "")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_evening_leaves_memory_threads_and_files_as_they_were(
    style_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(FRAMES)
    monkeypatch.setattr("livestyle.jobs.live.session.open_live_source", lambda camera, size, rate, loop: scene)
    port = free_port()
    show = Show((Cue("drop", "ash:.5,birch:.5", 0.7, fade_seconds=0.02, key="d"), Cue("pulse", "coal", at_seconds=0.2)), 1.0)
    job = LiveJob("demo", "ash", show=show, osc=str(port), fade_seconds=0.03, folder=tmp_path)
    performer = Performer(scene, port)
    with Stylizer("ash", "lite", os.environ.get("LIVESTYLE_EVENING_DEVICE", "cpu"), gallery=Gallery([style_folder])) as stylizer:
        result = LiveSession(job, performer).run(lambda: nullcontext(stylizer))
    for state in performer.states[:: max(1, len(performer.states) // 20)]:
        print(state)
    assert result.captured == FRAMES == result.frames
    assert (result.dropped, result.failed, result.errors, result.damage) == (0, 0, (), ())
    cycles = FRAMES // CYCLE
    assert len(result.pictures) == cycles
    assert cycles <= len(result.recordings) <= 2 * cycles
    first, last = performer.states[len(performer.states) // 2 - 1], performer.states[-1]
    assert (last.threads, last.files) == (first.threads, first.files)
    assert last.objects - first.objects < 100 + 20 * (last.frames - first.frames) / CYCLE
    assert last.memory_mib - first.memory_mib < 60  # the process has run other tests, whose memory is reused
