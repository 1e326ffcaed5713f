"""Measure the wall-clock time and the CPU time of a call."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def seconds_of(run: Callable[[], object]) -> float:
    """Call `run` once; its wall-clock time in seconds."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@dataclass(frozen=True)
class StageTime:
    """Speed and CPU time of a stage."""

    fps: float
    """Frames per second."""
    cpu_ms: float
    """CPU milliseconds per frame, of all threads of this process."""


def time_stage(run: Callable[[], object], count: int) -> StageTime:
    """Run a stage three times, each over `count` frames; the highest speed and the lowest CPU time."""
    times = []
    for _ in range(3):
        started = time.process_time()
        seconds = seconds_of(run)
        times.append(StageTime(count / seconds, (time.process_time() - started) / count * 1000))
    return StageTime(max(one.fps for one in times), min(one.cpu_ms for one in times))
