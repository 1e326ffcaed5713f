"""Wall-clock and CPU time of a call."""

import time
from collections.abc import Callable
from dataclasses import dataclass


def seconds_of(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


@dataclass(frozen=True)
class StageTime:
    """The speed and the cost of a stage."""

    fps: float
    cpu_ms: float
    """CPU milliseconds per frame, of all threads of this process."""


def time_stage(run: Callable[[], object], count: int) -> StageTime:
    """Run a stage over `count` frames, three times; the best of each figure."""
    times = []
    for _ in range(3):
        started = time.process_time()
        seconds = seconds_of(run)
        times.append(StageTime(count / seconds, (time.process_time() - started) / count * 1000))
    return StageTime(max(one.fps for one in times), min(one.cpu_ms for one in times))
