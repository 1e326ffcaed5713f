"""The webcam command in a real window, under Xvfb, with key presses by xdotool."""

import ctypes
import ctypes.util
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from livestyle.frame import Image
from livestyle.networks import ARCHITECTURES
from livestyle.networks.torch_ops import TransformerNetwork
from livestyle.style_files.file_format import write_style_file

TOOLS = ("Xvfb", "xdotool")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")

STYLES = ["aaa1", "aaa2", "aaa3"]  # sorted before all installed styles
MIDDLE = np.s_[60:290, 40:560]  # of the window: without overlay text and mouse pointer
TOP = np.s_[:16, :400]  # the status line
PATIENCE_SECONDS = 60
AT_ONCE_SECONDS = 4  # on a busy machine; shorter than the 5 s after which OpenCV gives up on a camera


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition is true; `what` describes it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"timeout: {what}"
        time.sleep(0.02)


class Display:
    """An X server that keeps its screen in a file."""

    def __init__(self, folder: Path) -> None:
        reader, writer = os.pipe()
        words = ["Xvfb", "-displayfd", str(writer), "-fbdir", str(folder)]
        words += ["-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
        self.server = subprocess.Popen(words, pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        with os.fdopen(reader) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        self.environment = os.environ | {"DISPLAY": f":{number}"}
        self._file = folder / "Xvfb_screen0"

    def look(self) -> Image:
        """The screen, (600, 800, 3) RGB."""
        data = self._file.read_bytes()  # xwd format: a header, a colour table, pixels as blue, green, red, unused
        header = struct.unpack(">25I", data[:100])
        width, height, line, colors = header[4], header[5], header[12], header[19]
        pixels = np.frombuffer(data, np.uint8, line * height, header[0] + 12 * colors)
        return np.ascontiguousarray(pixels.reshape(height, line)[:, : width * 4].reshape(height, width, 4)[:, :, 2::-1])

    def xdotool(self, *words: str) -> str:
        result = subprocess.run(["xdotool", *words], env=self.environment, capture_output=True, text=True, check=False)
        return result.stdout.strip()

    def close(self) -> None:
        self.server.terminate()
        self.server.wait()


@pytest.fixture(scope="module")
def display(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    display = Display(tmp_path_factory.mktemp("screen"))
    yield display
    display.close()


class Webcam:
    """The running command, with its keyboard and its window."""

    def __init__(self, display: Display, folder: Path, *words: str) -> None:
        self.display, self.folder = display, folder
        command = [sys.executable, "-m", "livestyle", "webcam", "--style", STYLES[0], "--json", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=display.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.window = ""
        until(self._find_window, "the window is open")
        display.xdotool("windowfocus", "--sync", self.window)
        until(lambda: display.look()[MIDDLE].any(), "the window shows a picture")

    def _find_window(self) -> str:
        assert self.process.poll() is None, self.process.communicate()
        self.window = self.display.xdotool("search", "--name", "^livestyle: ").split("\n")[-1]
        return self.window

    def press(self, key: str) -> None:
        self.display.xdotool("key", key)

    def drag(self, begin: int, end: int) -> None:
        """Move the mouse horizontally, in pixels of the window, with the left button pressed."""
        for words in (["mousemove", str(begin), "100"], ["mousedown", "1"], ["mousemove", str(end), "100"], ["mouseup", "1"]):
            self.display.xdotool(*words)
        self.display.xdotool("mousemove", "700", "500")  # the pointer is outside of the window

    def title(self) -> str:
        return self.display.xdotool("getwindowname", self.window)

    def pick(self, key: str, style: str) -> Image:
        """Press a key and wait until its style is shown. Returns the middle of the window; the camera's picture must be still."""
        before = self.display.look()
        self.press(key)
        until(lambda: self.title() == f"livestyle: {style}", f"the title shows {style}")
        until(lambda: not np.array_equal(self.display.look()[MIDDLE], before[MIDDLE]), "the picture changes")
        return self.settled()

    def settled(self) -> Image:
        """The middle of the window, after it has been equal in two screenshots some frames apart."""
        looks = [self.display.look()[MIDDLE]]

        def same() -> bool:
            time.sleep(0.2)
            looks.append(self.display.look()[MIDDLE])
            return np.array_equal(looks[-1], looks[-2])

        until(same, "the picture is still")
        return looks[-1]

    def end(self) -> dict[str, object]:
        """Wait for the end. Returns the summary."""
        output, errors = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, errors
        assert "Traceback" not in errors
        *live, summary = map(json.loads, output.splitlines())
        assert all(set(line) == {"live"} for line in live)
        assert isinstance(summary, dict)
        return summary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three untrained styles, and a video whose frames are all equal, to use as a camera."""
    torch.manual_seed(5)
    network = TransformerNetwork(ARCHITECTURES["lite"])
    for name in STYLES:
        rows = network.plain_rows() + torch.randn(2, network.architecture.row_length) * 0.3
        path = tmp_path / "models" / f"{name}.safetensors"
        write_style_file(path, network.body(), rows.numpy(), {}, include_body=name == STYLES[0])
    y, x = np.mgrid[0:96, 0:160]
    scene = np.stack([x * 255 / 160, y * 255 / 96, (x // 16 + y // 16) % 2 * 200], axis=-1).astype(np.uint8)
    with av.open(str(tmp_path / "still.mp4"), "w") as output:
        # intra-coded and lossless: all frames decode to the same picture
        stream = output.add_stream("libx264", rate=10, options={"crf": "0", "preset": "ultrafast", "g": "1"})
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for _ in range(10 * 120):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(scene)))
        output.mux(stream.encode(None))
    return tmp_path


@pytest.fixture
def start(display: Display, folder: Path) -> Iterator[Callable[..., Webcam]]:
    started = []

    def begin(*words: str) -> Webcam:
        started.append(Webcam(display, folder, *words))
        return started[-1]

    yield begin
    for webcam in started:
        webcam.process.kill()
        webcam.process.communicate()


def test_keys_change_the_look_and_save_files(start: Callable[..., Webcam], display: Display, folder: Path) -> None:
    webcam = start("--camera", "still.mp4", "--fade", "0")
    first = webcam.settled()
    assert webcam.title() == "livestyle: aaa1"

    # the last 8 bits of their codes equal those of q, r, s and others
    for key in ("Left", "Up", "Right", "F1", "F2", "Shift_L", "Cyrillic_shorti", "KP_Left", "Num_Lock", "Num_Lock"):
        webcam.press(key)

    second = webcam.pick("2", "aaa2")
    third = webcam.pick("n", "aaa3")
    assert not np.array_equal(second, third)
    assert np.array_equal(webcam.pick("p", "aaa2"), second)
    assert np.array_equal(webcam.pick("1", "aaa1"), first)

    webcam.press("minus")
    until(lambda: not np.array_equal(display.look()[MIDDLE], first), "the painting is weaker")
    webcam.press("plus")
    until(lambda: np.array_equal(display.look()[MIDDLE], first), "the painting has full strength")
    webcam.press("c")
    until(lambda: not np.array_equal(display.look()[MIDDLE], first), "the colours are the photo's")
    webcam.press("c")
    until(lambda: np.array_equal(display.look()[MIDDLE], first), "the colours are the painting's")
    until(lambda: (display.look()[TOP].max(axis=2) > 200).any(), "the status is written in white")
    dark = display.look()[TOP].mean()
    webcam.press("h")
    until(lambda: display.look()[TOP].mean() > 1.5 * dark, "the status and its dark background are hidden")
    webcam.press("h")
    until(lambda: display.look()[TOP].mean() < 1.2 * dark, "the status is shown again")
    webcam.press("question")
    until(lambda: display.look()[MIDDLE].mean() < first.mean() / 2, "the help page is shown")
    webcam.press("question")
    until(lambda: np.array_equal(display.look()[MIDDLE], first), "the help page is hidden")

    webcam.press("r")
    partial = folder / "webcam-001.partial.mp4"
    until(lambda: partial.exists() and partial.stat().st_size > 5000, "the recording has data")
    webcam.press("s")
    until((folder / "webcam-001.png").exists, "the picture is saved")
    webcam.press("r")
    until((folder / "webcam-001.mp4").exists, "the recording is complete")
    webcam.press("q")
    summary = webcam.end()

    assert summary["recordings"] == ["webcam-001.mp4"]
    assert summary["pictures"] == ["webcam-001.png"]
    assert not partial.exists()
    # without the overlay: the saved picture equals what the window showed, and the recording is similar to it
    read = cv2.imread(str(folder / "webcam-001.png"))
    assert read is not None
    saved = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
    assert saved.shape == (96, 160, 3)
    enlarged = cv2.resize(saved, (600, 360), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(enlarged[MIDDLE], first)
    with av.open(str(folder / "webcam-001.mp4")) as video:
        recorded = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(recorded) > 1
    for image in recorded:
        # in blocks of 8x8, as 4:2:0 video has one colour for four pixels; a dark background of text would change some by 80
        assert np.abs(blocks(image) - blocks(saved)).max() < 16


def blocks(image: NDArray[Any]) -> NDArray[Any]:
    """The mean colours of 8x8 pixels."""
    return np.asarray(cv2.resize(image.astype(np.float32), (20, 12), interpolation=cv2.INTER_AREA))


def test_the_mouse_drags_the_divider_between_photo_and_painting(start: Callable[..., Webcam], display: Display) -> None:
    webcam = start("--camera", "still.mp4")
    webcam.settled()
    rows = np.s_[150:290]  # of the window, which is 600 pixels wide

    def columns(begin: int, end: int) -> Image:
        return display.look()[rows, begin:end]

    painting = columns(40, 560)
    webcam.press("v")
    until(lambda: not np.array_equal(columns(40, 290), painting[:, :250]), "the left half shows the photo")
    assert np.array_equal(columns(310, 560), painting[:, 270:])
    assert (columns(300, 301) == 255).all()
    photo = columns(40, 290)
    webcam.drag(300, 180)
    until(lambda: np.array_equal(columns(190, 560), painting[:, 150:]), "the divider is further to the left")
    assert np.array_equal(columns(40, 170), photo[:, :130])
    webcam.drag(180, 440)
    until(lambda: np.array_equal(columns(40, 290), photo), "the divider is further to the right")
    assert not np.array_equal(columns(330, 430), painting[:, 290:390])
    assert np.array_equal(columns(450, 560), painting[:, 410:])
    webcam.press("v")
    until(lambda: np.array_equal(columns(40, 560), painting), "only the painting is shown")


def test_arrow_keys_shift_the_blend(start: Callable[..., Webcam], display: Display) -> None:
    webcam = start("--camera", "still.mp4", "--fade", "0")
    webcam.settled()
    webcam.press("2")
    until(lambda: webcam.title() == "livestyle: aaa2", "the style has changed")
    webcam.press("b")
    until(lambda: webcam.title() == "livestyle: aaa1:0.5,aaa2:0.5", "the styles are blended")
    webcam.press("Left")
    until(lambda: webcam.title() == "livestyle: aaa1:0.6,aaa2:0.4", "the blend is shifted")
    webcam.press("Right")
    until(lambda: webcam.title() == "livestyle: aaa1:0.5,aaa2:0.5", "the blend is shifted back")


def test_pause_holds_the_frame_and_escape_quits(start: Callable[..., Webcam], display: Display) -> None:
    webcam = start("--camera", "demo", "--size", "160x96", "--mirror", "--fade", "0", "--no-skip")
    still = display.look()[MIDDLE]
    until(lambda: not np.array_equal(display.look()[MIDDLE], still), "the scene moves")
    webcam.press("space")
    held = webcam.settled()
    webcam.press("f")
    webcam.press("f")
    changed = webcam.pick("2", "aaa2")
    assert not np.array_equal(changed, held)
    assert np.array_equal(webcam.pick("1", "aaa1"), held)
    webcam.press("space")
    until(lambda: not np.array_equal(display.look()[MIDDLE], held), "the scene moves again")
    webcam.press("Escape")
    assert webcam.end()["recordings"] == []


def test_close_button_ends_the_run(start: Callable[..., Webcam], display: Display) -> None:
    library = ctypes.util.find_library("X11")
    if library is None:
        pytest.skip("needs libX11 to press the close button without a window manager")
    webcam = start("--camera", "demo", "--size", "160x96", "--record", "out.mp4")
    press_close_button(library, display.environment["DISPLAY"], int(webcam.window))
    assert webcam.end()["recordings"] == ["out.mp4"]
    assert (webcam.folder / "out.mp4").exists()


def test_lost_display_completes_the_recording(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    display = Display(tmp_path_factory.mktemp("lost-display"))
    try:
        webcam = Webcam(display, folder, "--camera", "demo", "--size", "160x96", "--record", "out.mp4")
        until(lambda: (folder / "out.partial.mp4").stat().st_size > 5000, "the recording has data")
    finally:
        display.server.kill()
        display.server.wait()
    output, errors = webcam.process.communicate(timeout=PATIENCE_SECONDS)
    assert webcam.process.returncode == 1, errors
    assert "livestyle: the connection to the display was lost" in errors
    summary = json.loads(output.splitlines()[-1])
    assert (summary["recordings"], summary["kept"]) == (["out.mp4"], [])
    with av.open(str(folder / "out.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 5
    assert not list(folder.glob("*partial*"))


def test_window_opens_before_the_camera(display: Display, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts connections and never answers
        words = ["webcam", "--camera", f"http://127.0.0.1:{server.getsockname()[1]}/", "--style", STYLES[0], "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "livestyle", *words], cwd=folder, env=display.environment, stdout=subprocess.PIPE, text=True
        )
        try:
            until(lambda: display.xdotool("search", "--name", "^livestyle: loading$"), "the window is open")
            display.xdotool("windowfocus", "--sync", display.xdotool("search", "--name", "^livestyle: loading$").split("\n")[-1])
            until(lambda: (display.look()[TOP].max(axis=2) > 200).any(), "the window shows what is loading")
            pressed_at = time.monotonic()
            display.xdotool("key", "q")
            output, _ = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert time.monotonic() - pressed_at < AT_ONCE_SECONDS
    assert process.returncode == 0
    assert json.loads(output.splitlines()[-1])["frames"] == 0


def test_window_responds_while_the_camera_has_stalled(start: Callable[..., Webcam], display: Display) -> None:
    stall = threading.Event()
    with camera_that_stalls(stall) as address:
        webcam = start("--camera", address)
        stall.set()
        before = webcam.settled()
        webcam.press("question")
        until(lambda: display.look()[MIDDLE].mean() < before.mean() / 2, "the help page is shown")
        webcam.press("q")
        assert webcam.end()["errors"] == []


@contextmanager
def camera_that_stalls(stall: threading.Event) -> Iterator[str]:
    """The address of a camera that sends equal frames until `stall` is set, and then nothing."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
            self.end_headers()
            data = cv2.imencode(".jpg", np.full((96, 160, 3), 200, np.uint8))[1].tobytes()
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            while not stall.wait(0.03):
                self.wfile.write(head.encode() + data + b"\r\n")
            ended.wait(PATIENCE_SECONDS)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            stall.set()
            ended.set()
            server.shutdown()
            thread.join()


def press_close_button(library: str, display: str, window: int) -> None:
    """Send WM_DELETE_WINDOW, as a window manager does."""
    x11 = ctypes.CDLL(library)
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    connection = ctypes.c_void_p(x11.XOpenDisplay(display.encode()))
    protocols, delete = (x11.XInternAtom(connection, name, False) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))

    class ClientMessage(ctypes.Structure):
        _fields_ = (
            ("type", ctypes.c_int),
            ("serial", ctypes.c_ulong),
            ("send_event", ctypes.c_int),
            ("display", ctypes.c_void_p),
            ("window", ctypes.c_ulong),
            ("message_type", ctypes.c_ulong),
            ("format", ctypes.c_int),
            ("data", ctypes.c_long * 5),
            ("padding", ctypes.c_long * 24),  # to the size of an XEvent
        )

    event = ClientMessage(33, 0, 1, connection, window, protocols, 32, (delete, 0))
    x11.XSendEvent(connection, ctypes.c_ulong(window), False, 0, ctypes.byref(event))
    x11.XCloseDisplay(connection)


def test_window_can_be_opened_again_and_closed_twice(display: Display) -> None:
    """In its own process, as this one may have no display."""
    program = """
from fractions import Fraction
from livestyle.sinks.window import Window
import numpy as np
from livestyle.frame import Frame
frame = Frame(np.zeros((9, 16, 3), np.uint8), Fraction(0))
for _ in range(2):
    window = Window("livestyle", 16, 9)
    window.write(frame)
    window.key()
    assert window.is_open
    window.toggle_full_screen()
    window.write(frame)
    window.close()
    window.close()
    assert not window.is_open
print("done")
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=display.environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout == "done\n", result.stderr


def test_training_preview_shows_the_painting(display: Display, tmp_path: Path) -> None:
    words = ["-c", "demo", "--steps", "100000", "--preview", "window", "--device", "cpu", "--model-path", "models"]
    command = [sys.executable, "-m", "livestyle", "train", *words]
    process = subprocess.Popen(command, cwd=tmp_path, env=display.environment, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: display.xdotool("search", "--name", "^livestyle train") or process.poll(), "the window is open")
        assert process.poll() is None, process.communicate()
        until(lambda: len(np.unique(display.look().reshape(-1, 3), axis=0)) > 1000, "the window shows a picture")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert (tmp_path / "models/demo.lite.safetensors").exists()
