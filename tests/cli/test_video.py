"""`livestyle video`: where paintings go, options, errors, and files that stay after interrupts."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.errors import OutputError
from livestyle.jobs.video import write_painted
from livestyle.pictures.writing import write_picture
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile
from livestyle.streaming.looks import ConstantLook
from livestyle.stylizer import Stylizer

Run = Callable[..., Any]


def photo(path: Path, width: int = 40, height: int = 30) -> Path:
    path.parent.mkdir(exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    write_picture(path, np.stack([x * 255 / width, y * 255 / height, x * 0 + 90], axis=-1).astype(np.uint8))
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def picture_times(path: Path, cut_off: bool = False) -> list[float]:
    """Presentation times of a file, in seconds. cut_off: the last packet may be incomplete; players skip it."""
    frames, damaged = [], 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames += packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
    assert damaged <= cut_off
    return [float(frame.pts * frame.time_base) for frame in frames]


def test_sound_and_times_are_kept(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    source = make_clip("in.mp4", range(10), sound="aac")
    result = run("video", "in.mp4", "out.mp4", "--style", "feathers", "--json", "--quiet")
    assert result.code == 0
    (summary,) = json.loads(result.out)["files"]
    assert summary["frames"] == 10
    assert picture_times(tmp_path / "out.mp4") == picture_times(source)
    assert files(tmp_path) == ["in.mp4", "out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_start_duration_and_size(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(20))
    words = ["--start", "0.5", "--duration", "1", "--size", "24", "--crf", "30", "--preset", "ultrafast", "--keep-colors"]
    assert run("video", "in.mp4", "out.mkv", *words).code == 0
    times = picture_times(tmp_path / "out.mkv")
    assert times == pytest.approx([number / 10 for number in range(10)], abs=0.001)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 24)


def test_smooth_changes_all_but_the_first_frame(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    # not OpenVINO: there rounding may depend on the batch size, which is measured in each run
    make_clip("in.mp4", range(6))
    for name, words in (("plain", []), ("none", ["--smooth", "0"]), ("most", ["--smooth", "1"])):
        assert run("video", "in.mp4", f"{name}.mkv", "--crf", "0", "--device", "cpu", *words).code == 0

    def pictures(name: str) -> list[np.ndarray]:
        with av.open(str(tmp_path / name)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    plain, none, most = (pictures(f"{name}.mkv") for name in ("plain", "none", "most"))
    np.testing.assert_array_equal(none, plain)
    np.testing.assert_array_equal(most[0], plain[0])
    assert len(most) == 6
    assert any(not np.array_equal(*pair) for pair in zip(most, plain, strict=True))


def test_interlaced_video_is_deinterlaced_unless_disabled(run: Run, make_clip: Callable[..., Path]) -> None:
    make_clip("in.ts", range(4), options={"flags": "+ildct+ilme", "x264-params": "tff=1"})
    note = "note: interlaced frames are deinterlaced"
    assert note in run("video", "in.ts", "out.mp4").err
    assert note not in run("video", "in.ts", "whole.mp4", "--no-deinterlace").err


def test_folder_of_videos_and_skip_existing(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.mp4", "in/b.mkv"):
        make_clip(name, range(3))
    make_clip("in/c.VOB", range(3), codec="mpeg2video", time_base=Fraction(1, 25), rate=25)
    for name in ("in/a.partial.mp4", "in/c.partial-2.mp4", "in/._a.mp4"):  # of killed runs, and of macOS
        (tmp_path / name).write_bytes(b"no video")
    assert run("video", "in", "-o", "out").code == 0
    assert files(tmp_path / "out") == ["a.mp4", "b.mkv", "c.mp4"]
    (tmp_path / "out/a.mp4").unlink()
    old = (tmp_path / "out/b.mkv").stat().st_mtime_ns
    assert run("video", "in", "-o", "out", "--skip-existing").code == 0
    assert files(tmp_path / "out") == ["a.mp4", "b.mkv", "c.mp4"]
    assert (tmp_path / "out/b.mkv").stat().st_mtime_ns == old


def test_damaged_video_is_painted_in_part(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    data = bytearray(make_clip("in.mp4", range(30), options={"g": "5"}).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    (tmp_path / "in.mp4").write_bytes(data)
    result = run("video", "in.mp4", "out.mp4", "--quiet")
    assert result.code == 1
    assert "damaged: in.mp4" in result.err
    assert 20 < len(picture_times(tmp_path / "out.mp4")) <= 30


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nosuch.mp4", "out.mp4"], "nosuch.mp4"),
        (["empty.mp4", "out.mp4"], "empty"),
        (["text.mp4", "out.mp4"], "text.mp4"),
        (["list.mp4", "out.mp4"], "list.mp4"),
        (["folder", "out.mp4"], "-o"),
        (["in.mp4"], "output"),
        (["in.mp4", "in.mp4", "-y"], "input itself"),
        (["in.mp4", "link.mp4", "-y"], "input itself"),
        (["in.mp4", "exists.mp4"], "-y"),
        (["in.mp4", "out.xyz"], ".mkv"),
        (["in.mp4", "out.mp4", "--codec", "abc"], "h264"),
        (["in.mp4", "nosuch/out.mp4"], "nosuch"),
        (["in.mp4", "out.mp4", "--style", "scram"], "scream"),
        (["in.mp4", "out.mp4", "--start", "99"], "99"),
        (["in.mp4", "out.mp4", "--start", "soon"], "soon"),
        (["in.mp4", "out.mp4", "--smooth", "2"], "--smooth"),
    ],
)
def test_invalid_arguments_and_files_are_errors_and_write_nothing(
    run: Run, tmp_path: Path, make_clip: Callable[..., Path], words: list[str], message: str
) -> None:
    make_clip("in.mp4", range(3))
    (tmp_path / "exists.mp4").write_text("something")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile in.mp4\n")
    (tmp_path / "link.mp4").symlink_to("in.mp4")
    (tmp_path / "folder").mkdir()
    before = files(tmp_path)
    result = run("video", *words)
    assert result.code == 2
    assert message in result.error
    assert files(tmp_path) == before


def start_long_video(make_clip: Callable[..., Path], folder: Path) -> subprocess.Popen[bytes]:
    """Start a run that takes many seconds, and wait until its partial file grows."""
    make_clip("in.mp4", range(600), size=(320, 240), options={"preset": "ultrafast"})
    process = subprocess.Popen([sys.executable, "-m", "livestyle", "video", "in.mp4", "out.mp4"], cwd=folder)
    partial = folder / "out.partial.mp4"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            pytest.fail("the run ended by itself")
    return process


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGINT, signal.SIGINT], 130),
        ([signal.SIGTERM], 130),
        ([signal.SIGHUP, signal.SIGTERM], 130),
        ([signal.SIGKILL], -signal.SIGKILL),
    ],
    ids=str,
)
def test_interrupted_or_killed_run_leaves_a_playable_partial_file(
    tmp_path: Path, make_clip: Callable[..., Path], sent: list[signal.Signals], code: int
) -> None:
    process = start_long_video(make_clip, tmp_path)
    for number in sent:
        process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert files(tmp_path) == ["in.mp4", "out.partial.mp4"]
    killed = sent == [signal.SIGKILL]
    times = picture_times(tmp_path / "out.partial.mp4", cut_off=killed)
    assert 5 < len(times) < 600
    kept = len(times) - 2 * killed  # the frame between the last two may be missing: it is encoded after both
    assert times[:kept] == [number / 10 for number in range(kept)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_second_run_with_the_same_output_is_refused(tmp_path: Path, make_clip: Callable[..., Path], run: Run) -> None:
    process = start_long_video(make_clip, tmp_path)
    result = run("video", "in.mp4", "out.mp4")
    assert result.code == 2
    assert "another run is writing" in result.error
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    before = (tmp_path / "out.partial.mp4").read_bytes()

    result = run("video", "out.partial.mp4", "out.mp4", "--size", "32")  # a partial file as the input
    assert result.code == 0
    assert "did not finish" in result.err
    assert (tmp_path / "out.partial.mp4").read_bytes() == before
    assert files(tmp_path) == ["in.mp4", "out.mp4", "out.partial.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_before_the_first_frame_leaves_no_file(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(100), size=(640, 480))
    arguments = ["video", "in.mp4", "out.mp4", "--model", "full", "--device", "cpu", "--size", "480"]
    process = subprocess.Popen([sys.executable, "-m", "livestyle", *arguments], cwd=tmp_path, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "out.partial.mp4").exists():  # the warm-up begins, and takes long
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().splitlines()[-1].startswith("interrupted")
    assert files(tmp_path) == ["in.mp4"]


def test_output_created_by_another_program_meanwhile_is_not_replaced(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    source = VideoFile(make_clip("in.mp4"))
    with Stylizer("wave") as stylizer:

        def open_sink() -> VideoWriter:
            sink = VideoWriter(tmp_path / "out.mp4", source.info, overwrite=False)
            (tmp_path / "out.mp4").write_bytes(b"of another program")
            return sink

        with pytest.raises(OutputError, match=r"out\.partial\.mp4"):
            write_painted(source, ConstantLook(stylizer.default_look), stylizer, open_sink)
    assert (tmp_path / "out.mp4").read_bytes() == b"of another program"
    assert len(picture_times(tmp_path / "out.partial.mp4")) == 10


def test_size_of_the_written_video_is_reported(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(1), size=(67, 49), pix_fmt="yuv444p")
    result = run("video", "in.mp4", "out.mp4", "--json")
    (summary,) = json.loads(result.out)["files"]
    assert (summary["width"], summary["height"]) == (68, 50)
    assert "out.mp4: 1 frame, 68x50" in result.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("https://me:secret@example.org/a.mp4 out.mp4", "yt-dlp"),
        ("rtsp://camera/stream out.mp4", "livestyle webcam --camera URL"),
        ("- out.mp4", "stdin"),
        ("in.mp4 -", "stdout"),
        ("frame%04d.png out.mp4", "ffmpeg -framerate 25 -i frame%04d.png"),
        ("pictures/*.png out.mp4", "ffmpeg -framerate 25 -pattern_type glob -i 'pictures/*.png'"),
        ("pictures -o out", "ffmpeg -framerate 25 -pattern_type glob -i 'pictures/*.png'"),
        ("pictures/a.png pictures/b.png out.mp4", "-i 'pictures/*.png'"),
        ("pictures/a.png pictures/b.png -o out", "-i 'pictures/*.png'"),
        ("clips/*.mp4 -o out", "no file matches clips/*.mp4"),
        ("in.mp4 out.gif", "ffmpeg -i out.mp4 out.gif"),
        ("in.mp4 out%03d.png", "ffmpeg -i out.mp4 out%03d.png"),
        ("in.mp4 in.mp4 in.mp4", "-o FOLDER"),
        ("in.mp4 out.mp4 --size 99999", "65535"),
        ("in.mp4 out.mp4 --size 60000", "16384"),
        ("in.mp4 out.mp4 --duration 0", "above 0"),
        ("in.mp4 out.mp4 --start -5", "not a time"),
        ("in.mp4 out.mp4 --stile wave", "did you mean --style"),
        ("in.mp4 out.mp4 --zzzz", "there are: --output, --style"),
        ("-in.mp4 out.mp4", "write --"),
        ("", "livestyle video --help"),
    ],
)
def test_inputs_and_outputs_that_are_not_video_files_are_errors_with_advice(
    run: Run, tmp_path: Path, make_clip: Callable[..., Path], words: str, message: str
) -> None:
    make_clip("in.mp4", range(3))
    for name in ("pictures/a.png", "pictures/b.png"):
        photo(tmp_path / name)
    result = run("video", *words.split(), "--json")
    assert result.code == 2
    assert message in result.error
    assert "secret" not in result.error
    assert message in json.loads(result.out)["error"]
    assert files(tmp_path) == ["in.mp4", "pictures/a.png", "pictures/b.png"]


def test_json_lists_painted_and_failed_files(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(2))
    (tmp_path / "bad.mp4").write_text("no video")
    result = run("video", "bad.mp4", "in.mp4", "-o", "out", "--json", "--quiet")
    assert result.code == 1
    report = json.loads(result.out)
    assert [file["input"] for file in report["files"]] == ["in.mp4"]
    assert report["failed"] == ["bad.mp4: bad.mp4 is text, not a video"]
    assert "error" not in report
    result = run("video", "bad.mp4", "nosuch.mp4", "-o", "out", "--json", "--quiet")
    assert result.code == 2
    assert json.loads(result.out)["error"] == "none of the 2 videos could be painted"
