"""Measure painting a video from file to file: the speed of each stage alone, and of all stages at once."""

import tempfile
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from livestyle.bench.scene import scene, write_all
from livestyle.bench.timing import time_stage
from livestyle.engines.base import Batch, Done
from livestyle.frame import Frame
from livestyle.networks.body import Body
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile
from livestyle.streaming.channel import Channel
from livestyle.streaming.looks import ConstantLook
from livestyle.streaming.pipeline import Pipeline, offline, paint_frames, read_all
from livestyle.stylizer import Stylizer


@dataclass(frozen=True)
class VideoFigures:
    """Figures of painting an H.264 file to an H.264 file: each stage alone, and all at once, as `livestyle video` runs them.

    Speeds are in frames per second. CPU times are in milliseconds per frame, summed over all cores.
    """

    size: str
    batch: int
    """Frames painted in one batch."""
    read_fps: float
    """Speed of the reading stage alone: decoding, and converting to RGB (to NV12 for a GPU)."""
    paint_fps: float
    write_fps: float
    """Speed of the writing stage alone: converting from RGB (from NV12 with a GPU), and encoding."""
    end_to_end_fps: float
    """Speed of all stages at once."""
    end_to_end_to_slowest: float
    """end_to_end_fps divided by the slowest stage's speed. Below 1 if stages compete for cores."""
    read_cpu_ms: float
    paint_cpu_ms: float
    write_cpu_ms: float
    to_yuv_cpu_ms: float
    """The part of write_cpu_ms that the conversion from RGB (from NV12 with a GPU) takes."""
    queues_cpu_ms: float
    """CPU time of the pipeline itself, when nothing is read, painted or written."""
    to_rgb_cpu_ms: float | None
    """The part of read_cpu_ms that the conversion to RGB takes: the difference from reading NV12, which is nearly the format in
    the file (converting to it takes 0.1 ms at 640x360). None if a GPU decodes or converts."""

    def __str__(self) -> str:
        to_rgb = "" if self.to_rgb_cpu_ms is None else f" (to RGB {self.to_rgb_cpu_ms:.2f})"
        return (
            f"video {self.size}: {self.end_to_end_fps:.1f} fps; alone: reading {self.read_fps:.0f}, painting "
            f"{self.paint_fps:.1f}, writing {self.write_fps:.0f}; {self.end_to_end_to_slowest:.2f} of the slowest; "
            f"CPU ms per frame: reading {self.read_cpu_ms:.2f}{to_rgb}, painting {self.paint_cpu_ms:.2f}, "
            f"writing {self.write_cpu_ms:.2f} (to YUV {self.to_yuv_cpu_ms:.2f}), queues {self.queues_cpu_ms:.2f}"
        )


class Unpainted:
    """An engine that returns the frames unchanged."""

    name, precision = "none", "none"
    batches: tuple[int, ...] = (1,)
    batches_in_flight, takes_nv12, gpu = 1, True, 0

    def __init__(self) -> None:
        self.notes: list[str] = []

    def prepare(self, body: Body) -> None:
        pass

    def submit(self, batch: Batch) -> Done:
        return Done([frame for frame, _ in batch])

    def close(self) -> None:
        pass


def measure_video(stylizer: Stylizer, size: str, count: int) -> VideoFigures:
    """Run each stage alone, then all at once, on the same clip of `count` frames. size: a name from SIZES."""
    engine, nv12, gpu = stylizer.engine, stylizer.engine.takes_nv12, stylizer.engine.gpu
    looks = ConstantLook(stylizer.default_look)
    with tempfile.TemporaryDirectory() as folder:
        clip, painted = Path(folder, "clip.mp4"), Path(folder, "painted.mp4")
        source = scene(size, count)
        write_all(read_all(source), VideoWriter(clip, source.info))
        file = VideoFile(clip, for_gpu=nv12, gpu=gpu)
        file.close()
        info, buffering = file.info, offline(stylizer.best_batch(file.info.frame_shape))

        def read(as_nv12: bool = nv12) -> Iterable[Frame]:
            return read_all(VideoFile(clip, for_gpu=as_nv12, gpu=gpu))

        def write(frames: Iterable[Frame]) -> None:
            write_all(frames, VideoWriter(painted, info, sound_from=clip, on_gpu=nv12, gpu=gpu))

        reading = time_stage(lambda: exhaust(read()), count)
        to_rgb_cpu_ms = None
        if not nv12 and not is_decoded_on_gpu(clip, gpu):
            to_rgb_cpu_ms = reading.cpu_ms - time_stage(lambda: exhaust(read(as_nv12=True)), count).cpu_ms

        frames = list(read())
        painting = time_stage(lambda: exhaust(paint_frames(frames, engine, looks, buffering)), count)

        def run_queues() -> None:
            with Channel(frames, buffering.queued) as queue:
                unpainted = paint_frames(queue, Unpainted(), looks, buffering)
                with Channel(unpainted, buffering.queued) as last:
                    exhaust(last)

        queues = time_stage(run_queues, count)
        frames = list(paint_frames(frames, engine, looks, buffering))
        writing = time_stage(lambda: write(frames), count)
        with closing(VideoWriter(Path(folder, "one.mp4"), info)) as writer:
            to_yuv = time_stage(lambda: [writer.to_yuv(frame, number) for number, frame in enumerate(frames)], count)
            writer.write(frames[0])
        frames.clear()

        def run() -> None:
            with Pipeline(VideoFile(clip, for_gpu=nv12, gpu=gpu), engine, looks, buffering) as pipeline:
                write(pipeline)

        end_to_end = time_stage(run, count)
    return VideoFigures(
        size,
        buffering.batch,
        read_fps=reading.fps,
        paint_fps=painting.fps,
        write_fps=writing.fps,
        end_to_end_fps=end_to_end.fps,
        end_to_end_to_slowest=end_to_end.fps / min(reading.fps, painting.fps, writing.fps),
        read_cpu_ms=reading.cpu_ms,
        paint_cpu_ms=painting.cpu_ms,
        write_cpu_ms=writing.cpu_ms,
        to_yuv_cpu_ms=to_yuv.cpu_ms,
        queues_cpu_ms=queues.cpu_ms,
        to_rgb_cpu_ms=to_rgb_cpu_ms,
    )


def is_decoded_on_gpu(clip: Path, gpu: int) -> bool:
    """Whether a GPU decodes the clip when it is read as NV12, so that the CPU time cannot be compared with that of RGB."""
    file = VideoFile(clip, for_gpu=True, gpu=gpu)
    file.close()
    return file.is_decoded_on_gpu


def exhaust(frames: Iterable[Frame]) -> None:
    """Iterate over all frames, and drop them."""
    for _ in frames:
        pass
