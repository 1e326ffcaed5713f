"""The webcam command without a window: sources, recordings, interruptions and errors."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import click
import numpy as np
import psutil
import pytest
import torch

from livestyle.cli import main
from livestyle.cli.webcam import webcam
from livestyle.errors import DeviceError, InputError, LivestyleError, OutputError
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.style_files.file_format import write_style_file

STYLES = ["aaa1", "aaa2", "aaa3"]
PATIENCE_SECONDS = 60  # a longer wait counts as a hang
AT_ONCE_SECONDS = 4  # on a busy machine; shorter than the 5 s after which OpenCV gives up on a camera


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three untrained styles, and no display."""
    torch.manual_seed(5)
    network = TransformerNetwork(ARCHITECTURES["lite"])
    for name in STYLES:
        rows = network.plain_rows() + torch.randn(2, network.architecture.row_length) * 0.3
        path = tmp_path / "models" / f"{name}.safetensors"
        write_style_file(path, network.body(), rows.numpy(), {}, include_body=name == STYLES[0])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    return tmp_path


def run(*words: str) -> int:
    code = webcam.main(["--style", STYLES[0], "--quiet", *words], standalone_mode=False)
    assert isinstance(code, int)
    return code


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("livestyle")]


def read_video(path: Path) -> tuple[list[Fraction], list[np.ndarray]]:
    with av.open(str(path)) as video:
        frames = list(video.decode(video=0))
    times = [frame.pts * frame.time_base for frame in frames if frame.pts is not None and frame.time_base is not None]
    return times, [frame.to_ndarray(format="rgb24") for frame in frames]


# the command


def test_records_without_a_display(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--camera", "demo", "--size", "64x36", "--record", "out.mp4", "--seconds", "1.3", "--json") == 0
    live, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert live["live"]["recording"] is True
    assert 0 < live["live"]["frames"] < summary["frames"]
    times, images = read_video(folder / "out.mp4")
    assert times[0] == 0
    assert all(time < Fraction("1.3") for time in times)
    assert images[0].shape == (36, 64, 3)
    assert summary["frames"] == len(images)
    assert summary["recordings"] == ["out.mp4"]
    assert threads() == []


def test_video_file_as_camera(folder: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(ticks=range(5))
    assert run("--camera", str(clip), "--strength", "0", "--mirror", "--record", "out.mp4", "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["frames"] >= 1
    _, images = read_video(folder / "out.mp4")
    _, originals = read_video(clip)
    assert np.abs(images[0][:, ::-1].astype(int) - originals[0]).mean() < 6  # strength 0 is the photo


def test_existing_recording_is_not_overwritten(folder: Path) -> None:
    (folder / "out.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        run("--camera", "demo", "--record", "out.mp4", "-n")
    assert (folder / "out.mp4").read_bytes() == b"mine"


def test_failure_leaves_no_thread_and_no_file(folder: Path, make_clip: Callable[..., Path]) -> None:
    with pytest.raises(OutputError):
        run("--camera", "demo", "--size", "64x36", "--record", "nowhere/out.mp4")
    with pytest.raises(LivestyleError):
        run("--camera", "demo", "--size", "64x36", "--record", "out.mp4", "--style", "no such style")
    assert threads() == []
    assert sorted(path.name for path in folder.iterdir()) == ["models"]


def test_missing_camera_is_an_error_that_lists_the_cameras(folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot open camera /dev/no-camera; .*found") as caught:
        run("--camera", "/dev/no-camera", "--record", "out.mp4")
    assert caught.value.advice == "to try livestyle without a camera, use --camera demo"


def test_missing_display_is_an_error_that_names_record(folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"no display .*--record"):
        run("--camera", "demo")


def test_on_beat_needs_a_sound_and_excludes_shuffle(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot follow the beat: demo has no sound") as caught:
        run("--camera", "demo", "--record", "out.mp4", "--on-beat", "2")
    assert caught.value.advice == "add --sound microphone"
    with pytest.raises(click.UsageError, match="exclude each other"):
        run("--camera", "demo", "--record", "out.mp4", "--on-beat", "2", "--shuffle", "8")


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.mp4", "concat://a"])
def test_url_of_another_scheme_is_an_input_error(folder: Path, url: str) -> None:
    with pytest.raises(InputError, match="begins with rtsp, rtsps, rtmp"):
        run("--camera", url, "--record", "out.mp4")


def test_playlist_is_an_input_error(folder: Path) -> None:
    (folder / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n")
    with pytest.raises(InputError, match="playlist"):
        run("--camera", "a.mp4", "--record", "out.mp4")


def test_recording_over_the_input_is_an_output_error(folder: Path, make_clip: Callable[..., Path]) -> None:
    clip = make_clip()
    before = clip.read_bytes()
    with pytest.raises(OutputError, match="input itself"):
        run("--camera", str(clip), "--record", str(clip), "-y")
    assert clip.read_bytes() == before


class Process:
    """The command in its own process, recording to out.mp4."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "livestyle", "webcam", "--style", STYLES[0], "--record", "out.mp4", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            os.sched_yield()

    def interrupt(self, number: int = signal.SIGINT) -> tuple[str, str]:
        """Send the signal and wait for the end. Returns stdout and stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 130, err
        assert "Traceback" not in err
        return out, err


@pytest.fixture
def begin(folder: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*words: str) -> Process:
        started.append(Process(*words))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_completes_the_recording(folder: Path, begin: Callable[..., Process], name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip("not on this system")
    process = begin("--camera", "demo", "--size", "64x36")
    process.until(lambda: size_of(folder / "out.partial.mp4") > 2000)
    process.interrupt(getattr(signal, name))
    assert len(read_video(folder / "out.mp4")[0]) > 1
    assert not (folder / "out.partial.mp4").exists()


def test_ctrl_c_while_the_camera_has_stalled(
    folder: Path, begin: Callable[..., Process], served: str, stall: threading.Event
) -> None:
    process = begin("--camera", f"{served}/stall", "--json")
    process.until(lambda: size_of(folder / "out.partial.mp4") > 0)
    stall.set()
    pressed_at = time.monotonic()
    out, _ = process.interrupt()
    assert time.monotonic() - pressed_at < AT_ONCE_SECONDS
    summary = json.loads(out.splitlines()[-1])
    assert summary["captured"] == summary["frames"] + summary["dropped"] + summary["failed"] > 1
    assert len(read_video(folder / "out.mp4")[0]) == summary["frames"]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows has no signal that suspends a process")
def test_suspended_and_resumed_process_goes_on(folder: Path, begin: Callable[..., Process]) -> None:
    process = begin("--camera", "demo", "--size", "64x36", "--json")
    process.until(lambda: size_of(folder / "out.partial.mp4") > 2000)
    process.process.send_signal(signal.SIGSTOP)
    process.until(lambda: psutil.Process(process.process.pid).status() == psutil.STATUS_STOPPED)
    recorded = size_of(folder / "out.partial.mp4")
    process.process.send_signal(signal.SIGCONT)
    process.until(lambda: size_of(folder / "out.partial.mp4") > recorded)
    out, _ = process.interrupt()
    summary = json.loads(out.splitlines()[-1])
    assert summary["captured"] == summary["frames"] + summary["dropped"]
    assert (summary["failed"], summary["damage"], summary["errors"]) == (0, [], [])
    times, _ = read_video(folder / "out.mp4")
    assert len(times) == summary["frames"]
    assert max(later - earlier for earlier, later in pairwise(times)) < 2


def test_the_text_summary_counts_every_captured_frame(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--style", STYLES[0], "--camera", "demo", "--size", "64x36", "--record", "out.mp4", "--seconds", "0.5"]
    assert webcam.main(words, standalone_mode=False) == 0
    numbers = r"(\d+) frames captured: (\d+) shown, (\d+) dropped, (\d+) failed; [\d.]+ fps; "
    found = re.search(numbers + r"delay \d+ ms \(median\), \d+ ms \(99th percentile\)", capsys.readouterr().err)
    assert found is not None
    captured, *others = map(int, found.groups())
    assert captured == sum(others) > 1


def test_ctrl_c_while_the_camera_opens(folder: Path, begin: Callable[..., Process], served: str) -> None:
    process = begin("--camera", f"{served}/mute", "--json")
    assert process.process.stderr is not None
    assert "recording without a window" in process.process.stderr.readline()
    time.sleep(0.5)  # usually in the middle of the request; the result is the same before it
    pressed_at = time.monotonic()
    out, _ = process.interrupt()
    assert time.monotonic() - pressed_at < AT_ONCE_SECONDS
    assert json.loads(out.splitlines()[-1])["frames"] == 0
    assert not list(folder.glob("out*"))


def test_disconnected_stream_is_opened_again(
    folder: Path, served: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.sources.video.network.TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr("livestyle.sources.reconnecting.LEAST_OUTAGE_SECONDS", 0.1)
    address = f"{served}/live".replace("//", "//someone:mysecret@")
    assert run("--camera", address, "--record", "out.mp4", "--json", "--seconds", "2") == 1
    out, err = capsys.readouterr()
    summary = json.loads(out.splitlines()[-1])
    assert summary["recordings"] == ["out.mp4"]
    assert summary["captured"] > 4  # each connection gives five frames
    assert summary["captured"] == summary["frames"] + summary["dropped"] + summary["failed"]
    times, _ = read_video(folder / "out.mp4")
    assert len(times) == summary["frames"]
    assert max(later - earlier for earlier, later in pairwise(times)) > 0.4  # the time of the outage
    assert summary["errors"] == []
    assert "someone:***@127" in summary["damage"][0]
    assert "(Input/output error): no new frames for" in summary["damage"][0]
    assert "mysecret" not in out + err


@pytest.mark.parametrize(
    "address", ["http://me:secret@127.0.0.1:9/live?pwd=secret", "ftp://me:sec@ret/x", "rtsp://me:secret@[::1]:9/"]
)
def test_passwords_are_not_printed(folder: Path, address: str) -> None:
    with pytest.raises(InputError) as error:
        run("--camera", address, "--record", "out.mp4")
    assert "//me:***@" in str(error.value)
    assert "sec" not in str(error.value).replace("rtsps", "")


@pytest.mark.parametrize("words", [["webcam"], ["video"], ["webcam", "--debug", "--record"], []])
def test_passwords_of_misplaced_urls_are_not_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["livestyle", *words, "rtsp://me:secret@host/live", "--json"])
    assert main() == 2
    out, err = capsys.readouterr()
    assert err
    assert "secret" not in out + err


FULL_DISK = """
import resource, sys
import cv2
from livestyle.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))  # a write beyond this fails, as on a full disk
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_full_disk_ends_the_recording_and_not_the_run(folder: Path, make_clip: Callable[..., Path], name: str) -> None:
    rng = np.random.default_rng(0)

    def noise(number: int) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(rng.integers(0, 256, (96, 128, 3), np.uint8)).reformat(format="yuv420p")

    clip = make_clip(ticks=range(12), size=(128, 96), images=noise)
    words = ["webcam", "--camera", str(clip), "--style", STYLES[0], "--strength", "0", "--record", name, "--json"]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    left = f"out.partial{Path(name).suffix}"
    assert (summary["recordings"], summary["kept"]) == ([], [left])
    assert len(summary["errors"]) == 1
    assert summary["errors"][0].startswith(f"the recording has stopped: cannot write {name}: ")
    assert summary["errors"][0].endswith(f" are in {left}")
    assert f"livestyle: {summary['errors'][0]}" in done.stderr
    assert not (folder / name).exists()
    with av.open(left) as video, contextlib.suppress(av.FFmpegError):  # the last frame is incomplete
        recorded = 0
        for _ in video.decode(video=0):
            recorded += 1
    assert 0 < recorded < summary["frames"]  # the run continued
