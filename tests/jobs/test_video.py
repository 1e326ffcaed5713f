"""Videos painted through the library: results, progress, partial files after errors and interrupts, loops left early."""

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import livestyle
from livestyle import InputError, LivestyleError, OutputError, Progress, StyleError, Stylizer, VideoJob, VideoResult
from livestyle.frame import Image
from livestyle.jobs.video import run_video
from livestyle.streaming.channel import THREAD_NAME

Clip = Callable[..., Path]
Run = Callable[..., Any]


def decoded(path: Path) -> tuple[list[Fraction], list[Image]]:
    """Presentation times, and frames as (H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [frame.pts * frame.time_base for frame in frames if frame.pts is not None and frame.time_base is not None]
    return times, [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in frames]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def channel_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD_NAME]


def open_files() -> list[str]:
    """Paths of the files that this process has open."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("lists open files by /proc")
    links = []
    for entry in folder.iterdir():
        try:
            links.append(os.readlink(entry))  # noqa: PTH115 (text, not a path: sockets and pipes too)
        except OSError:  # the descriptor of the listing itself
            continue
    return links


@pytest.fixture
def stylizer() -> Any:
    with Stylizer("wave", device="cpu") as stylizer:
        yield stylizer


def test_paint_video_keeps_times_and_reports_its_figures(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    source = make_clip("in.mp4", [0, 1, 2, 5, 6], sound="aac", sound_seconds=(0, 0.7))
    result = livestyle.paint_video(source, tmp_path / "out.mp4", "udnie", size=(1000, 24), stylizer=stylizer)
    assert isinstance(result, VideoResult)
    assert (result.target, result.frames, result.width, result.height) == (tmp_path / "out.mp4", 5, 32, 24)
    assert result.damage == ()
    assert result.fps == pytest.approx(5 / result.seconds)
    times, frames = decoded(tmp_path / "out.mp4")
    assert times == [Fraction(tick, 10) for tick in (0, 1, 2, 5, 6)]
    assert frames[0].shape == (24, 32, 3)
    with av.open(str(result.target)) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    assert files(tmp_path) == ["in.mp4", "out.mp4"]


def test_command_and_api_write_the_same_file(make_clip: Clip, tmp_path: Path, run: Run) -> None:
    source = make_clip("in.mp4", range(6), sound="aac")
    words = "--device cpu --style feathers --strength .5 --keep-colors --smooth .5 --size 24 --start .1 --duration .4 --crf 20"
    assert run("video", "in.mp4", "command.mp4", *words.split()).code == 0
    options: dict[str, Any] = {"style": "feathers", "strength": 0.5, "keep_colors": True, "smooth": 0.5, "size": 24}
    result = livestyle.paint_video(source, tmp_path / "api.mp4", device="cpu", start=0.1, duration=0.4, crf=20, **options)
    assert result.frames == 4
    assert (tmp_path / "api.mp4").read_bytes() == (tmp_path / "command.mp4").read_bytes()


def test_progress_counts_every_frame(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    seen: list[Progress] = []
    threads = set()

    def progress(progress: Progress) -> None:
        seen.append(progress)
        threads.add(threading.current_thread())

    run_video(VideoJob(make_clip("in.mp4", range(3)), tmp_path / "out.mp4"), stylizer, progress)
    assert seen == [Progress(0, 3, "warming up"), *(Progress(done, 3, "painting") for done in range(4))]
    assert threads == {threading.current_thread()}


class StoppedByCallerError(Exception):
    pass


@pytest.mark.parametrize("error", [StoppedByCallerError("enough"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_exception_of_progress_ends_the_job_and_keeps_what_was_written(
    error: BaseException, make_clip: Clip, tmp_path: Path, stylizer: Stylizer
) -> None:
    def progress(progress: Progress) -> None:
        if progress.done == 5:
            raise error

    job = VideoJob(make_clip("in.mp4", range(40)), tmp_path / "out.mp4")
    with pytest.raises(type(error)) as caught:
        run_video(job, stylizer, progress)
    message = " ".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
    assert f"0.5 s that were painted are in {tmp_path / 'out.partial.mp4'}" in message
    assert decoded(tmp_path / "out.partial.mp4")[0] == [Fraction(number, 10) for number in range(5)]
    assert files(tmp_path) == ["in.mp4", "out.partial.mp4"]
    assert channel_threads() == []


def test_exception_of_progress_before_the_first_frame_leaves_no_file(
    make_clip: Clip, tmp_path: Path, stylizer: Stylizer
) -> None:
    def progress(progress: Progress) -> None:
        raise StoppedByCallerError

    with pytest.raises(StoppedByCallerError):
        run_video(VideoJob(make_clip("in.mp4"), tmp_path / "out.mp4"), stylizer, progress)
    assert files(tmp_path) == ["in.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_signal_ends_the_job_after_the_current_frame(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    def progress(progress: Progress) -> None:
        if progress.done == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted; 0\.2 s .*out\.partial\.mp4"):
        run_video(VideoJob(make_clip("in.mp4", range(40)), tmp_path / "out.mp4"), stylizer, progress)
    assert len(decoded(tmp_path / "out.partial.mp4")[0]) == 2
    assert signal.getsignal(signal.SIGTERM) == handler


def test_existing_target_is_replaced_only_on_request(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    source, target = make_clip("in.mp4", range(2)), tmp_path / "out.mp4"
    target.write_bytes(b"something")
    with pytest.raises(OutputError, match="overwrite=True"):
        livestyle.paint_video(source, target, device="cuda:77")  # refused before the device is opened
    with pytest.raises(OutputError, match="input itself"):
        livestyle.paint_video(source, source, overwrite=True, stylizer=stylizer)
    assert target.read_bytes() == b"something"
    assert livestyle.paint_video(source, target, overwrite=True, stylizer=stylizer).frames == 2
    assert decoded(target)[0] == [Fraction(0), Fraction(1, 10)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"style": "wav"}, StyleError, "did you mean wave"),
        ({"smooth": 2}, LivestyleError, "smooth"),
        ({"crf": 64}, LivestyleError, "crf"),
        ({"size": (0, 10)}, LivestyleError, "size"),
        ({"size": "720p"}, LivestyleError, "size"),
        ({"start": -1}, LivestyleError, "time"),
        ({"duration": float("inf")}, LivestyleError, "time"),
        ({"duration": 0}, LivestyleError, "duration"),
        ({"start": 9.5}, InputError, "9.5"),
        ({"source": "nosuch.mp4"}, InputError, "nosuch"),
        ({"target": "out.gif"}, OutputError, ".mkv"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused(
    options: dict[str, Any], error: type[Exception], message: str, make_clip: Clip, tmp_path: Path, stylizer: Stylizer
) -> None:
    arguments = {"source": make_clip("in.mp4", range(2)), "target": "out.mp4"} | options
    arguments["target"] = tmp_path / arguments["target"]
    with pytest.raises(error, match=message):
        livestyle.paint_video(**arguments, stylizer=stylizer)
    assert files(tmp_path) == ["in.mp4"]


# jobs in other processes


def test_job_is_picklable_and_runs_in_another_process(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    blend = {"wave": 0.7, "udnie": 0.3}
    job = VideoJob(make_clip("in.mp4", range(2)), tmp_path / "out.mp4", blend, start_seconds=Fraction(1, 20))
    pickled = pickle.dumps(job)
    assert pickle.loads(pickled) == job
    (tmp_path / "runner.py").write_text(
        "import pickle, sys\n"
        "from livestyle import Stylizer\n"
        "from livestyle.jobs.video import run_video\n"
        "with Stylizer('wave', device='cpu') as stylizer:\n"
        "    sys.stdout.buffer.write(pickle.dumps(run_video(pickle.load(sys.stdin.buffer), stylizer)))\n"
    )
    done = subprocess.run([sys.executable, tmp_path / "runner.py"], input=pickled, capture_output=True, check=True)
    here = run_video(replace(job, target=tmp_path / "here.mp4"), stylizer)
    result = pickle.loads(done.stdout)
    assert (result.target, result.frames) == (job.target, here.frames)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "here.mp4").read_bytes()


def test_runs_in_a_thread(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    results: list[VideoResult] = []
    job = VideoJob(make_clip("in.mp4", range(2)), tmp_path / "out.mp4")
    thread = threading.Thread(target=lambda: results.append(run_video(job, stylizer)))
    thread.start()
    thread.join()
    assert results[0].frames == 2


# a video's painted frames


def test_painted_frames_are_those_that_paint_video_encodes(make_clip: Clip, tmp_path: Path, stylizer: Stylizer) -> None:
    source = make_clip("in.mp4", [0, 1, 4], size=(64, 48))
    options: dict[str, Any] = {"style": "udnie", "strength": 0.8, "size": (50, 50), "stylizer": stylizer}
    frames = list(livestyle.painted_frames(source, **options))
    livestyle.paint_video(source, tmp_path / "out.mp4", crf=1, pix_fmt="yuv444p", **options)
    times, written = decoded(tmp_path / "out.mp4")
    assert [frame.pts_seconds for frame in frames] == times == [0, Fraction(1, 10), Fraction(4, 10)]
    for frame, image in zip(frames, written, strict=True):
        assert frame.image.shape == image.shape == (38, 50, 3)
        assert np.abs(frame.image.astype(int) - image).mean() < 2  # codec


def test_painted_frames_equal_paintings_of_the_source(make_clip: Clip, stylizer: Stylizer) -> None:
    source = make_clip("in.mp4", range(4))
    photos = livestyle.painted_frames(source, strength=0, stylizer=stylizer)
    paintings = livestyle.painted_frames(source, "wave", stylizer=stylizer)
    for photo, painting in zip(photos, paintings, strict=True):
        np.testing.assert_array_equal(painting.image, stylizer(photo.image))


@pytest.mark.parametrize("leave", ["break", "close", "drop"])
def test_painted_frames_left_early_close_threads_file_and_device(leave: str, make_clip: Clip) -> None:
    source = make_clip("in.mp4", range(60), options={"preset": "ultrafast"})
    threads_before = threading.active_count()
    frames = livestyle.painted_frames(source, "wave", device="cpu", size=16)
    first = next(frames)
    assert first.image.shape == (16, 22, 3)
    assert str(source) in open_files()
    if leave == "break":
        for _ in frames:
            break
        del _, frames
    elif leave == "close":
        frames.close()
    else:
        del frames
    gc.collect()
    assert channel_threads() == []
    assert threading.active_count() <= threads_before
    assert str(source) not in open_files()


def test_painted_frames_raise_for_a_bad_source_at_the_first_frame(tmp_path: Path, stylizer: Stylizer) -> None:
    frames = livestyle.painted_frames(tmp_path / "nosuch.mp4", stylizer=stylizer)
    with pytest.raises(InputError, match="nosuch"):
        next(frames)
    assert channel_threads() == []
