"""Measure how long new processes take, start-up included."""

import subprocess
import sys
import tempfile
from pathlib import Path

from livestyle.bench.scene import scene_images
from livestyle.bench.timing import seconds_of
from livestyle.pictures.writing import write_picture


def seconds_to_run(*words: str) -> float:
    """Shortest duration of three runs of Python with these arguments, each in a new process, in seconds.

    Raises CalledProcessError if a run fails.
    """
    return min(seconds_of(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)) for _ in range(3))


def measure_start_up(style: str, device: str) -> float:
    """Duration of `livestyle image` on a 640x360 photo, in seconds; the shortest of three runs."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        write_picture(photo, scene_images("640x360", 1)[0])
        words = ["-m", "livestyle", "image", str(photo), "-o", str(Path(folder, "painted.png")), "-y", "--quiet"]
        return seconds_to_run(*words, "--style", style, "--device", device)
