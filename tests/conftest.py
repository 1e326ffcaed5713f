"""Fixtures for all tests: video clips, the command line, untrained styles, a server."""

import contextlib
import ctypes
import os
import signal
import struct
import subprocess
import sys
import threading

# on small pictures and shared cores, the threads of an operator spend more time waiting for each other than computing
os.environ.setdefault("OMP_NUM_THREADS", "1")

# without a GPU, Triton's kernels run in its interpreter
with contextlib.suppress(OSError):
    ctypes.CDLL("libcuda.so.1")
    os.environ.setdefault("TRITON_INTERPRET", "0")
os.environ.setdefault("TRITON_INTERPRET", "1")

import cv2  # before av: in the other order cv2.imshow hangs on Linux

from collections.abc import Callable, Iterator, Sequence  # isort: skip
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from livestyle.cli import main
from livestyle.frame import Image

# background jobs of a shell ignore Ctrl-C, and so would all child processes of the tests
signal.signal(signal.SIGINT, signal.default_int_handler)

PATIENCE_SECONDS = 60  # limit for requests that the server does not answer

Clip = Callable[..., Path]


def picture(number: int, width: int = 64, height: int = 48) -> Image:
    """Draw a smooth scene, (H, W, 3) uint8 RGB, darker for higher numbers."""
    y, x = np.mgrid[0:height, 0:width]
    scene = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=-1)
    return (scene * (1 - (number % 50) / 100)).astype(np.uint8)


@pytest.fixture
def make_clip(tmp_path: Path) -> Clip:
    """Function make_clip(name, ticks, time_base, ...): write a clip with a frame at each of the ticks. Returns its path."""

    def make(
        name: str = "clip.mp4",
        ticks: Sequence[int] = range(10),
        time_base: Fraction = Fraction(1, 10),
        *,
        rate: int = 10,
        size: tuple[int, int] = (64, 48),
        codec: str = "libx264",
        pix_fmt: str = "yuv420p",
        options: dict[str, str] | None = None,
        images: Callable[[int], av.VideoFrame] | None = None,
        sound: str | None = None,
        sound_seconds: tuple[float, float] = (0, 1),
        rotation: int = 0,
        flipped: bool = False,
        aspect: Fraction = Fraction(1),
        metadata: dict[str, str] | None = None,
        **tags: Any,
    ) -> Path:
        path = tmp_path / name
        exact = {"movie_timescale": "48000"} if path.suffix in (".mp4", ".mov") else {}
        with av.open(f"file:{path}", "w", container_options=exact) as output:
            video: Any = output.add_stream(codec, rate=rate, options=options or {})
            context = video.codec_context
            context.width, context.height, context.pix_fmt, context.time_base = *size, pix_fmt, time_base
            context.sample_aspect_ratio = aspect
            for tag, value in tags.items():
                setattr(context, tag, value)
            video.metadata.update(metadata or {})
            audio = output.add_stream(sound, rate=48_000) if sound else None
            output.start_encoding()
            packets: list[Any] = []
            for number, tick in enumerate(ticks):
                frame = images(number) if images else av.VideoFrame.from_ndarray(picture(number, *size)).reformat(format=pix_fmt)
                frame.pts, frame.time_base = tick, time_base
                packets += video.encode(frame)
            packets += video.encode(None)
            if audio is not None:
                packets += _sound(audio, *sound_seconds)
            for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
                output.mux(packet)
        if rotation or flipped:
            _turn(path, rotation, flipped)
        return path

    return make


def _turn(path: Path, degrees: int, flipped: bool) -> None:
    """Write a counter-clockwise rotation, and a flip, into the track header of an MP4 file. PyAV can do this only since 18."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 44
    x, y = {0: (1, 0), 90: (0, -1), 180: (-1, 0), -90: (0, 1)}[degrees]  # direction of a row after the rotation; y points down
    flip = -1 if flipped else 1
    for place, value in zip((0, 1, 3, 4), (flip * x, y, flip * -y, x), strict=True):
        struct.pack_into(">i", data, matrix + 4 * place, value << 16)
    path.write_bytes(data)


def _sound(audio: Any, start: float, end: float) -> list[Any]:
    """Encode a stereo tone from start to end, in seconds. Returns its packets."""
    context = audio.codec_context
    context.open(strict=False)
    step = context.frame_size or 1024
    packets: list[Any] = []
    for first in range(int(start * 48_000), int(end * 48_000), step):
        wave = np.sin(np.arange(first, first + step) * 0.05) * 0.3
        samples: Any = wave.astype(np.float32) if "flt" in context.format.name else (wave * 32_767).astype(np.int16)
        if "s32" in context.format.name:
            samples = samples.astype(np.int32) << 16
        rows: Any = np.stack([samples, samples]) if context.format.is_planar else np.repeat(samples, 2)[None]
        frame = av.AudioFrame.from_ndarray(rows, format=context.format.name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
        packets += audio.encode(frame)
    packets += audio.encode(None)
    return packets


@dataclass
class Result:
    """Result of a run of the command line: exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """stderr, which must be a single line."""
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err


@pytest.fixture(autouse=True)
def user_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder for the user's own styles, which does not exist yet; child processes use it too. The cache is empty as well."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "user-data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))
    return tmp_path / "user-data/livestyle/models"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Result]:
    """Function run("image", "photo.jpg", ...): run the command line in the folder `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115 (not a terminal)

    def call(*words: str | Path) -> Result:
        monkeypatch.setattr(sys, "argv", ["livestyle", *map(str, words)])
        code = main()
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def interrupt() -> Callable[..., tuple[str, str]]:
    """Function interrupt(process): wait for the first training step, send Ctrl-C, return the remaining stdout and stderr."""

    def press(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> tuple[str, str]:
        assert process.stderr is not None
        seen = ""
        while "total=" not in seen:  # the progress bar after the first step
            character = process.stderr.read(1)
            assert character, seen
            seen += character
        os.killpg(process.pid, number)  # as a terminal does: the data loader's processes get it too
        return process.communicate(timeout=120)

    return press


@pytest.fixture(scope="session")
def style_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of untrained styles; do not modify it. ash and birch share a lite body, coal has its own; ash has `full` too."""
    import torch

    from livestyle.networks import ARCHITECTURES
    from livestyle.networks.torch_ops import TransformerNetwork
    from livestyle.style_files.file_format import write_body_file, write_style_file

    folder = tmp_path_factory.mktemp("styles")
    torch.manual_seed(0)
    shared, own, full = (TransformerNetwork(ARCHITECTURES[name]) for name in ("lite", "lite", "full"))
    write_body_file(folder / "trees.lite-body.safetensors", shared.body(), {})
    for name, network, with_body in (("ash", shared, False), ("birch", shared, False), ("coal", own, True), ("ash", full, True)):
        rows = network.plain_rows() + 0.3 * torch.randn(2, network.architecture.row_length)
        path = folder / f"{name}.{network.architecture.name}.safetensors"
        info = {"origin": f"{name}, drawn at random"}
        write_style_file(path, network.body(), rows.numpy(), info, include_body=with_body)
    return folder


@pytest.fixture
def stall() -> threading.Event:
    """Event for the fixture `served`: once it is set, /stall sends no more frames."""
    return threading.Event()


@pytest.fixture
def served(tmp_path: Path, stall: threading.Event) -> Iterator[str]:
    """Address of an HTTP server for the files in `tmp_path`, and for MJPEG streams like those of network cameras.

    /live: five frames, then the connection ends. /stall: frames until `stall` is set, then nothing.
    /turned: 20 frames, the last ten in portrait format. /mute: never answers.
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
