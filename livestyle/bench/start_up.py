"""Time until a new process has done something."""

import subprocess
import sys
import tempfile
from pathlib import Path

from livestyle.bench.scene import scene_images
from livestyle.bench.timing import seconds_of
from livestyle.pictures.writing import write_picture


def seconds_to_run(*words: str) -> float:
    """Seconds of a new Python process with these arguments; the best of three."""
    return min(seconds_of(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)) for _ in range(3))


def measure_start_up(style: str, device: str) -> float:
    """Seconds of `livestyle image` on a 640x360 photo."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.png")
        write_picture(photo, scene_images("640x360", 1)[0])
        words = ["-m", "livestyle", "image", str(photo), "-o", str(Path(folder, "painted.png")), "-y", "--quiet"]
        return seconds_to_run(*words, "--style", style, "--device", device)
