"""Train the rows of a picture's style while it is shown, in a process of its own at low priority."""

import json
import math
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import psutil

from livestyle.errors import TrainingError
from livestyle.frame import FloatArray
from livestyle.jobs.live.refined_style import RefinedStyle
from livestyle.streaming.channel import Channel

MODULE = "livestyle.train.refine"
LONGEST_LINE = 500  # characters of an error message
CYCLE_SECONDS = 0.16
RUN_SECONDS = 0.08
"""After dropped frames, the training runs for this part of each cycle."""
CAREFUL_SECONDS = 60.0
"""The time after dropped frames until the training runs without pauses again."""
TOLERATED_DROPS = 2
"""Dropped frames per second that are no sign of busy cores: a key press or a new recording may drop one."""


class Progress(NamedTuple):
    """The state of the training after one of its steps."""

    share: float
    """The share of the training that is done, 0 to 1."""
    rows: FloatArray
    """The refined rows, (2, K) fp32."""


class Refinement:
    """A training in a process of its own, which runs `livestyle.train.refine`. Close it after use: that ends the process.

    settings: conf file keys for the training, which replace those of the style.

    If this process is killed, the other one ends too: on Linux at once, elsewhere with its next step, because it can no longer
    write its result.
    Raises OSError if the process cannot be started.
    """

    def __init__(self, style: RefinedStyle, settings: Mapping[str, object]) -> None:
        self.style = style
        self.newest: Progress | None = None
        """What `poll` returned last."""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (`close` closes it); a pipe that nobody reads would become full
        # -P: a file in the working directory, such as torch.py, must not replace a module.
        # The process stays in the session of this one: Linux compares priorities within a session only (autogroup).
        words = [sys.executable, "-P", "-m", MODULE, json.dumps(dict(style.settings) | dict(settings))]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        lower_priority(self._process.pid)
        self._received = Channel(self._receive(style.look.rows), capacity=1, drop_oldest=True)
        self._dropped, self._check_at, self._careful_until, self._is_paused = 0, -math.inf, -math.inf, False

    def _receive(self, rows: FloatArray) -> Iterator[Progress]:
        """Send the rows to start from, (2, K), and yield what the process sends. Raises TrainingError if it fails."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError), self._process.stdin as output:  # the process may have ended
            output.write(rows.astype("<f4").tobytes())
        size = 4 * (1 + rows.size)
        while len(record := self._process.stdout.read(size)) == size:
            values = np.frombuffer(record, "<f4").astype(np.float32)
            yield Progress(float(values[0]), values[1:].reshape(rows.shape))
        if code := self._process.wait():
            reason = self._last_line() or f"its process has ended with code {code}"
            raise TrainingError(f"{self.style.look.name} is no longer refined: {reason}")

    def _last_line(self) -> str:
        """The last line that the process printed on stderr; empty if there is none."""
        end = self._errors.seek(0, 2)
        self._errors.seek(max(0, end - LONGEST_LINE))
        return (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]

    def poll(self) -> Progress | None:
        """Return the newest progress, or None if there is no new one. Does not block.

        Raises StopIteration after the end of the training, TrainingError if it failed.
        """
        progress = self._received.poll(0)
        self.newest = progress or self.newest
        return progress

    def share_cores(self, dropped: int, now: float) -> None:
        """Pause the training half of the time for a minute after several frames were dropped in a second: all cores are in use.

        Call it often. dropped: frames dropped so far. now: the time in seconds. Only Linux needs this: see `lower_priority`.
        """
        if now >= self._check_at:
            if dropped > self._dropped + TOLERATED_DROPS:
                self._careful_until = now + CAREFUL_SECONDS
            self._dropped, self._check_at = dropped, now + 1
        pause = now < self._careful_until and now % CYCLE_SECONDS >= RUN_SECONDS
        if pause != self._is_paused and sys.platform == "linux":
            self._is_paused = pause
            self._process.send_signal(signal.SIGSTOP if pause else signal.SIGCONT)

    def close(self) -> None:
        """End the process and the thread that reads from it. Idempotent."""
        self._process.kill()
        self._received.close()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def lower_priority(pid: int) -> None:
    """Let a process use only the time that others leave. Call it before the process starts threads.

    On Linux niceness is not enough: a process that runs, however nice, delays one that wakes up by up to 3 ms. The threads that
    paint wait for each other between layers, many times per frame; with niceness 10 the frame rate fell by a quarter. A process
    of the policy SCHED_IDLE is interrupted at once, unless the kernel was built without preemption, as those of servers are:
    there it may run for another 4 ms, and the frame rate fell by half if painting needed all cores.
    """
    with suppress(OSError, psutil.Error):  # it has ended already, or is not permitted
        if sys.platform == "linux":
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
        elif sys.platform == "win32":
            psutil.Process(pid).nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            psutil.Process(pid).nice(19)
