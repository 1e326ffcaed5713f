"""The commands as a person calls them: words in, exit code, lines and files out."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
import pytest

from livestyle import __version__
from livestyle.cli import COMMANDS
from livestyle.cli.options import Size, SizeType, TimeType, video_size
from livestyle.cli.video import paint_file
from livestyle.errors import OutputError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.architecture import StripMemory
from livestyle.pictures.reading import read_picture
from livestyle.pictures.writing import write_picture
from livestyle.sinks.video.writer import VideoWriter
from livestyle.sources.video.file import VideoFile
from livestyle.style_files.gallery import Gallery, bundled_folder
from livestyle.stylizer import Stylizer

# its fixtures come from conftest: make_clip, run

STYLES = ["cubist", "denoised_starry", "feathers", "mosaic", "scream", "udnie", "wave"]


Run = Callable[..., Any]


def photo(path: Path, width: int = 40, height: int = 30) -> Path:
    path.parent.mkdir(exist_ok=True)
    y, x = np.mgrid[0:height, 0:width]
    write_picture(path, np.stack([x * 255 / width, y * 255 / height, x * 0 + 90], axis=-1).astype(np.uint8))
    return path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# the program


def test_help_lists_every_command(run: Run) -> None:
    result = run("--help")
    assert result.code == 0
    assert all(command in result.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"Usage: livestyle {command}")


def test_version(run: Run) -> None:
    assert run("--version").out == f"livestyle {__version__}\n"


def test_unknown_command(run: Run) -> None:
    result = run("paint")
    assert result.code == 2
    assert "paint" in result.error


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run: Run, shell: str) -> None:
    assert "_LIVESTYLE_COMPLETE" in run("completion", shell).out


def test_completion_knows_the_styles(tmp_path: Path) -> None:
    words = {"COMP_WORDS": "livestyle image --style wa", "COMP_CWORD": "3", "_LIVESTYLE_COMPLETE": "bash_complete"}
    program = [sys.executable, "-m", "livestyle"]
    done = subprocess.run(program, env=os.environ | words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "plain,wave" in done.stdout


def test_debug_shows_the_traceback(run: Run) -> None:
    result = run("image", "nosuch.jpg", "--debug")
    assert result.code == 2
    assert "Traceback" in result.err
    assert "nosuch.jpg" in result.err.splitlines()[-1]


def test_bundled_styles(run: Run) -> None:
    listed = json.loads(run("styles", "--json").out)
    for model in ("lite", "full"):
        assert [row["style"] for row in listed["styles"] if row["model"] == model] == STYLES
    table = run("styles").out
    assert all(name in table for name in STYLES)


# pictures


def test_a_photo_goes_where_the_old_program_wrote(run: Run, tmp_path: Path) -> None:
    source = photo(tmp_path / "img/test.jpg")
    assert run("image", source, "--style", "udnie").code == 0
    painted = read_picture(tmp_path / "generated/res_udnie_test.jpg").image
    assert painted.shape == (30, 40, 3)
    with Stylizer("udnie") as stylizer:
        expected = stylizer(read_picture(source).image)
    assert np.abs(painted.astype(int) - expected).mean() < 5  # JPEG


def test_output_and_json(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    result = run("image", "a.png", "-o", "b.png", "--json", "--quiet", "--style", "wave:.7,udnie:.3")
    assert json.loads(result.out)["written"] == ["b.png"]
    assert result.err == ""
    assert (tmp_path / "b.png").exists()


def test_several_photos_and_a_folder(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.png", "c.jpg"):
        photo(tmp_path / name)
    assert run("image", "in", "c.jpg", "-o", "out").code == 0
    assert files(tmp_path / "out") == ["a.jpg", "b.png", "c.jpg"]


def test_a_broken_photo_among_good_ones(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_text("not a picture")
    result = run("image", "a.jpg", "b.jpg", "-o", "out", "--quiet")
    assert result.code == 1
    assert "b.jpg" in result.error
    assert files(tmp_path / "out") == ["a.jpg"]


def test_stdin_to_stdout(tmp_path: Path) -> None:
    source = photo(tmp_path / "a.jpg")
    command = [sys.executable, "-m", "livestyle", "image", "-", "-o", "-", "--style", "wave"]
    done = subprocess.run(command, input=source.read_bytes(), capture_output=True, check=True, cwd=tmp_path)
    painted = cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR)
    assert painted is not None
    assert painted.shape == (30, 40, 3)


def test_transparency_is_kept(run: Run, tmp_path: Path) -> None:
    alpha = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40).astype(np.uint8)
    write_picture(tmp_path / "a.png", np.full((30, 40, 3), 99, np.uint8), alpha)
    assert run("image", "a.png", "-o", "b.png").code == 0
    painted = read_picture(tmp_path / "b.png").alpha
    assert painted is not None
    assert np.array_equal(painted, alpha)


def test_exif_orientation_is_obeyed(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.jpg").read_bytes()
    tag = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # orientation 6: turn a quarter clockwise
    exif = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + tag + b"\x00\x00\x00\x00"
    (tmp_path / "turned.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    assert run("image", "turned.jpg", "-o", "b.png").code == 0
    assert read_picture(tmp_path / "b.png").image.shape == (40, 30, 3)


@pytest.mark.parametrize(("size", "expected"), [("15", (15, 20)), ("20x100", (15, 20)), ("100x15", (15, 20)), ("60", (60, 80))])
def test_size_fits_inside(run: Run, tmp_path: Path, size: str, expected: tuple[int, int]) -> None:
    photo(tmp_path / "a.png")
    assert run("image", "a.png", "-o", "b.png", "--size", size).code == 0
    assert read_picture(tmp_path / "b.png").image.shape[:2] == expected


def test_strength_zero_is_the_photo(run: Run, tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png")
    assert run("image", "a.png", "-o", "b.png", "--strength", "0").code == 0
    assert np.array_equal(read_picture(tmp_path / "b.png").image, read_picture(source).image)


def test_sheet(run: Run, tmp_path: Path) -> None:
    for name in ("in/a.jpg", "in/b.jpg"):
        photo(tmp_path / name)
    assert run("image", "in", "-o", "sheet.png", "--all-styles", "--size", "30").code == 0
    sheet = read_picture(tmp_path / "sheet.png").image
    assert sheet.shape[1] >= (1 + len(STYLES)) * 40
    assert 2 * 30 < sheet.shape[0] < 2 * 30 + 120


@pytest.mark.parametrize("name", ["-dash.png", "with space.png", "画.png", "per%03dcent.png"])
def test_any_name(run: Run, tmp_path: Path, name: str) -> None:
    photo(tmp_path / name)
    assert run("image", "-o", f"{'画' * 80}.png", "--", name).code == 0  # of 244 bytes, where 255 are the most
    assert run("image", "-o", "b.png", "--", name).code == 0
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nosuch.jpg"], "nosuch.jpg"),
        (["empty.jpg"], "empty"),
        (["text.jpg"], "text.jpg"),
        (["cut.png"], "cut.png"),
        (["folder"], "no pictures"),
        (["a.png", "--style", "wav"], "did you mean wave"),
        (["a.png", "--style", "wave:x"], "wave:.7,udnie:.3"),
        (["a.png", "--style", "text.safetensors"], "text.safetensors"),
        (["a.png", "--style", "pickle.safetensors"], "pickle"),
        (["a.png", "--style", "wave.lite.safetensors", "--model", "full"], "is there for lite"),
        (["a.png", "--device", "cuda:77"], "cuda:77"),
        (["a.png", "--device", "abacus"], "abacus"),
        (["a.png", "--strength", "2"], "strength"),
        (["a.png", "--size", "big"], "1280x720"),
        (["a.png", "--size", "0"], "size"),
        (["a.png", "-o", "a.png"], "input itself"),
        (["a.png", "-o", "link.png"], "input itself"),
        (["a.png", "-o", "b.gif"], ".png"),
        (["a.png", "-o", "exists.png"], "-y"),
        (["a.png", "-o", "exists.png", "-n"], "exists"),
        (["a.png", "-o", "empty.jpg/b.png"], "empty.jpg"),
        (["a.png", "a.png", "-o", "b.png"], "folder"),
    ],
)
def test_bad_words_and_files(run: Run, tmp_path: Path, words: list[str], says: str) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "exists.png")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("no picture at all")
    (tmp_path / "text.safetensors").write_text("no style at all")
    (tmp_path / "pickle.safetensors").write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.png").symlink_to("a.png")
    shutil.copy(bundled_folder() / "wave.lite.safetensors", tmp_path)
    before = files(tmp_path)
    result = run("image", *words)
    assert result.code == 2
    assert says in result.error
    assert files(tmp_path) == before


def test_overwriting_when_told(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    old = photo(tmp_path / "b.png", 10, 10).read_bytes()
    assert run("image", "a.png", "-o", "b.png", "-y").code == 0
    assert (tmp_path / "b.png").read_bytes() != old


def test_a_picture_too_large_for_memory_names_the_size_that_fits(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "a.png", 400, 300)
    lite = dataclasses.replace(ARCHITECTURES["lite"], bytes_per_pixel=10**9, strips=StripMemory(10**8, 0))
    monkeypatch.setitem(ARCHITECTURES, "lite", lite)
    result = run("image", "a.png", "-o", "b.png")
    assert result.code == 2
    assert "--size" in result.error
    assert not (tmp_path / "b.png").exists()


# videos


def picture_times(path: Path, cut_off: bool = False) -> list[float]:
    """cut_off: the last packet may be half written; players pass over it."""
    frames, damaged = [], 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                frames += packet.decode()
            except av.error.InvalidDataError:
                damaged += 1
    assert damaged <= cut_off
    return [float(frame.pts * frame.time_base) for frame in frames]


def test_video(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    source = make_clip("in.mp4", range(10), sound="aac")
    result = run("video", "in.mp4", "out.mp4", "--style", "feathers", "--json", "--quiet")
    assert result.code == 0
    (summary,) = json.loads(result.out)["files"]
    assert summary["frames"] == 10
    assert picture_times(tmp_path / "out.mp4") == picture_times(source)
    assert files(tmp_path) == ["in.mp4", "out.mp4"]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]


def test_video_options(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(20))
    words = ["--start", "0.5", "--duration", "1", "--size", "24", "--crf", "30", "--preset", "ultrafast", "--keep-colors"]
    assert run("video", "in.mp4", "out.mkv", *words).code == 0
    times = picture_times(tmp_path / "out.mkv")
    assert times == pytest.approx([number / 10 for number in range(10)], abs=0.001)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (32, 24)


def test_video_smooth(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    # not OpenVINO, where a rounding may depend on the frames painted together, how many of which is measured in each run
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


def test_interlaced_video(run: Run, make_clip: Callable[..., Path]) -> None:
    make_clip("in.ts", range(4), options={"flags": "+ildct+ilme", "x264-params": "tff=1"})
    note = "note: interlaced frames are deinterlaced"
    assert note in run("video", "in.ts", "out.mp4").err
    assert note not in run("video", "in.ts", "whole.mp4", "--no-deinterlace").err


def test_several_videos_and_skip_existing(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    (tmp_path / "in").mkdir()
    for name in ("in/a.mp4", "in/b.mkv"):
        make_clip(name, range(3))
    make_clip("in/c.VOB", range(3), codec="mpeg2video", time_base=Fraction(1, 25), rate=25)
    for name in ("in/a.partial.mp4", "in/c.partial-2.mp4", "in/._a.mp4"):  # of killed runs, and what macOS leaves
        (tmp_path / name).write_bytes(b"no video")
    assert run("video", "in", "-o", "out").code == 0
    assert files(tmp_path / "out") == ["a.mp4", "b.mkv", "c.mp4"]
    (tmp_path / "out/a.mp4").unlink()
    old = (tmp_path / "out/b.mkv").stat().st_mtime_ns
    assert run("video", "in", "-o", "out", "--skip-existing").code == 0
    assert files(tmp_path / "out") == ["a.mp4", "b.mkv", "c.mp4"]
    assert (tmp_path / "out/b.mkv").stat().st_mtime_ns == old


def test_a_damaged_video_gives_what_could_be_read(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    data = bytearray(make_clip("in.mp4", range(30), options={"g": "5"}).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 60] = bytes(60)
    (tmp_path / "in.mp4").write_bytes(data)
    result = run("video", "in.mp4", "out.mp4", "--quiet")
    assert result.code == 1
    assert "damaged: in.mp4" in result.err
    assert 20 < len(picture_times(tmp_path / "out.mp4")) <= 30


@pytest.mark.parametrize(
    ("words", "says"),
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
def test_bad_words_and_videos(run: Run, tmp_path: Path, make_clip: Callable[..., Path], words: list[str], says: str) -> None:
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
    assert says in result.error
    assert files(tmp_path) == before


def start_long_video(make_clip: Callable[..., Path], folder: Path) -> subprocess.Popen[bytes]:
    """A run that takes many seconds, its partial file already there and growing."""
    make_clip("in.mp4", range(600), size=(320, 240), options={"preset": "ultrafast"})
    process = subprocess.Popen([sys.executable, "-m", "livestyle", "video", "in.mp4", "out.mp4"], cwd=folder)
    partial = folder / "out.partial.mp4"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size > 100_000):
        assert time.monotonic() < deadline
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            pytest.fail("it ended by itself")
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
def test_interrupted_or_killed(tmp_path: Path, make_clip: Callable[..., Path], sent: list[signal.Signals], code: int) -> None:
    process = start_long_video(make_clip, tmp_path)
    for number in sent:
        process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert files(tmp_path) == ["in.mp4", "out.partial.mp4"]
    killed = sent == [signal.SIGKILL]
    times = picture_times(tmp_path / "out.partial.mp4", cut_off=killed)
    assert 5 < len(times) < 600
    kept = len(times) - 2 * killed  # then the last two may lack the one between, encoded after both
    assert times[:kept] == [number / 10 for number in range(kept)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_second_run_on_one_output_is_refused(tmp_path: Path, make_clip: Callable[..., Path], run: Run) -> None:
    process = start_long_video(make_clip, tmp_path)
    result = run("video", "in.mp4", "out.mp4")
    assert result.code == 2
    assert "another run is writing" in result.error
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    before = (tmp_path / "out.partial.mp4").read_bytes()

    result = run("video", "out.partial.mp4", "out.mp4", "--size", "32")  # what one does with a partial file
    assert result.code == 0
    assert "did not finish" in result.err
    assert (tmp_path / "out.partial.mp4").read_bytes() == before
    assert files(tmp_path) == ["in.mp4", "out.mp4", "out.partial.mp4"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_interrupt_before_the_first_frame_leaves_nothing(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
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


def test_n_leaves_an_output_that_appears_while_it_is_painted(tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    source = VideoFile(make_clip("in.mp4"))
    with Stylizer("wave") as stylizer:

        def open_sink() -> VideoWriter:
            sink = VideoWriter(tmp_path / "out.mp4", source.info, overwrite=False)
            (tmp_path / "out.mp4").write_bytes(b"of another program")
            return sink

        with pytest.raises(OutputError, match=r"out\.partial\.mp4"):
            paint_file(source, stylizer, open_sink, quiet=True)
    assert (tmp_path / "out.mp4").read_bytes() == b"of another program"
    assert len(picture_times(tmp_path / "out.partial.mp4")) == 10


# the rest


def test_demo(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--size", "32", "--json", "--quiet")
    assert json.loads(result.out)["styles"] == Gallery().names
    assert len(picture_times(tmp_path / "demo.mp4")) == len(STYLES) * 60


# sizes, times, and words that other programs understand


@pytest.mark.parametrize(
    ("text", "size"),
    [("720", (None, 720)), ("1080p", (None, 1080)), ("4K", (None, 2160)), ("128x72", (128, 72)), (" 9X8 ", (9, 8))],
)
def test_sizes(text: str, size: Size) -> None:
    assert SizeType().convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "p", "720i", "1280x", "x720", "9x8p", "0", "0x9", "65536", "99999x9", "-5", "٧٢٠", "7.5"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size"):
        SizeType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90", 90), ("12.5", 12.5), (".5", 0.5), ("1:30", 90), ("1:02:03.5", 3723.5)),
        *(
            ("1h", 3600),
            ("1h30m", 5400),
            ("1m30", 90),
            ("1h30", 5400),
            ("1s30", None),
            ("1m30s", 90),
            ("90s", 90),
            ("500ms", 0.5),
            ("1h 5s", 3605),
        ),
        *(("2min", 120), ("2 hours", 7200), ("1.5h", 5400), ("3 sec", 3), ("1H2M3.5S", 3723.5), ("0", 0)),
        *(("", None), ("h", None), ("1s1h", None), ("1x", None), ("-1", None), ("1h1h", None), ("1e3", None), ("1:2:3:4", None)),
    ],
)
def test_times(text: str, seconds: float | None) -> None:
    if seconds is not None:
        assert TimeType().convert(text, None, None) == seconds
        return
    with pytest.raises(click.BadParameter, match="is not a time"):
        TimeType().convert(text, None, None)


@pytest.mark.parametrize(
    ("width", "height", "size", "expected"),
    [
        *((1920, 1080, (None, 480), (854, 480)), (1280, 536, (None, 480), (1146, 480))),
        *((1920, 1080, (None, 481), (856, 480)), (1080, 1920, (853, 853), (480, 852)), (3, 1000, (None, 100), (2, 100))),
        *((853, 481, None, (853, 481)), (64, 48, (None, 1), (2, 2))),
    ],
)
def test_videos_get_even_sides(width: int, height: int, size: Size | None, expected: tuple[int, int]) -> None:
    assert video_size(width, height, size) == expected


def test_json_tells_the_size_that_is_written(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
    make_clip("in.mp4", range(1), size=(67, 49), pix_fmt="yuv444p")
    result = run("video", "in.mp4", "out.mp4", "--json")
    (summary,) = json.loads(result.out)["files"]
    assert (summary["width"], summary["height"]) == (68, 50)
    assert "out.mp4: 1 frame, 68x50" in result.err


@pytest.mark.parametrize(
    ("words", "says"),
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
def test_video_says_what_to_do(run: Run, tmp_path: Path, make_clip: Callable[..., Path], words: str, says: str) -> None:
    make_clip("in.mp4", range(3))
    for name in ("pictures/a.png", "pictures/b.png"):
        photo(tmp_path / name)
    result = run("video", *words.split(), "--json")
    assert result.code == 2
    assert says in result.error
    assert "secret" not in result.error
    assert says in json.loads(result.out)["error"]
    assert files(tmp_path) == ["in.mp4", "pictures/a.png", "pictures/b.png"]


def test_an_empty_argument(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    assert "empty" in run("image", "in/a.png", "-o", "").error
    assert files(tmp_path) == ["in/a.png"]


def test_json_when_some_files_fail(run: Run, tmp_path: Path, make_clip: Callable[..., Path]) -> None:
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


def test_suggestions_only_where_a_name_is_near(run: Run) -> None:
    assert "did you mean video?" in run("vidoe").error
    assert "there are: video, image" in run("paint").error
    assert "did you mean show?" in run("styles", "shwo").error
    assert "there are: export, remove" in run("styles", "paint").error


def test_alone_it_prints_the_help(run: Run) -> None:
    result = run()
    assert (result.code, result.err) == (0, "")
    assert result.out == run("--help").out
    assert all(f"\n{section}:\n" in result.out for section in ("Paint", "Styles", "Measure", "Shell", "Examples"))


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_two_examples(run: Run, command: str) -> None:
    _, _, examples = run(command, "--help").out.partition("\nExamples:\n")
    lines = examples.strip().splitlines()
    assert len(lines) == 2
    assert all(f"livestyle {command}" in line for line in lines)
