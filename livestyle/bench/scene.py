"""Frames to measure with: the demo scene, in which every frame differs."""

from collections.abc import Iterable

from livestyle.bench.sizes import SIZES
from livestyle.frame import Frame, Image
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.demo import DemoScene
from livestyle.streaming.pipeline import read_all


def scene(size: str, count: int) -> DemoScene:
    """The demo scene: `count` frames at 30 frames per second."""
    width, height = SIZES[size]
    return DemoScene(width, height, seconds=count / 30)


def scene_images(size: str, count: int) -> list[Image]:
    """`count` different frames, each (H, W, 3) uint8 RGB."""
    return [frame.image for frame in read_all(scene(size, count))]


def write_all(frames: Iterable[Frame], writer: VideoWriter) -> None:
    """Write every frame, and complete the file."""
    for frame in frames:
        writer.write(frame)
    writer.close()
