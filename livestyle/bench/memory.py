"""Measure resident memory: its growth over a long run, and its peak for a 720p video."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from livestyle.bench.scene import scene, write_all
from livestyle.sinks.video.writer import VideoWriter
from livestyle.streaming.looks import ConstantLook
from livestyle.streaming.pipeline import Pipeline, offline, read_all
from livestyle.stylizer import Stylizer

MIB = 2**20

PRINT_PEAK = """
import pathlib, resource, sys
from livestyle.cli import cli
cli.main(sys.argv[1:], standalone_mode=False)
status = pathlib.Path("/proc/self/status")
if status.exists():  # Linux, where ru_maxrss counts from before exec: it is at least the parent's memory
    print(int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**10)
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
"""Script that runs a livestyle command, then prints the peak resident memory of its process, MiB."""


def settled(frames: int) -> int:
    """The number of the frame by which every buffer is allocated, in a run of `frames` frames."""
    return min(200, frames // 2)


def measure_growth(stylizer: Stylizer, frames: int) -> float:
    """Paint `frames` frames of 640x360 to a file, and measure how much resident memory grows.

    Returns the growth from frame `settled(frames)` to the last one, MiB.
    """
    process = psutil.Process()
    source = scene("640x360", frames)
    bytes_settled = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = VideoWriter(Path(folder, "painted.mp4"), source.info)
        looks, buffering = ConstantLook(stylizer.default_look), offline(stylizer.best_batch(source.info.frame_shape))
        with Pipeline(source, stylizer.engine, looks, buffering) as pipeline:
            for number, frame in enumerate(pipeline, start=1):
                writer.write(frame)
                if number == settled(frames):
                    bytes_settled = process.memory_info().rss
        bytes_last = process.memory_info().rss
        writer.close()
    return (bytes_last - bytes_settled) / MIB


def measure_rss_720p(style: str, device: str, frames: int) -> float:
    """Peak resident memory of `livestyle video` on a 720p file of `frames` frames, MiB; 0 on Windows."""
    if sys.platform == "win32":
        return 0.0
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        source = scene("1280x720", frames)
        write_all(read_all(source), VideoWriter(clip, source.info))
        words = ["video", str(clip), str(painted), "--quiet", "--style", style, "--device", device]
        done = subprocess.run([sys.executable, "-c", PRINT_PEAK, *words], capture_output=True, text=True, check=True)
        return float(done.stdout)
