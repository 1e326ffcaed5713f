"""Frames to measure with, from the demo scene, in which every frame differs."""

from collections.abc import Iterable

from livestyle.bench.sizes import SIZES
from livestyle.frame import Frame, Image
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.demo import DemoScene
from livestyle.streaming.pipeline import read_all


def scene(size: str, count: int) -> DemoScene:
    """The demo scene with `count` frames at 30 frames per second. size: a name from SIZES."""
    width, height = SIZES[size]
    return DemoScene(width, height, seconds=count / 30)


def scene_images(size: str, count: int) -> list[Image]:
    """The first `count` frames of the scene, all different, each (H, W, 3) uint8 RGB. size: a name from SIZES."""
    return [frame.image for frame in read_all(scene(size, count))]


def write_all(frames: Iterable[Frame], writer: VideoWriter) -> None:
    """Write every frame, then close the writer, which completes the file."""
    for frame in frames:
        writer.write(frame)
    writer.close()
