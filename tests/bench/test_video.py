"""The stages of painting a video are measured."""

import numpy as np

from livestyle.bench.networks import find_look
from livestyle.bench.video import Unpainted, measure_video
from livestyle.stylizer import Stylizer


def test_every_stage_of_a_video_is_measured() -> None:
    with Stylizer("wave", device="cpu") as stylizer:
        figures = measure_video(stylizer, "256x256", 6)
        assert figures.batch == stylizer.best_batch((256, 256, 3))
    assert min(figures.read_fps, figures.paint_fps, figures.write_fps, figures.end_to_end_fps) > 0
    assert min(figures.read_cpu_ms, figures.paint_cpu_ms, figures.write_cpu_ms, figures.queues_cpu_ms) > 0


def test_the_unpainted_engine_returns_the_frames_themselves() -> None:
    look = find_look("wave", "lite")
    frames = [np.full((2, 3, 3), number, np.uint8) for number in range(3)]
    returned = Unpainted().submit([(frame, look) for frame in frames]).result()
    assert [id(frame) for frame in returned] == [id(frame) for frame in frames]
