"""A running server in a process of its own, and clients for it."""

import http.client
import importlib.util
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

# ruff: noqa: E402 (imports after the check for the extra)
for module in ("starlette", "uvicorn", "websockets", "cryptography", "prometheus_client", "segno"):
    pytest.importorskip(module, reason="the extra `serve` is not installed")

from conftest import picture
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from livestyle.frame import Image

PATIENCE_SECONDS = 60  # limit for what the server should do at once
DEVICE = "openvino" if importlib.util.find_spec("openvino") else "cpu"
STAMP = b"8 bytes."


# the process

PROGRAM = """
import json, sys
from pathlib import Path
from livestyle.server.limits import Limits
from livestyle.server.run import ServeJob, run_server
from livestyle.stylizer import Stylizer

job, stylizer = (json.loads(each) for each in sys.argv[1:])
if "certificate" in job:
    job["certificate"] = Path(job["certificate"])
job["limits"] = Limits(**job.get("limits", {}))
try:
    run_server(
        ServeJob(**job),
        lambda: Stylizer("wave", **stylizer),
        lambda address: print(json.dumps({"serving": vars(address)}), flush=True),
    )
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(job: dict[str, Any], folder: Path, stylizer: dict[str, Any] | None = None) -> "Server":
    """Start a server for a ServeJob. job: its fields, as JSON; "limits" is a mapping. stylizer: arguments of Stylizer."""
    job = {"host": "127.0.0.1", "port": 0, **job}
    stylizer = {"model": "lite", "device": DEVICE, **(stylizer or {})}
    return Server([sys.executable, "-P", "-c", PROGRAM, json.dumps(job), json.dumps(stylizer)], folder)


class Server:
    """A server process that prints its address as a line of JSON: a test's own, or `livestyle serve --json`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        environment = os.environ | {"XDG_DATA_HOME": str(folder / "data"), "XDG_CACHE_HOME": str(folder / "cache")}
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by `stop`; a pipe could fill up)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._stderr, text=True, env=environment)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.stderr()
        self.address = json.loads(line)["serving"]
        self.port, self.token = int(self.address["port"]), self.address["token"]
        self.link = self.address["links"][0]
        self.secure = self.link.startswith("https:")
        self.certificate: Path | None = None
        """The only certificate that clients trust; required if the server uses HTTPS."""

    def stderr(self) -> str:
        """What the process has written to stderr so far."""
        self._stderr.seek(0)
        return self._stderr.read()

    def stop(self) -> int:
        """Send Ctrl-C, if the process runs, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(2)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()

    def rest(self) -> str:
        """What the process has written to stdout since its address, once it has ended."""
        assert self.process.stdout is not None
        with self.process.stdout:
            return self.process.stdout.read()

    def open(self, secure: bool | None = None, buffer_bytes: int | None = None) -> socket.socket:
        """A connection to the server. secure: whether to use TLS. buffer_bytes: of the receiving socket, for slow readers."""
        connection = socket.socket()
        if buffer_bytes is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        connection.settimeout(PATIENCE_SECONDS)
        connection.connect(("127.0.0.1", self.port))
        if self.secure if secure is None else secure:
            return self.context().wrap_socket(connection, server_hostname="127.0.0.1")
        return connection

    def context(self) -> ssl.SSLContext:
        """TLS of a client that trusts the certificate of the server."""
        assert self.certificate is not None
        return ssl.create_default_context(cafile=self.certificate)

    def request(self, path: str, body: Any = None, method: str = "", **headers: str) -> "Reply":
        """Send a request with the token, if the server has one, and read the response. headers: underscores become dashes."""
        with self.opened(path, body, method, **headers) as response:
            return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    @contextmanager
    def opened(self, path: str, body: Any = None, method: str = "", **headers: str) -> Iterator[http.client.HTTPResponse]:
        """As `request`; the body of the response is not read."""
        client = http.client.HTTPConnection("127.0.0.1", self.port)
        client.sock = self.open()
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            client.request(method or ("GET" if body is None else "POST"), path, body, sent)
            with client.getresponse() as response:
                yield response
        finally:
            client.close()

    def figure(self, name: str) -> float:
        """A figure of /metrics."""
        lines = self.request("/metrics").body.decode().splitlines()
        return next(float(line.split()[-1]) for line in lines if line.rpartition(" ")[0] == name)


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Viewer:
    """A client of the WebSocket, as the page is one. hello: what the server sends first.

    first: further keys of the first message. buffer_bytes: of the receiving socket.
    """

    def __init__(self, server: Server, source: str = "camera", buffer_bytes: int | None = None, **first: Any) -> None:
        self.connection = open_websocket(server, buffer_bytes)
        token = {"token": server.token} if server.token else {}
        self.send(**{"source": source, **token, **first})
        self.hello = self.receive_json()
        self.session = self.hello["session"]

    def send(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def receive(self) -> str | bytes:
        return self.connection.recv(PATIENCE_SECONDS)

    def receive_json(self) -> Any:
        message = self.receive()
        assert isinstance(message, str), message[:100]
        return json.loads(message)

    def control(self, **settings: Any) -> Any:
        """Send a control message, and return the answer."""
        self.send(**settings)
        return self.receive_json()

    def send_frame(self, data: bytes = b"", stamp: bytes = STAMP) -> None:
        self.connection.send(stamp + data)

    def receive_painting(self, stamp: bytes = STAMP) -> Image:
        message = self.receive()
        assert isinstance(message, bytes), message
        assert message[:8] == stamp
        return decoded(message[12:])

    def paint(self, data: bytes = b"") -> Image:
        """Send a frame, and return its painting."""
        self.send_frame(data)
        return self.receive_painting()

    def close(self) -> None:
        self.connection.close()

    def vanish(self) -> None:
        """Close the connection without the closing handshake."""
        self.connection.socket.shutdown(socket.SHUT_RDWR)
        self.connection.socket.close()

    def closed(self) -> tuple[int, str]:
        """Wait until the server closes the connection, and return its code and reason."""
        return closed(self.connection)

    def __enter__(self) -> "Viewer":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_websocket(server: Server, buffer_bytes: int | None = None, **options: Any) -> ClientConnection:
    """Open a WebSocket, without a first message. options: of `connect`."""
    scheme = "wss" if server.secure else "ws"
    if server.secure:
        context = server.context()
        # the client reads and writes in two threads, and Python's TLS 1.3 then sometimes loses what is written
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        options |= {"ssl": context, "server_hostname": "127.0.0.1"}
    opening = connect(
        f"{scheme}://127.0.0.1:{server.port}/ws",
        sock=server.open(secure=False, buffer_bytes=buffer_bytes),
        compression=None,
        max_size=None,
        open_timeout=PATIENCE_SECONDS,
        **options,
    )
    return opening.__enter__()  # version 17 returns a context manager only; the callers close the connection


def closed(connection: ClientConnection) -> tuple[int, str]:
    """Wait until the server closes the connection, and return its code and reason. Other messages are ignored."""
    try:
        while True:
            connection.recv(PATIENCE_SECONDS)
    except ConnectionClosed as error:
        return (1006, "") if error.rcvd is None else (error.rcvd.code, error.rcvd.reason)


# pictures


def jpeg(image: Image, quality: int = 95) -> bytes:
    """Encode (H, W, 3) uint8 RGB."""
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def decoded(data: bytes) -> Image:
    """Decode a picture file -> (H, W, 3) uint8 RGB."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[:, :, ::-1], np.uint8)


def difference(one: Image, other: Image) -> float:
    """Mean absolute difference of the values of two pictures of one size."""
    assert one.shape == other.shape
    return float(np.abs(one.astype(int) - other).mean())


SAME = 4.0
"""More than the difference between a painting and its JPEG, and less than that between two styles."""


# waiting


def wait_until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until a condition of the server becomes true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def resources(server: Server) -> tuple[int, int]:
    """Number of open file descriptors and of threads of the server."""
    process = psutil.Process(server.process.pid)
    count = process.num_handles() if sys.platform == "win32" else process.num_fds()
    return count, process.num_threads()


class Watcher:
    """A viewer in a thread of its own, who checks that each painting is right. Use it around what must not affect viewers."""

    def __init__(self, server: Server) -> None:
        self._server, self._viewer = server, Viewer(server)
        self._photo = jpeg(picture(0))
        self.expected = self._viewer.paint(self._photo)
        self._frames, self._error, self._ended = 0, "", threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                stamp = self._frames.to_bytes(8, "big")
                self._viewer.send_frame(self._photo, stamp)
                assert difference(self._viewer.receive_painting(stamp), self.expected) < SAME
                self._frames += 1
        except Exception as error:
            self._error = repr(error)

    def more(self, frames: int = 3) -> None:
        """Wait until this many more frames have been painted."""
        end = self._frames + frames
        wait_until(lambda: self._frames >= end or bool(self._error), "the viewer gets no more frames")
        assert not self._error, self._error

    def __enter__(self) -> "Watcher":
        self._thread.start()
        self.more()
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self.more()
                assert self._server.process.poll() is None
        finally:
            self._ended.set()
            self._thread.join()
            self._viewer.close()

