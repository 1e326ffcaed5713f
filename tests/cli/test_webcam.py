"""The webcam command without a window: cameras, files and the scene as cameras, recordings, and what goes wrong."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from livestyle.cli import main
from livestyle.cli.session import KEYS, Meter, Recorder, Session, free_path, help_lines, written_to_free_path
from livestyle.cli.webcam import webcam
from livestyle.errors import DeviceError, InputError, LivestyleError, OutputError, hide_passwords
from livestyle.frame import Frame, StreamInfo
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.output_file import OutputFile, write_whole
from livestyle.sinks.window import NoWindow, Overlay, check_display, draw, fit, key_name
from livestyle.sources.camera import Camera
from livestyle.sources.demo import DemoScene
from livestyle.sources.live import Mirrored, Paced, Pausable
from livestyle.style_files.file_format import write_style_file
from livestyle.style_files.gallery import Gallery
from livestyle.stylizer import Stylizer

STYLES = ["aaa1", "aaa2", "aaa3"]
PATIENCE_SECONDS = 60  # after which something that is waited for has hung
AT_ONCE_SECONDS = 4  # on a busy machine; OpenCV gives a camera up after 5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three styles that no training made, and no display."""
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


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# the command


def test_records_without_a_display(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--camera", "demo", "--size", "64x36", "--record", "out.mp4", "--seconds", "0.5", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    times, images = read_video(folder / "out.mp4")
    assert times[0] == 0
    assert all(time < Fraction(1, 2) for time in times)
    assert images[0].shape == (36, 64, 3)
    assert summary["frames"] == len(images)
    assert summary["recordings"] == ["out.mp4"]
    assert threads() == []


def test_a_video_file_is_a_camera(folder: Path, make_clip: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    clip = make_clip(ticks=range(5))
    assert run("--camera", str(clip), "--strength", "0", "--mirror", "--record", "out.mp4", "--json") == 0
    assert json.loads(capsys.readouterr().out)["frames"] >= 1
    _, images = read_video(folder / "out.mp4")
    _, originals = read_video(clip)
    assert np.abs(images[0][:, ::-1].astype(int) - originals[0]).mean() < 6  # strength 0 is the photo


def test_does_not_overwrite_a_recording(folder: Path) -> None:
    (folder / "out.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        run("--camera", "demo", "--record", "out.mp4", "-n")
    assert (folder / "out.mp4").read_bytes() == b"mine"


def test_a_failure_leaves_no_thread_and_no_file(folder: Path, make_clip: Callable[..., Path]) -> None:
    with pytest.raises(OutputError):
        run("--camera", "demo", "--size", "64x36", "--record", "nowhere/out.mp4")
    with pytest.raises(LivestyleError):
        run("--camera", "demo", "--size", "64x36", "--record", "out.mp4", "--style", "no such style")
    assert threads() == []
    assert sorted(path.name for path in folder.iterdir()) == ["models"]


def test_no_camera_says_what_there_is(folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"cannot open camera /dev/no-camera; .*found") as caught:
        run("--camera", "/dev/no-camera", "--record", "out.mp4")
    assert caught.value.advice == "to try livestyle without a camera, use --camera demo"


def test_no_display_names_record(folder: Path) -> None:
    with pytest.raises(DeviceError, match=r"no display .*--record"):
        run("--camera", "demo")


@pytest.mark.skipif(sys.platform != "linux", reason="only there a display can be missing so")
def test_a_dead_display_is_no_crash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    with pytest.raises(DeviceError, match=r"display cannot be used .*recorded without"):
        check_display()


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/a.mp4", "concat://a"])
def test_other_urls_are_refused(folder: Path, url: str) -> None:
    with pytest.raises(InputError, match="rtsp, rtsps, http, https"):
        run("--camera", url, "--record", "out.mp4")


def test_a_playlist_is_refused(folder: Path) -> None:
    (folder / "a.mp4").write_text("#EXTM3U\n#EXTINF:1,\nother.ts\n")
    with pytest.raises(InputError, match="playlist"):
        run("--camera", "a.mp4", "--record", "out.mp4")


def test_a_url_where_nobody_answers(folder: Path) -> None:
    with pytest.raises(InputError, match="no answer"):
        Camera("http://127.0.0.1:9/camera")


@pytest.fixture
def stall() -> threading.Event:
    """To be set when the server of /stall shall give no more pictures."""
    return threading.Event()


@pytest.fixture
def served(tmp_path: Path, stall: threading.Event) -> Iterator[str]:
    """The address of a server that gives the files of the folder, and pictures of a camera.

    /live: five; the connection then ends. /stall: pictures until `stall`, and then nothing.
    /turned: 20, the last ten portrait. /mute: no answer at all.
    """
    ended = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/mute":
                ended.wait(PATIENCE_SECONDS)
            elif self.path in ("/live", "/stall", "/turned"):
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
                self.end_headers()
                for number in range(5 if self.path == "/live" else 20 if self.path == "/turned" else 1000):
                    if self.path == "/stall" and stall.wait(0.03):
                        ended.wait(PATIENCE_SECONDS)
                        break
                    self.send_picture(number, turned=self.path == "/turned" and number >= 10)
            else:
                super().do_GET()

        def send_picture(self, number: int, turned: bool) -> None:
            size = (64, 48) if turned else (48, 64)
            _, data = cv2.imencode(".jpg", np.full((*size, 3), (0, 0, 50 * number % 256), np.uint8))  # red
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data.tobytes() + b"\r\n")

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        ended.set()
        server.shutdown()
        thread.join()


def test_a_stream_is_a_camera_until_it_stops(served: str) -> None:
    clock = Clock()
    camera = Camera(f"{served}/live", size=lambda width, height: (width // 2, height // 2), clock=clock, sleep=clock.sleep)
    assert (camera.info.width, camera.info.height, camera.info.live) == (32, 24, True)
    clock.now += 2
    reds = []
    for _ in range(4):
        frame = camera.read()
        assert frame is not None
        assert frame.captured_at == 102
        assert frame.pts_seconds == 0  # the clock stands still
        assert frame.image.shape == (24, 32, 3)
        assert frame.image[..., 2].mean() < 10
        reds.append(round(frame.image[..., 0].mean() / 50))
    with pytest.raises(DeviceError, match="has stopped giving pictures"):
        camera.read()
    assert reds == [1, 2, 3, 4]  # the first was looked at for its size
    assert clock.now > 102 + 5
    camera.close()


def test_a_file_behind_a_url_has_its_own_times(served: str, make_clip: Callable[..., Path]) -> None:
    make_clip(ticks=[0, 1, 2, 5])
    camera = Camera(f"{served}/clip.mp4")
    frames = [camera.read() for _ in range(5)]
    assert [frame and frame.pts_seconds for frame in frames] == [0, Fraction(1, 10), Fraction(1, 5), Fraction(1, 2), None]
    assert not camera.info.live
    assert camera.info.frame_count == 4
    camera.close()


def test_the_film_before_the_camera_is_not_recorded_over(folder: Path, make_clip: Callable[..., Path]) -> None:
    clip = make_clip()
    before = clip.read_bytes()
    with pytest.raises(OutputError, match="input itself"):
        run("--camera", str(clip), "--record", str(clip), "-y")
    assert clip.read_bytes() == before


class Process:
    """The command in a process of its own, recording to out.mp4."""

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
        """What it then prints, to stdout and to stderr."""
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


def test_ctrl_c_while_the_camera_stalls(folder: Path, begin: Callable[..., Process], served: str, stall: threading.Event) -> None:
    process = begin("--camera", f"{served}/stall", "--json")
    process.until(lambda: size_of(folder / "out.partial.mp4") > 0)
    stall.set()
    pressed_at = time.monotonic()
    out, _ = process.interrupt()
    assert time.monotonic() - pressed_at < AT_ONCE_SECONDS
    summary = json.loads(out)
    assert summary["captured"] == summary["frames"] + summary["dropped"] + summary["failed"] > 1
    assert len(read_video(folder / "out.mp4")[0]) == summary["frames"]


def test_ctrl_c_while_the_camera_is_opened(folder: Path, begin: Callable[..., Process], served: str) -> None:
    process = begin("--camera", f"{served}/mute", "--json")
    assert process.process.stderr is not None
    assert "recording without a window" in process.process.stderr.readline()
    time.sleep(0.5)  # the request is on its way then, or will be made in vain
    pressed_at = time.monotonic()
    out, _ = process.interrupt()
    assert time.monotonic() - pressed_at < AT_ONCE_SECONDS
    assert json.loads(out)["frames"] == 0
    assert not list(folder.glob("out*"))


def test_a_camera_that_is_lost_ends_the_recording_well(
    folder: Path, served: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livestyle.sources.camera.PATIENCE_SECONDS", 0.2)
    address = f"{served}/live".replace("//", "//someone:mysecret@")
    assert run("--camera", address, "--record", "out.mp4", "--json") == 1
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert summary["recordings"] == ["out.mp4"]
    assert summary["captured"] == summary["frames"] + summary["dropped"] == 4  # one was looked at for its size
    assert len(read_video(folder / "out.mp4")[0]) == summary["frames"] > 0
    assert summary["errors"] == [line.removeprefix("livestyle: ") for line in err.splitlines()]
    assert "someone:***@127" in err
    assert "has stopped giving pictures" in err
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


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("rtsp://me:pw@host:554/a", "rtsp://me:***@host:554/a"),
        ("rtsp://me:p/w@x@host/a?b", "rtsp://me:***@host/a?b"),
        ("open http://:pw@host, then wait", "open http://:***@host, then wait"),
        ("http://h/v?user=me&Password=a%20b&size=1#top", "http://h/v?user=me&Password=***&size=1#top"),
        ("http://h:80/v?access_token=abc", "http://h:80/v?access_token=***"),
        ("http://h:80/v?size=1", "http://h:80/v?size=1"),
        ("a:b@c is no URL", "a:b@c is no URL"),
    ],
)
def test_hide_passwords(text: str, hidden: str) -> None:
    assert hide_passwords(text) == hidden


FULL_DISK = """
import resource, sys
import cv2
from livestyle.cli import main

resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, resource.RLIM_INFINITY))  # no room left, as far as this process sees
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_full_disk_ends_the_recording_alone(folder: Path, make_clip: Callable[..., Path], name: str) -> None:
    rng = np.random.default_rng(0)

    def noise(number: int) -> av.VideoFrame:
        return av.VideoFrame.from_ndarray(rng.integers(0, 256, (96, 128, 3), np.uint8)).reformat(format="yuv420p")

    clip = make_clip(ticks=range(12), size=(128, 96), images=noise)
    words = ["webcam", "--camera", str(clip), "--style", STYLES[0], "--strength", "0", "--record", name, "--json"]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    summary = json.loads(done.stdout)
    left = f"out.partial{Path(name).suffix}"
    assert (summary["recordings"], summary["kept"]) == ([], [left])
    assert len(summary["errors"]) == 1
    assert summary["errors"][0].startswith(f"the recording has stopped: cannot write {name}: ")
    assert summary["errors"][0].endswith(f" are in {left}")
    assert f"livestyle: {summary['errors'][0]}" in done.stderr
    assert not (folder / name).exists()
    with av.open(left) as video, contextlib.suppress(av.FFmpegError):  # the last one was cut
        recorded = 0
        for _ in video.decode(video=0):
            recorded += 1
    assert 0 < recorded < summary["frames"]  # the show went on


# what the keys do


@pytest.fixture
def stylizer(folder: Path) -> Stylizer:
    return Stylizer(STYLES[0], "lite", "cpu", gallery=Gallery([folder / "models"]))


class Person:
    """Before a session, with all its parts."""

    def __init__(self, stylizer: Stylizer, folder: Path) -> None:
        self.clock = Clock()
        self.stylizer = stylizer
        self.source = Pausable(Paced(DemoScene(48, 32, rate=10), self.clock, self.clock.sleep))
        self.screen = NoWindow()
        self.recorder = Recorder(self.source.info)
        self.session = Session(stylizer, stylizer.load_all(), self.source, self.screen, self.recorder, folder, self.clock)

    def see(self, count: int = 1) -> Frame:
        """So many frames, painted and taken; the last one."""
        for _ in range(count):
            frame = self.source.read()
            assert frame is not None
            painted = Frame(self.stylizer(frame.image), frame.pts_seconds, frame.captured_at)
            self.session.take(painted)
        return painted

    def press(self, *keys: str) -> Overlay:
        """Press keys, see a frame; what is written over it."""
        for key in keys:
            self.session.press(key)
        self.see()
        return self.screen.overlay


@pytest.fixture
def person(stylizer: Stylizer, tmp_path: Path) -> Person:
    return Person(stylizer, tmp_path)


def test_keys_pick_the_style(person: Person) -> None:
    styles = []
    for key in ("2", "n", "n", "p", "1", "9"):
        assert person.press(key).status.startswith(str(person.stylizer.style))
        styles.append(person.stylizer.style)
    assert styles == ["aaa2", "aaa3", "aaa1", "aaa3", "aaa1", "aaa1"]
    assert person.screen.overlay.message == "there are 3 styles"
    assert person.screen.title == "livestyle: aaa1"


def test_next_after_a_blend(person: Person) -> None:
    person.stylizer.style = {"aaa1": 0.5, "aaa2": 0.5}
    person.press("n")
    assert person.screen.title == "livestyle: aaa1"
    person.stylizer.style = "aaa1:.5,aaa2:.5"
    person.press("p")
    assert person.screen.title == "livestyle: aaa3"


def test_keys_change_strength_and_colours(person: Person) -> None:
    assert "strength 80%" in person.press("-", "-").status
    assert "strength" not in person.press("+", "+", "+").status
    assert person.stylizer.strength == 1
    assert "photo's colours" in person.press("c").status
    assert "photo's colours" not in person.press("c").status
    for _ in range(12):
        person.press("-")
    assert person.stylizer.strength == 0


def test_a_pause_holds_the_picture_and_not_the_style(person: Person) -> None:
    before = person.see()
    assert "paused" in person.press("space").status
    assert np.array_equal(person.see().image, before.image)
    person.press("2")
    assert not np.array_equal(person.see().image, before.image)
    person.press("1")
    assert np.array_equal(person.see().image, before.image)
    person.press("space")
    assert not np.array_equal(person.see().image, before.image)


def test_nothing_of_a_pause_is_recorded(person: Person, tmp_path: Path) -> None:
    person.see(3)
    assert person.press("r").recording == "0:00"
    person.see(3)
    person.press("space")
    person.see(10)
    person.press("space")
    person.see(2)
    person.press("r")
    times, _ = read_video(tmp_path / "webcam-001.mp4")
    assert times == [Fraction(number, 10) for number in range(7)]  # 1 + 3, then 1 + 2, a tenth apart
    assert person.recorder.seconds == pytest.approx(0.6)


def test_recordings_and_pictures_are_numbered(person: Person, tmp_path: Path) -> None:
    (tmp_path / "webcam-001.png").write_bytes(b"mine")
    (tmp_path / "webcam-001.partial.mp4").write_bytes(b"of a run that was killed")
    person.see()
    person.press("s", "r")
    assert person.press("r", "s").message.endswith("webcam-003.png")
    assert (tmp_path / "webcam-001.png").read_bytes() == b"mine"
    assert [path.name for path in person.session.pictures] == ["webcam-002.png", "webcam-003.png"]
    assert [path.name for path in person.recorder.paths] == ["webcam-002.mp4"]
    assert free_path(tmp_path, "mp4").name == "webcam-003.mp4"


def test_a_name_that_another_run_takes_at_the_same_instant(person: Person, tmp_path: Path) -> None:
    theirs: list[OutputFile] = []

    def start(path: Path) -> None:
        if not theirs:
            theirs.append(OutputFile(path))  # after it was seen to be free
        person.recorder.start(path)

    assert written_to_free_path(tmp_path, "mp4", start).name == "webcam-002.mp4"
    assert [path.name for path in person.recorder.paths] == ["webcam-002.mp4"]
    theirs[0].discard()

    def write(path: Path) -> None:
        if not list(tmp_path.glob("*.png")):
            path.write_bytes(b"theirs")
        write_whole(path, b"mine", replace=False)

    assert written_to_free_path(tmp_path, "png", write).read_bytes() == b"mine"
    assert (tmp_path / "webcam-001.png").read_bytes() == b"theirs"


def test_what_cannot_be_written_is_told_and_no_end(person: Person, tmp_path: Path) -> None:
    person.see()
    person.session._folder = tmp_path / "nowhere"
    assert "cannot write" in person.press("s").message
    assert "cannot write" in person.press("r").message
    assert person.recorder.paths == []
    assert not person.recorder.is_on
    assert len(person.session.errors) == 2  # and in the exit code


def test_a_recording_whose_folder_is_removed_ends_alone(person: Person, tmp_path: Path) -> None:
    person.session._folder = tmp_path / "gone"
    person.session._folder.mkdir()
    person.press("r")
    shutil.rmtree(person.session._folder)
    person.see(3)
    assert "the recording has stopped" in person.screen.overlay.message
    assert person.screen.overlay.recording == ""
    assert person.recorder.paths == person.recorder.kept == []
    person.session._folder = tmp_path
    person.see()
    person.press("r")  # the next one is not concerned
    person.see(3)
    person.session.finish()
    assert [path.name for path in person.recorder.paths] == ["webcam-001.mp4"]
    assert len(person.session.errors) == 1


def test_a_recorder_that_breaks_ends_the_recording_alone(person: Person, tmp_path: Path) -> None:
    person.see()
    person.press("r")
    odd = Frame(np.zeros((8, 8, 3), np.uint8), Fraction(1000))
    person.session.take(odd)  # not of the recording's size
    assert person.session.errors[0].startswith("the recording has stopped: ")
    assert person.recorder.kept == [tmp_path / "webcam-001.partial.mp4"]
    assert len(read_video(person.recorder.kept[0])[0]) == 1
    assert not person.recorder.is_on


def test_a_stall_is_said(person: Person) -> None:
    assert "no picture" not in person.press("").status
    person.clock.now += 3
    assert "no picture for 3 s" in person.session._overlay().status
    assert "no picture" not in person.press("").status


def test_the_status_can_be_hidden(person: Person) -> None:
    assert person.press("i").status == ""
    assert person.press("r").recording == "0:00"
    assert person.press("i").status
    person.session.finish()


def test_r_twice_before_a_frame_leaves_nothing(person: Person, tmp_path: Path) -> None:
    person.session.press("r")
    assert person.press("r").message == "nothing was recorded"
    assert list(tmp_path.glob("webcam*")) == []


def test_help_shows_every_key(person: Person) -> None:
    page = person.press("h").page
    assert all(line in page for line in help_lines())
    assert any("2 aaa2" in line for line in page)
    assert person.press("h").page == ()


def test_each_key_means_one_thing() -> None:
    keys = [key for entry in KEYS for key in entry.keys]
    assert len(keys) == len(set(keys))
    assert set("123456789npcsrfhq+-") | {"space", "esc"} <= set(keys)


# parts


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-1, ""),
        (ord("q"), "q"),
        (ord("Q"), "q"),
        (0x100000 + ord("r"), "r"),  # GTK's, with NumLock
        (0x20000 + ord("R"), "r"),  # with CapsLock
        (27, "esc"),
        (32, "space"),
        (ord("+"), "+"),
        (0xFFAB, "+"),  # the keypad's, with GTK
        (0x10FFB7, "7"),
        (0xFF51, ""),  # Left, whose last 8 bits are Q
        (0xFF52, ""),
        (0xFFC9, ""),
        (0x250000, ""),  # Left on Windows
        (0xF702, ""),  # and on macOS
        (0x6CA, ""),  # a Cyrillic letter
        (0xE9, ""),
        (9, ""),
        (127, ""),
        (-0x24, ""),
    ],
)
def test_key_names(code: int, name: str) -> None:
    assert key_name(code) == name


def test_pictures_that_change_their_size(served: str) -> None:
    camera = Camera(f"{served}/turned")
    shapes = {frame.image.shape for _ in range(19) if (frame := camera.read()) is not None}
    assert shapes == {(48, 64, 3)}
    camera.close()


def test_paced_gives_each_frame_at_its_time() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=1), clock, clock.sleep)
    frames = [source.read() for _ in range(4)]
    assert [frame.captured_at for frame in frames if frame] == [100.0, 100.25, 100.5, 100.75]
    assert source.read() is None
    assert source.info.live


def test_paced_does_not_wait_when_it_is_late() -> None:
    clock = Clock()
    source = Paced(DemoScene(16, 16, rate=4, seconds=2), clock, clock.sleep)
    source.read()
    clock.now += 0.6  # two frames are due by now
    shown = [frame.captured_at for frame in (source.read(), source.read(), source.read()) if frame]
    assert shown == pytest.approx([100.6, 100.6, 100.75])


def test_mirrored() -> None:
    plain, mirrored = DemoScene(32, 16).read(), Mirrored(DemoScene(32, 16)).read()
    assert plain is not None
    assert mirrored is not None
    assert np.array_equal(mirrored.image[:, ::-1], plain.image)
    assert mirrored.image.flags.c_contiguous


def test_meter() -> None:
    clock = Clock()
    meter = Meter(clock)
    assert (meter.fps, meter.mean_fps, meter.median_delay_ms) == (0, 0, None)
    for delay in (0.010, 0.050, 0.030):
        clock.now += 0.5
        meter.count(Frame(np.zeros((1, 1, 3), np.uint8), Fraction(0), captured_at=clock.now - delay))
    assert meter.fps == pytest.approx(2)
    assert meter.mean_fps == pytest.approx(2)
    assert meter.delay_ms == pytest.approx(30)
    assert meter.median_delay_ms == 30


def test_scene_moves_and_repeats_itself_exactly() -> None:
    one, two = DemoScene(64, 36, rate=2, seconds=2), DemoScene(64, 36, rate=4, seconds=2)
    slow, fast = [one.read() for _ in range(5)], [two.read() for _ in range(9)]
    assert slow[4] is None
    assert fast[8] is None
    for left, right in zip(slow[:4], fast[:8:2], strict=True):
        assert left is not None
        assert right is not None
        assert left.pts_seconds == right.pts_seconds
        assert np.array_equal(left.image, right.image)
    assert not np.array_equal(slow[0].image, slow[1].image)  # type: ignore[union-attr]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 200), (200, 33)])
def test_scene_at_any_size(size: tuple[int, int]) -> None:
    frame = DemoScene(*size).read()
    assert frame is not None
    assert frame.image.shape == (size[1], size[0], 3)


def test_fit_keeps_the_shape() -> None:
    canvas = fit(np.full((10, 20, 3), 200, np.uint8), 100, 100)
    assert canvas.shape == (100, 100, 3)
    assert (canvas[25:75] == 200).all()
    assert (canvas[:25] == 0).all()
    assert (canvas[75:] == 0).all()


@pytest.mark.parametrize("size", [(90, 160), (360, 640), (2160, 3840), (2, 2)])
def test_the_overlay_stays_in_its_lines(size: tuple[int, int]) -> None:
    canvas = np.full((*size, 3), 100, np.uint8)
    draw(canvas, Overlay(status="wave   30 fps   20 ms", recording="1:05", message="saved webcam-001.png"))
    middle = canvas[int(size[0] * 0.25) : int(size[0] * 0.75)]
    if size[0] > 2:
        assert (middle == 100).all()
        assert (canvas[:2, :2] < 100).all()
    draw(canvas, Overlay(page=help_lines()))


def test_a_recorder_that_never_started_is_quiet() -> None:
    recorder = Recorder(StreamInfo(8, 8))
    recorder.write(Frame(np.zeros((8, 8, 3), np.uint8), Fraction(0)))
    recorder.stop()
    assert recorder.paths == []
