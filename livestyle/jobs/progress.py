"""Progress reports."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a job is."""

    done: int
    """Frames, or pictures, completed so far."""
    total: int | None
    """Expected number of frames or pictures; None if unknown. Some video files state a wrong number."""
    stage: str
    """Stage of the job: "warming up" while the fastest batch size is measured, then "painting"."""


ProgressCallback = Callable[[Progress], object]
"""Called in the thread that runs the job. An exception that it raises ends the job as Ctrl-C does: what was written is kept."""
